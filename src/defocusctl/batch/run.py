"""Previews or runs a batch whose inputs are known and whose network is loaded."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from defocusctl.batch.engine import Concurrency, Engine, Stop
from defocusctl.batch.inputs import Unreadable
from defocusctl.batch.jobs import Job, check_foreign, reserve
from defocusctl.batch.manifest import FILE, LOCK, Entry, History, Status, recording, withdraw_reservations
from defocusctl.batch.progress import Estimate, Progress, estimate
from defocusctl.batch.resume import Judge, Reason, Verdict, changes
from defocusctl.batch.stores import StoreRecords
from defocusctl.batch.watch import Arrivals, Watch
from defocusctl.batch.work import Outcome, PhotoWork
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import InputError, InterruptedByUserError, OutputError, SomeFailedError
from defocusctl.system.atomic import locked_folder
from defocusctl.system.interruption import Interruption, collector_paused

RESUME_HINT = "run the same command again to continue"
ABANDONED = f"the photos in flight were abandoned; {RESUME_HINT}"
WATCHED_PHOTOS = 1000  # photos that concurrency is chosen for when watching
CHUNK = 500  # photos compared with their entries between two writes or two reports of progress


class Reporter(Protocol):
    """Receives what happens."""

    def checking(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """Entered while photos are compared with earlier runs; yields a callback for their number and all."""

    def planned(self, progress: Progress, changed: str | None, concurrency: Concurrency, out: str) -> None:
        """Called before anything is done; ``changed`` says what differs from earlier runs, if anything."""

    def live(self, progress: Progress) -> AbstractContextManager[None]:
        """Entered while photos are being done."""

    def ended(self, entry: Entry, progress: Progress) -> None:
        """Called when an entry is recorded and counted in ``progress``."""

    def stopping(self) -> None:
        """Called at the first Ctrl-C, from another thread."""


@dataclass(frozen=True)
class Batch:
    """A planned batch; ``history`` holds the records that the jobs were planned with.

    With ``arrivals``, it continues with the photos that arrive.
    """

    work: PhotoWork
    engine: Engine
    jobs: Sequence[Job]
    unreadable: Sequence[Unreadable]
    history: History
    judge: Judge
    arrivals: Arrivals | None = None

    def preview(self, reporter: Reporter) -> tuple[list[Verdict], Estimate, Concurrency]:
        """What a run would do with each photo, and its cost, without writing anything.

        Raises:
            OutputError: if results would replace foreign files, or the manifest cannot be read.
        """
        work = self.work
        verdicts = list(self._verdicts(self.history, reporter))
        to_do = _to_do(verdicts)
        self._check_foreign(to_do, self.history)
        concurrency = self.engine.concurrency(work.deblurrer.restorer, len(to_do))
        return verdicts, estimate(to_do, work.deblurrer, concurrency), concurrency

    def run(self, reporter: Reporter, *, max_failures: int | None) -> None:
        """Restore the photos that are not done yet.

        Raises:
            SomeFailedError: if photos failed.
            InterruptedByUserError: after Ctrl-C, except when it ends a watch.
            OutputError: if the folder is in use, cannot be written, or results would replace foreign files.
        """
        work, out = self.work, self.work.out
        url = work.storage.url_of(out)
        store_records = nullcontext() if url is None else StoreRecords.opened(url, out)
        with locked_folder(out, LOCK, "batch"), store_records as records:
            history = History.read(out, self.history)
            with collector_paused():
                verdicts = list(_record_refreshed(out, self._verdicts(history, reporter)))
            to_do = _to_do(verdicts)
            self._check_foreign(to_do, history)
            concurrency = self.engine.concurrency(
                work.deblurrer.restorer, len(to_do) if self.arrivals is None else WATCHED_PHOTOS
            )
            unreadable = [self._unreadable_outcome(folder) for folder in self.unreadable]
            sizes = dict.fromkeys((outcome.entry.input for outcome in unreadable), 0)
            sizes |= {job.name: job.size for job in to_do}
            progress = Progress(sizes, before=len(verdicts) - len(to_do))
            changed = changes(verdicts, history.entries, work.settings)
            reporter.planned(progress, changed, concurrency, work.storage.with_urls(str(out)))
            ready: Iterable[Job] = reserve(to_do, work.options.model, out, history.reserved)
            _record_readable(out, history.entries, [job.name for job in self.jobs])
            if records is not None:
                records.publish_reservations()
            with reporter.live(progress), Interruption(reporter.stopping, noted=2) as interruption:
                stop = Stop(
                    requested=lambda: (
                        interruption.requested or (records is not None and records.problem is not None)
                    ),
                    abandoned=lambda: interruption.times > 1,
                    max_failures=max_failures,
                )
                watch = None
                if self.arrivals is not None:
                    watch = Watch(self.arrivals, self.judge, work.options, self.jobs, history)
                    ready = watch.jobs(ready, progress, stop.stopping)
                outcomes = self.engine.outcomes(work, ready, stop, concurrency)
                try:
                    for entry in _recorded_as_they_end(out, unreadable, outcomes, stop):
                        progress.add(entry)
                        reporter.ended(entry, progress)
                        if watch is not None:
                            watch.ended(entry)
                except KeyboardInterrupt:
                    raise InterruptedByUserError(ABANDONED) from None
                finally:
                    if records is None and progress.done < progress.total:
                        withdraw_reservations(out)
            self._raise_if_incomplete(interruption, progress)

    def _raise_if_incomplete(self, interruption: Interruption, progress: Progress) -> None:
        if interruption.times > 1:
            raise InterruptedByUserError(ABANDONED)
        if interruption.requested and self.arrivals is None:
            raise InterruptedByUserError(f"finished results are kept; {RESUME_HINT}")
        if progress.failures:
            remedy = f"'{self.work.out / FILE}' has the causes; run the same command to try them again"
            raise SomeFailedError(f"{len(progress.failures)} of {progress.total} photos failed", remedy)

    def _verdicts(self, history: History, reporter: Reporter) -> Iterator[Verdict]:
        with reporter.checking() as on_compared:
            for count, one in enumerate(self.judge.judge(self.jobs, history.entries), start=1):
                if count % CHUNK == 0 or count == len(self.jobs):
                    on_compared(count, len(self.jobs))
                yield one

    def _check_foreign(self, jobs: Sequence[Job], history: History) -> None:
        if not self.judge.force:
            check_foreign(jobs, self.work.options.model, self.work.out, history.reserved)

    def _unreadable_outcome(self, folder: Unreadable) -> Outcome:
        problem = InputError(
            f"cannot read the folder '{folder.path}' ({folder.reason})", "check its permissions"
        )
        target = self.work.out / folder.name
        return self.work.failure(Job(f"{folder.name}/", folder.path, target, Outputs(), 0), problem)


def _to_do(verdicts: Sequence[Verdict]) -> list[Job]:
    return [one.job for one in verdicts if one.reason is not Reason.DONE]


def _record_refreshed(out: Path, verdicts: Iterator[Verdict]) -> Iterator[Verdict]:
    """Pass the verdicts on, and record entries with new stamps in chunks."""
    while chunk := list(islice(verdicts, CHUNK)):
        if refreshed := [one.refreshed for one in chunk if one.refreshed is not None]:
            with recording(out) as record:
                record(refreshed)
        yield from chunk


def _record_readable(out: Path, entries: Mapping[str, Entry], found: Collection[str]) -> None:
    """Withdraw failures of unreadable folders in which photos have now been ``found``."""
    readable = [
        replace(entry, status=Status.SKIPPED, error="the folder can be read now", exit_code=0)
        for name, entry in entries.items()
        if name.endswith("/") and entry.status is Status.FAILED
        if any(photo.startswith(name) for photo in found)
    ]
    with recording(out) as record:
        record(readable)


def _recorded_as_they_end(
    out: Path, unreadable: Iterable[Outcome], outcomes: Generator[Outcome, None, None], stop: Stop
) -> Iterator[Entry]:
    """Record each outcome, those of ``unreadable`` folders first, update ``stop``, and yield the entry."""
    fatal: Entry | None = None
    with recording(out) as record, closing(outcomes):
        try:
            for outcome in chain(unreadable, outcomes):
                try:
                    record([outcome.entry])
                except OutputError as error:
                    raise OutputError(error.cause, f"{error.remedy}; {RESUME_HINT}") from error
                stop.failures += outcome.entry.status is Status.FAILED
                if outcome.fatal:
                    fatal = outcome.entry
                    stop.ended = True
                yield outcome.entry
        finally:
            stop.ended = True
    if fatal is not None:
        raise OutputError(f"stopped: {fatal.error}", RESUME_HINT)
    if stop.too_many:
        raise SomeFailedError(f"stopped after {stop.failures} failures", f"fix them; {RESUME_HINT}")
