"""A batch that goes on with photos as they arrive in folders, each once it is complete.

The system's notices of changes (through watchfiles) only say when to look; what there is, is always found by
looking. So nothing is missed where no notices come from, as for folders on another machine: there, and for
notices that were lost, all is looked through every now and then.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.inputs import Found, Search, real_path
from defocusctl.batch.jobs import BatchOptions, Job, plan
from defocusctl.batch.manifest import Entry, Recorded, Stamp, place_in, record_reservations
from defocusctl.batch.progress import Progress
from defocusctl.batch.resume import Judge, Reason
from defocusctl.errors import InputError

SETTLED = 2.0
"""Seconds for which a file has to stay as it is to be complete."""
TICK = 0.25
"""Seconds between looks at files that may be growing."""
LEAST_PAUSE = 0.5
"""Seconds between looks through the folders, at least."""
WITHOUT_NOTICE = 10.0
"""Seconds after which they are looked through without a notice."""
MOST_LOOKING = 0.05
"""The share of the time that looking through them may take."""


class _Growing(NamedTuple):
    """A file that may not be complete, how it was when it was last looked at, and since when."""

    found: Found
    stamp: Stamp
    since: float


class Arrivals:
    """The photos that ``search`` finds in folders, as they are complete; a folder may be missing for a while.

    What is given out is not given out again until it has changed, and not while its name is in ``busy``,
    which is for those who work on it. One thread at a time may ask.
    """

    def __init__(self, search: Search, inputs: Sequence[str]) -> None:
        self.busy: set[str] = set()
        self._search = search
        self._inputs = inputs
        self._given: dict[str, Stamp | None] = {}
        self._growing: dict[str, _Growing] = {}

    def complete(self, photos: Iterable[Found]) -> list[Found]:
        """Give out those that are complete now; the others will come from ``as_they_come``."""
        taken = []
        for found in photos:
            stamp = Stamp.of(found.path)
            if stamp is None or _is_old(stamp):  # one that is gone is reported as such
                self._given[found.path] = stamp
                taken.append(_as_it_is(found, stamp))
        return taken

    def as_they_come(self, stopping: Callable[[], bool]) -> Iterator[Found]:
        """One photo after the other, for as long as ``stopping`` returns false; waits for the next one."""
        next_look, earliest = 0.0, 0.0
        for noticed in _notices(self._inputs):
            if stopping():
                return
            now = time.monotonic()
            if noticed:
                next_look = min(next_look, max(now, earliest))
            if now >= next_look:
                self._look_through()
                took = time.monotonic() - now
                earliest = now + max(LEAST_PAUSE, took / MOST_LOOKING)
                next_look = max(earliest, now + WITHOUT_NOTICE)
            for growing in list(self._growing.values()):
                if (found := self._completed(growing)) is not None:
                    yield found
                    if stopping():
                        return

    def _look_through(self) -> None:
        """Find what is new or has changed since it was given out."""
        try:
            photos = self._search.find(self._inputs).photos
        except InputError:  # the folder is gone, perhaps for a while
            return
        for found in photos:
            stamp = Stamp.of(found.path)
            if stamp is None or found.path in self._growing or stamp == self._given.get(found.path):
                continue
            self._growing[found.path] = _Growing(found, stamp, time.monotonic())

    def _completed(self, growing: _Growing) -> Found | None:
        """The photo if it is to be given out now; then it is noted as given out."""
        found, before, since = growing
        stamp = Stamp.of(found.path)
        if stamp is None:
            del self._growing[found.path]
        elif stamp != before:
            self._growing[found.path] = _Growing(found, stamp, time.monotonic())
        elif (_is_old(stamp) or time.monotonic() - since >= SETTLED) and found.name not in self.busy:
            del self._growing[found.path]
            self._given[found.path] = stamp
            return _as_it_is(found, stamp)
        return None


def _as_it_is(found: Found, stamp: Stamp | None) -> Found:
    """What was found a while ago, as it is now."""
    return found if stamp is None else found._replace(size=stamp.size, stamp=stamp.recorded)


def _is_old(stamp: Stamp) -> bool:
    """Whether the file was last written some time ago: one that was moved here is complete at once."""
    return 0 <= stamp.modified < time.time_ns() - SETTLED * 1e9


def _notices(folders: Sequence[str]) -> Iterator[bool]:
    """At least every ``TICK`` whether something may have changed in the folders; true at first.

    Where the system cannot watch them (it is out of watches, or a folder is not there) nothing is noticed.
    """
    from watchfiles import watch

    milliseconds = round(TICK * 1000)
    first = True
    try:
        for changes in watch(
            *(Path(folder).absolute() for folder in folders),
            watch_filter=None,
            debounce=milliseconds,
            step=50,
            rust_timeout=milliseconds,
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            yield first or bool(changes)
            first = False
    except (OSError, RuntimeError):  # which watchfiles raises for errors of the system
        pass
    while True:
        yield first
        first = False
        time.sleep(TICK)


class Watch:
    """Jobs for what arrives, with the options of the batch.

    The files that are written are added to ``own``, which has to be that of the search, so that they are not
    arrivals. A photo replaces what was made of it before, but no other file.
    """

    def __init__(self, arrivals: Arrivals, own: set[str], options: BatchOptions) -> None:
        self._arrivals = arrivals
        self._own = own
        self._options = options
        self._owners: dict[str, Path] = {}

    def begin(self, jobs: Sequence[Job], judge: Judge, recorded: Recorded) -> None:
        """Called as the batch begins, with all its jobs, done or not, and what earlier runs recorded."""
        self._judge = judge
        self._entries = dict(recorded.entries)
        self._reserved = set(recorded.reserved)
        for job in jobs:
            self._take(job)

    def jobs(self, first: Iterable[Job], progress: Progress, stopping: Callable[[], bool]) -> Iterator[Job]:
        """``first``, and then what arrives and is not done yet; ``progress`` counts it.

        Raises:
            OutputError: if reservations cannot be recorded.
        """
        out = self._judge.out
        for job in first:
            self._arrivals.busy.add(job.name)
            yield job
        for found in self._arrivals.as_they_come(stopping):
            [job] = plan([found], self._options, out, {})
            [judged] = self._judge.judge([job], self._entries)
            if judged.reason is Reason.DONE:
                continue
            if all(self._may_replace(job, path) for path in job.files(self._options.model)):
                job = job.replacing()
            record_reservations(out, self._take(job))
            progress.expect(job)
            self._arrivals.busy.add(job.name)
            yield job

    def ended(self, entry: Entry) -> None:
        """Called with what was recorded: if the photo has changed meanwhile, it may come again now."""
        self._entries[entry.input] = entry
        self._arrivals.busy.discard(entry.input)

    def _may_replace(self, job: Job, path: Path) -> bool:
        """Whether it may be written: there is no such file, or a batch made it from this photo."""
        place = place_in(self._judge.out, path)
        ours = place in self._reserved or not path.exists()
        return ours and self._owners.get(place, job.source) == job.source

    def _take(self, job: Job) -> list[str]:
        """Note the files of a job as its own; return those that no batch had reserved."""
        files = job.files(self._options.model)
        places = [place_in(self._judge.out, path) for path in files]
        new = [place for place in places if place not in self._reserved]
        self._reserved.update(places)
        self._own.update(map(real_path, files))
        for place in places:
            self._owners.setdefault(place, job.source)
        return new
