"""A batch that goes on: after the photos that are there, those that arrive or change, until it is ended."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from defocusctl.batch.arrivals import Arrivals
from defocusctl.batch.inputs import real_path
from defocusctl.batch.job import BatchSettings, Entry, Job
from defocusctl.batch.manifest import place_in, record_reservations
from defocusctl.batch.planning import Layout
from defocusctl.batch.progress import Progress
from defocusctl.batch.resume import Reason, judge


class Watch:
    """Jobs for what arrives, with the layout and settings of the batch.

    The files that are written are added to ``own``, which has to be that of the search, so that they are no
    arrivals. A photo replaces what was made of it before, but no other file.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        own: set[str],
        layout: Layout,
        settings: BatchSettings,
        *,
        force: bool,
    ) -> None:
        self._arrivals = arrivals
        self._own = own
        self._layout = layout
        self._settings = settings
        self._force = force
        self._entries: dict[str, Entry] = {}
        self._reserved: set[str] = set()
        self._owners: dict[str, Path] = {}

    def begin(self, jobs: Sequence[Job], entries: dict[str, Entry], reserved: Collection[str]) -> None:
        """Called as the batch begins, with all its jobs, earlier entries and the folder's reservations."""
        self._entries = entries
        self._reserved = set(reserved)
        for job in jobs:
            self._take(job)

    def jobs(self, first: Sequence[Job], progress: Progress, stopping: Callable[[], bool]) -> Iterator[Job]:
        """``first``, and then what arrives and is not done yet; ``progress`` counts it.

        Raises:
            OutputError: if reservations cannot be recorded.
        """
        for job in first:
            self._arrivals.busy.add(job.name)
            yield job
        for found in self._arrivals.as_they_come(stopping):
            job = self._layout.job(found)
            [judged] = judge([job], self._entries, self._settings, self._layout.out, force=self._force)
            if judged.reason is Reason.DONE:
                continue
            if all(self._may_replace(job, path) for path in self._files(job)):
                job = job.replacing()
            new = self._take(job)
            record_reservations(self._layout.out, new)
            progress.expect(job)
            self._arrivals.busy.add(job.name)
            yield job

    def ended(self, entry: Entry) -> None:
        """Told of what was recorded: if the photo has changed meanwhile, it may come again now."""
        self._entries[entry.input] = entry
        self._arrivals.busy.discard(entry.input)

    def _files(self, job: Job) -> tuple[Path, ...]:
        return job.files(self._settings.model)

    def _may_replace(self, job: Job, path: Path) -> bool:
        """Whether it may be written: there is no such file, or a batch made it from this photo."""
        place = place_in(self._layout.out, path)
        ours = place in self._reserved or not path.exists()
        return ours and self._owners.get(place, job.source) == job.source

    def _take(self, job: Job) -> list[str]:
        """Note the files of a job as its own; return those that no batch had reserved."""
        files = self._files(job)
        places = [place_in(self._layout.out, path) for path in files]
        new = [place for place in places if place not in self._reserved]
        self._reserved.update(places)
        self._own.update(map(real_path, files))
        for place in places:
            self._owners.setdefault(place, job.source)
        return new
