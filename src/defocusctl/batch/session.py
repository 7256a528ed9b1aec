"""A batch whose inputs are known and whose network is loaded: what it would do, and doing it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from defocusctl.batch.concurrency import Concurrency
from defocusctl.batch.estimate import Estimate, estimate
from defocusctl.batch.executor import Executor
from defocusctl.batch.inputs import Unreadable
from defocusctl.batch.job import BatchSettings, Entry, Job, Outcome
from defocusctl.batch.manifest import FILE, Recorded, alone_in, read_recorded, read_reservations
from defocusctl.batch.mirror_records import StoreRecords, records_in
from defocusctl.batch.mirrored_work import MirroredWork
from defocusctl.batch.places import HERE, Places
from defocusctl.batch.planning import check_strangers
from defocusctl.batch.progress import Progress
from defocusctl.batch.resume import Judged, Reason, changes, judge
from defocusctl.batch.run import GO_ON, record_readable, record_refreshed, reserve, run_jobs
from defocusctl.batch.stop import Stop
from defocusctl.batch.watch import Watch
from defocusctl.batch.work import PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import InputError, InterruptedByUserError, SomeFailedError
from defocusctl.system.interruption import Interruption

GIVEN_UP = f"the photos in flight were given up; {GO_ON}"
MANY = 1000
"""Photos that a watch is prepared for at once."""


class Listener(Protocol):
    """Told of everything that happens; ``began`` and ``tile`` by other threads."""

    def checking(self, photos: int) -> AbstractContextManager[Callable[[int], None]]:
        """Entered while photos are compared with earlier runs; yields a callback for the number compared."""
        ...

    def planned(self, progress: Progress, changed: str | None, concurrency: Concurrency, out: str) -> None:
        """Before anything is done: ``changed`` says which settings are not those of earlier runs."""
        ...

    def live(self, progress: Progress) -> AbstractContextManager[None]:
        """Entered while photos are done."""
        ...

    def began(self, job: Job) -> None: ...

    def tile(self, job: Job, done: int, total: int) -> None: ...

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

    jobs: Sequence[Job]
    unreadable: Sequence[Unreadable]
    out: Path
    deblurrer: Deblurrer
    settings: BatchSettings
    max_megapixels: float
    force: bool
    executor: Executor
    places: Places = HERE
    watch: Watch | None = None
    verify: bool = False
    recorded: Recorded | None = None

    def tell(self, show: Listener) -> None:
        """Say what would be done; nothing is written."""
        entries = read_recorded(self.out, self.recorded).entries
        judged = list(self._judged(entries, show))
        to_do = _to_do(judged)
        self._check_strangers(to_do, self._reserved(entries))
        for job, reason, _ in judged:
            show.would_do(job.name, self.places.in_words(str(job.target)), reason)
        for folder in self.unreadable:
            show.unreadable(folder)
        concurrency = self.executor.concurrency(self.deblurrer.restorer, len(to_do))
        counts = Counter(one.reason for one in judged)
        show.estimated(estimate(to_do, self.deblurrer, concurrency), concurrency, counts)

    def run(self, show: Listener, *, most_failures: int | None) -> None:
        """Do what is to be done.

        Raises:
            SomeFailedError: if photos failed.
            InterruptedByUserError: after Ctrl-C, unless that is what ends a watch.
            OutputError: if the folder is taken, holds files of others, or cannot be written.
        """
        with alone_in(self.out), records_in(self.places, self.out) as records:
            entries = read_recorded(self.out, self.recorded).entries
            judged = list(record_refreshed(self.out, self._judged(entries, show)))
            to_do = _to_do(judged)
            reserved = self._reserved(entries)
            self._check_strangers(to_do, reserved)
            concurrency = self.executor.concurrency(
                self.deblurrer.restorer, len(to_do) if self.watch is None else MANY
            )
            sizes = {job.name: job.size for job in to_do}
            lost = {_lost_name(folder): 0 for folder in self.unreadable}
            progress = Progress({**lost, **sizes}, before=len(judged) - len(to_do))
            changed = changes(judged, entries, self.settings)
            show.planned(progress, changed, concurrency, self.places.in_words(str(self.out)))
            ready = reserve(to_do, self.settings, self.out, reserved)
            record_readable(self.out, entries, [job.name for job in self.jobs])
            if records is not None:
                records.publish_reservations()
            if self.watch is not None:
                self.watch.begin(self.jobs, entries, reserved)
            del entries, judged
            self._do(ready, concurrency, progress, show, most_failures, records)

    def _do(
        self,
        jobs: Sequence[Job],
        concurrency: Concurrency,
        progress: Progress,
        show: Listener,
        most_failures: int | None,
        records: StoreRecords | None,
    ) -> None:
        work = MirroredWork(self.deblurrer, self.settings, self.out, self.max_megapixels, self.places)
        lost = [self._lost(work, folder) for folder in self.unreadable]
        with show.live(progress), Interruption(show.stopping, noted=2) as interruption:
            engine = self.executor.engine(work, concurrency, show.began, show.tile)
            stop = Stop(
                requested=lambda: interruption.requested or _cannot_record(records),
                abandoned=lambda: interruption.times > 1,
                most_failures=most_failures,
            )
            ready = jobs if self.watch is None else self.watch.jobs(jobs, progress, stop.stopping)
            try:
                for entry in run_jobs(ready, engine, self.out, stop, lost):
                    progress.add(entry)
                    show.ended(entry)
                    if self.watch is not None:
                        self.watch.ended(entry)
            except KeyboardInterrupt:
                raise InterruptedByUserError(GIVEN_UP) from None
        if interruption.times > 1:
            raise InterruptedByUserError(GIVEN_UP)
        if interruption.requested and self.watch is None:
            raise InterruptedByUserError(f"what was finished is kept; {GO_ON}")
        if progress.failures:
            raise SomeFailedError(
                f"{len(progress.failures)} of {progress.total} photos failed",
                f"'{self.out / FILE}' has the causes; the same command tries them again",
            )

    def _judged(self, entries: dict[str, Entry], show: Listener) -> Iterator[Judged]:
        with show.checking(len(self.jobs)) as on_judged:
            judged = judge(
                self.jobs,
                entries,
                self.settings,
                self.out,
                force=self.force,
                verify=self.verify,
                places=self.places,
            )
            for count, one in enumerate(judged, start=1):
                on_judged(count)
                yield one

    def _reserved(self, entries: dict[str, Entry]) -> set[str]:
        return read_reservations(self.out).union(*(entry.files for entry in entries.values()))

    def _check_strangers(self, jobs: Sequence[Job], reserved: Collection[str]) -> None:
        if not self.force:
            check_strangers(jobs, self.settings.model, self.out, reserved)

    def _lost(self, work: PhotoWork, folder: Unreadable) -> Outcome:
        problem = InputError(
            f"cannot read the folder '{folder.path}' ({folder.reason})", "check its permissions"
        )
        job = Job(_lost_name(folder), folder.path, self.out / folder.name, Outputs(), 0)
        return work.failure(job, problem, None)


def _lost_name(folder: Unreadable) -> str:
    return f"{folder.name}/"


def _cannot_record(records: StoreRecords | None) -> bool:
    return records is not None and records.problem is not None


def _to_do(judged: Sequence[Judged]) -> list[Job]:
    return [one.job for one in judged if one.reason is not Reason.DONE]
