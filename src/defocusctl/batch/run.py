"""A batch whose inputs are known and whose network is loaded: what it would do, and doing it."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

from defocusctl.batch.engine import Concurrency, Engine, Stop
from defocusctl.batch.inputs import Unreadable
from defocusctl.batch.jobs import Job, Outcome, check_foreign, reserve
from defocusctl.batch.manifest import FILE, Entry, Manifest, Recorded, Status, alone_in
from defocusctl.batch.progress import Estimate, Progress, estimate
from defocusctl.batch.resume import Judge, Judged, Reason, changes
from defocusctl.batch.store_records import StoreRecords
from defocusctl.batch.watch import Watch
from defocusctl.batch.work import PhotoWork
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import InputError, InterruptedByUserError, OutputError, SomeFailedError
from defocusctl.system.collector import collector_paused
from defocusctl.system.interruption import Interruption

GO_ON = "the same command goes on where it stopped"
GIVEN_UP = f"the photos in flight were given up; {GO_ON}"
MANY = 1000
"""Photos that a watch is prepared for at once."""
AT_ONCE = 500
"""Entries that are written together where photos need not be done."""


class Reporter(Protocol):
    """Called with everything that happens."""

    def checking(self, photos: int) -> AbstractContextManager[Callable[[int], None]]:
        """Entered while photos are compared with earlier runs; yields a callback for the number compared."""
        ...

    def planned(self, progress: Progress, changed: str | None, concurrency: Concurrency, out: str) -> None:
        """Before anything is done: ``changed`` says which settings are not those of earlier runs."""
        ...

    def live(self, progress: Progress) -> AbstractContextManager[None]:
        """Entered while photos are done."""
        ...

    def ended(self, entry: Entry) -> None:
        """An entry was recorded and ``progress`` has counted it."""
        ...

    def stopping(self) -> None:
        """The first Ctrl-C; called by another thread."""
        ...

    def would_do(self, name: str, target: str, reason: Reason) -> None:
        """One photo of a dry run."""
        ...

    def unreadable(self, folder: Unreadable) -> None:
        """One folder of a dry run whose photos nobody knows."""
        ...

    def estimated(self, estimate: Estimate, concurrency: Concurrency, counts: Mapping[Reason, int]) -> None:
        """The end of a dry run."""
        ...


@dataclass(frozen=True)
class Batch:
    """What the options and the inputs of one call come to; ``recorded`` is what was read to plan the jobs."""

    work: PhotoWork
    engine: Engine
    jobs: Sequence[Job]
    unreadable: Sequence[Unreadable]
    recorded: Recorded
    force: bool = False
    verify: bool = False
    watch: Watch | None = None

    def preview(self, reporter: Reporter) -> None:
        """Say what would be done; nothing is written.

        Raises:
            OutputError: if the folder holds files of others, or its manifest cannot be read.
        """
        work = self.work
        judged = list(self._judged(self.recorded.entries, reporter))
        to_do = _to_do(judged)
        self._check_foreign(to_do, self.recorded)
        for job, reason, _ in judged:
            reporter.would_do(job.name, work.storage.in_words(str(job.target)), reason)
        for folder in self.unreadable:
            reporter.unreadable(folder)
        concurrency = self.engine.concurrency(work.deblurrer.restorer, len(to_do))
        counts = Counter(one.reason for one in judged)
        reporter.estimated(estimate(to_do, work.deblurrer, concurrency), concurrency, counts)

    def run(self, reporter: Reporter, *, most_failures: int | None) -> None:
        """Do what is to be done.

        Raises:
            SomeFailedError: if photos failed.
            InterruptedByUserError: after Ctrl-C, unless that is what ends a watch.
            OutputError: if the folder is taken, holds files of others, or cannot be written.
        """
        work, out = self.work, self.work.out
        with alone_in(out), self._store_records() as records:
            recorded = Recorded.read(out, self.recorded)
            with collector_paused():
                judged = list(_record_refreshed(out, self._judged(recorded.entries, reporter)))
            to_do = _to_do(judged)
            self._check_foreign(to_do, recorded)
            concurrency = self.engine.concurrency(
                work.deblurrer.restorer, len(to_do) if self.watch is None else MANY
            )
            lost = [self._lost(folder) for folder in self.unreadable]
            sizes = {outcome.job.name: 0 for outcome in lost} | {job.name: job.size for job in to_do}
            progress = Progress(sizes, before=len(judged) - len(to_do))
            changed = changes(judged, recorded.entries, work.settings)
            reporter.planned(progress, changed, concurrency, work.storage.in_words(str(out)))
            ready: Iterable[Job] = reserve(to_do, work.options.model, out, recorded.reserved)
            _record_readable(out, recorded.entries, [job.name for job in self.jobs])
            if records is not None:
                records.publish_reservations()
            if self.watch is not None:
                self.watch.begin(self.jobs, self._judge(), recorded)
            with reporter.live(progress), Interruption(reporter.stopping, noted=2) as interruption:
                stop = Stop(
                    requested=lambda: (
                        interruption.requested or (records is not None and records.problem is not None)
                    ),
                    abandoned=lambda: interruption.times > 1,
                    most_failures=most_failures,
                )
                if self.watch is not None:
                    ready = self.watch.jobs(ready, progress, stop.stopping)
                outcomes = self.engine.outcomes(work, ready, stop, concurrency)
                try:
                    for entry in _recorded_as_they_end(out, lost, outcomes, stop):
                        progress.add(entry)
                        reporter.ended(entry)
                        if self.watch is not None:
                            self.watch.ended(entry)
                except KeyboardInterrupt:
                    raise InterruptedByUserError(GIVEN_UP) from None
            self._say_how_it_ended(interruption, progress)

    def _say_how_it_ended(self, interruption: Interruption, progress: Progress) -> None:
        if interruption.times > 1:
            raise InterruptedByUserError(GIVEN_UP)
        if interruption.requested and self.watch is None:
            raise InterruptedByUserError(f"what was finished is kept; {GO_ON}")
        if progress.failures:
            raise SomeFailedError(
                f"{len(progress.failures)} of {progress.total} photos failed",
                f"'{self.work.out / FILE}' has the causes; the same command tries them again",
            )

    def _store_records(self) -> AbstractContextManager[StoreRecords | None]:
        store = self.work.storage.store_of(self.work.out)
        return nullcontext() if store is None else StoreRecords.kept(store)

    def _judge(self) -> Judge:
        work = self.work
        return Judge(work.settings, work.out, self.force, self.verify, work.storage)

    def _judged(self, entries: Mapping[str, Entry], reporter: Reporter) -> Iterator[Judged]:
        with reporter.checking(len(self.jobs)) as on_judged:
            for count, one in enumerate(self._judge().judge(self.jobs, entries), start=1):
                if count % AT_ONCE == 0 or count == len(self.jobs):
                    on_judged(count)
                yield one

    def _check_foreign(self, jobs: Sequence[Job], recorded: Recorded) -> None:
        if not self.force:
            check_foreign(jobs, self.work.options.model, self.work.out, recorded.reserved)

    def _lost(self, folder: Unreadable) -> Outcome:
        problem = InputError(
            f"cannot read the folder '{folder.path}' ({folder.reason})", "check its permissions"
        )
        target = self.work.out / folder.name
        return self.work.failure(Job(f"{folder.name}/", folder.path, target, Outputs(), 0), problem)


def _to_do(judged: Sequence[Judged]) -> list[Job]:
    return [one.job for one in judged if one.reason is not Reason.DONE]


def _record_refreshed(out: Path, judged: Iterator[Judged]) -> Iterator[Judged]:
    """Pass on what was judged, and record the entries with new stamps, some at a time."""
    while some := list(islice(judged, AT_ONCE)):
        if refreshed := [one.refreshed for one in some if one.refreshed is not None]:
            with closing(Manifest(out)) as manifest:
                manifest.append(*refreshed)
        yield from some


def _record_readable(out: Path, entries: Mapping[str, Entry], found: Collection[str]) -> None:
    """Withdraw the failures of folders that could not be read and in which photos were ``found`` by now."""
    with closing(Manifest(out)) as manifest:
        for name, entry in entries.items():
            folder = name.endswith("/") and entry.status is Status.FAILED
            if folder and any(photo.startswith(name) for photo in found):
                error = "the folder can be read now"
                manifest.append(replace(entry, status=Status.SKIPPED, error=error, exit_code=0))


def _recorded_as_they_end(
    out: Path, lost: Iterable[Outcome], outcomes: Generator[Outcome, None, None], stop: Stop
) -> Iterator[Entry]:
    """Record each outcome and pass its entry on; say when to stop.

    ``lost`` are failures that are known before anything is done, such as folders that cannot be read.

    Raises:
        OutputError: if nothing more can be written, to the manifest or at all.
        SomeFailedError: if more failed than may.
    """
    fatal: Entry | None = None
    with closing(Manifest(out)) as manifest, closing(outcomes):
        try:
            for outcome in chain(lost, outcomes):
                manifest.append(outcome.entry)
                stop.failures += outcome.entry.status is Status.FAILED
                if outcome.fatal:
                    fatal = outcome.entry
                    stop.ended = True
                yield outcome.entry
        finally:
            stop.ended = True
    if fatal is not None:
        raise OutputError(f"stopped: {fatal.error}", GO_ON)
    if stop.too_many:
        raise SomeFailedError(f"stopped after {stop.failures} failures", f"repair them; {GO_ON}")
