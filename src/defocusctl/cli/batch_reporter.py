"""What a batch shows: bars on a terminal, plain lines elsewhere, events with ``--json`` (docs/batch.md)."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TaskID

from defocusctl.batch.engine import Concurrency
from defocusctl.batch.inputs import Unreadable
from defocusctl.batch.jobs import Job
from defocusctl.batch.manifest import Entry
from defocusctl.batch.progress import Estimate, Progress
from defocusctl.batch.resume import Verdict
from defocusctl.cli.bars import Bars, Words, step_bar
from defocusctl.cli.console import console, put, put_json, say, say_error, say_warning
from defocusctl.errors import OutputError

LISTED_FAILURES = 20


class BatchReporter:
    """Shows everything that happens in a batch; safe to call from any thread."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._plain = not as_json and not quiet
        self._drawn = self._plain and console().is_interactive
        self._bars = Bars(Words(), BarColumn(), MofNCompleteColumn(), Words("remark"), quiet=not self._plain)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._broken: OutputError | None = None

    def checking(self) -> AbstractContextManager[Callable[[int, int], None]]:
        return step_bar("checking what is done", quiet=not self._plain)

    def planned(self, progress: Progress, changed: str | None, concurrency: Concurrency, out: str) -> None:
        if changed is not None:
            say(changed)
        self._event(
            "planned",
            out=out,
            to_do=progress.total,
            done_before=progress.before,
            changed=changed,
            photos_at_once=concurrency.computing,
            threads_each=concurrency.threads,
        )
        if self._plain:
            before = f", {progress.before} are done already" if progress.before else ""
            photos = "1 photo" if progress.total == 1 else f"{progress.total} photos"
            say(f"{photos} to do{before}; {_concurrency_text(concurrency)}")

    @contextmanager
    def live(self, progress: Progress) -> Iterator[None]:
        """Progress bars while photos are being done, or lines for those that take long; then a summary."""
        with self._bars, self._bars.lines():
            if self._drawn:
                self._whole = self._bars.add_task("photos", total=progress.total, remark="")
            try:
                yield
            finally:
                self._bars.stop()
                self._finished(progress)

    def started(self, job: Job) -> None:
        """Called from the thread that restores; if the event cannot be written, ``ended`` says so."""
        with self._lock:
            try:
                self._event("began", input=job.name)
            except OutputError as error:
                self._broken = error
            if self._plain:
                self._tasks[job.name] = self._bars.add_task(f"  {job.name}", total=None, remark="tiles")

    def tile(self, job: Job, done: int, total: int) -> None:
        with self._lock:
            if job.name in self._tasks:
                self._bars.update(self._tasks[job.name], completed=done, total=total)

    def ended(self, entry: Entry, progress: Progress) -> None:
        if self._broken is not None:
            raise self._broken
        with self._lock:
            if entry.input in self._tasks:
                self._bars.remove_task(self._tasks.pop(entry.input))
            self._event("ended", **asdict(entry), progress=progress.as_json())
        for warning in entry.warnings:
            say_warning(f"{entry.input}: {warning}")
        if entry.status == "failed":
            say_error(f"{entry.input}: {entry.error}")
        elif self._plain and not self._drawn:
            done = (
                f"{entry.report['megapixels']:.2f} MP in {entry.report['seconds']:.1f} s"
                if entry.status == "done"
                else f"skipped, {entry.error}"
            )
            say(f"[{progress.ended}/{progress.total}] {entry.input}: {done}; {_pace(progress)}")
        if self._drawn:
            self._bars.update(
                self._whole, completed=progress.ended, total=progress.total, remark=_pace(progress)
            )

    def stopping(self) -> None:
        say("finishing the photos in flight; Ctrl-C again abandons them")

    def watching(self, folders: Sequence[str]) -> None:
        self._event("watching", folders=list(folders))
        if self._plain:
            say(f"watching {', '.join(folders)} for photos; Ctrl-C stops it")

    def reporting(self) -> AbstractContextManager[Callable[[int, int], None]]:
        return step_bar("making the report", quiet=not self._plain)

    def reported(self, page: Path) -> None:
        self._event("report", page=str(page))
        if self._plain:
            say(f"report: {page}")

    def preview(
        self,
        verdicts: Sequence[Verdict],
        estimate: Estimate,
        concurrency: Concurrency,
        unreadable: Sequence[Unreadable],
        with_urls: Callable[[str], str],
    ) -> None:
        """A dry run: one line for each photo, then the folders that cannot be read, counts and cost."""
        for job, reason, _ in verdicts:
            target = with_urls(str(job.target))
            self._event("would-do", input=job.name, output=target, reason=reason.value)
            if self._plain:
                put(f"{reason.value:>28}  {job.name} -> {target}")
        for folder in unreadable:
            say_error(f"{folder.name}: cannot read the folder ({folder.reason})")
        counts = Counter(verdict.reason.value for verdict in verdicts)
        self._event(
            "estimate",
            counts=counts,
            **estimate._asdict(),
            photos_at_once=concurrency.computing,
            threads_each=concurrency.threads,
        )
        if self._plain:
            put(", ".join(f"{count} {reason}" for reason, count in counts.items()))
            unknown = f" ({estimate.unknown} files could not be read)" if estimate.unknown else ""
            put(
                f"an estimate: {estimate.megapixels:.1f} MP{unknown} in {_duration(estimate.seconds)} "
                f"with {estimate.memory / 2**30:.1f} GiB of memory; {_concurrency_text(concurrency)}"
            )

    def _finished(self, progress: Progress) -> None:
        failures = progress.failures
        counts = {
            "done": progress.done,
            "done_before": progress.before,
            "skipped": progress.skipped,
            "failed": len(failures),
            "left": progress.total - progress.ended,
        }
        self._event(
            "finished",
            **counts,
            seconds=round(progress.seconds, 3),
            megapixels=progress.megapixels,
            failures=[{"input": name, "error": error} for name, error in failures.items()],
        )
        for name, error in islice(failures.items(), LISTED_FAILURES):
            say_error(f"failed: {name}: {error}")
        if len(failures) > LISTED_FAILURES:
            say_error(f"and {len(failures) - LISTED_FAILURES} more, see the manifest")
        if self._plain:
            words = {"done_before": "done before", "left": "not started"}
            counted = ", ".join(f"{count} {words.get(what, what)}" for what, count in counts.items() if count)
            say(f"{counted or 'nothing to do'}; {_duration(progress.seconds)}")

    def _event(self, event: str, **values: Any) -> None:
        if self._as_json:
            put_json({"event": event, **values})


def _concurrency_text(concurrency: Concurrency) -> str:
    threads = "1 thread" if concurrency.threads == 1 else f"{concurrency.threads} threads"
    return f"{concurrency.computing} at once in {threads} each"


def _pace(progress: Progress) -> str:
    left = "" if progress.seconds_left is None else f", {_duration(progress.seconds_left)} left"
    failed = f", {len(progress.failures)} failed" if progress.failures else ""
    return f"{progress.megapixels_per_second:.2f} MP/s{left}{failed}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
