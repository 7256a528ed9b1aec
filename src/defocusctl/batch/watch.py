"""A batch that continues with photos as they arrive in folders, each once it is complete.

The system's change notifications (through watchfiles) only trigger scans, which find the photos. Regular
scans find what was not notified, as in network folders or when notifications were lost.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.inputs import FoundPhoto, Search, real_path
from defocusctl.batch.jobs import BatchOptions, Job, plan
from defocusctl.batch.manifest import Entry, History, Stamp, manifest_path, record_reservations
from defocusctl.batch.progress import Progress
from defocusctl.batch.resume import Judge, Reason
from defocusctl.errors import InputError

SETTLED = 2.0  # seconds without a change after which a file counts as complete
TICK = 0.25  # seconds between checks of files that may be growing
MIN_PAUSE = 0.5  # the least seconds between scans of the folders
SCAN_EVERY = 10.0  # seconds between scans without a notification
MAX_SCAN_SHARE = 0.05  # the largest share of the time spent scanning


class _Growing(NamedTuple):
    """A file that may be incomplete, its last stamp, and the time of its last change."""

    found: FoundPhoto
    stamp: Stamp
    since: float


class Arrivals:
    """The complete photos that ``search`` finds in folders; a folder may be missing for a while.

    A photo is returned again only after it has changed, and not while its name is in ``busy``, which the
    caller maintains. Not thread-safe.
    """

    def __init__(self, search: Search, inputs: Sequence[str]) -> None:
        self.busy: set[str] = set()
        self.search = search
        self._inputs = inputs
        self._returned: dict[str, Stamp | None] = {}
        self._growing: dict[str, _Growing] = {}

    def complete(self, photos: Iterable[FoundPhoto]) -> list[FoundPhoto]:
        """Return the photos that are complete now; ``arriving`` yields the others later."""
        taken = []
        for found in photos:
            stamp = Stamp.of(found.path)
            if stamp is None or _is_settled(stamp):  # a missing one is reported later
                self._returned[found.path] = stamp
                taken.append(_updated(found, stamp))
        return taken

    def arriving(self, stopping: Callable[[], bool]) -> Iterator[FoundPhoto]:
        """Yield photos as they are completed, until ``stopping`` returns true."""
        next_scan, earliest = 0.0, 0.0
        for notified in _notifications(self._inputs):
            if stopping():
                return
            now = time.monotonic()
            if notified:
                next_scan = min(next_scan, max(now, earliest))
            if now >= next_scan:
                self._scan()
                took = time.monotonic() - now
                earliest = now + max(MIN_PAUSE, took / MAX_SCAN_SHARE)
                next_scan = max(earliest, now + SCAN_EVERY)
            for growing in list(self._growing.values()):
                if (found := self._completed(growing)) is not None:
                    yield found
                    if stopping():
                        return

    def _scan(self) -> None:
        """Find photos that are new or have changed since they were returned."""
        try:
            photos = self.search.find(self._inputs).photos
        except InputError:  # the folder is missing, perhaps temporarily
            return
        for found in photos:
            stamp = Stamp.of(found.path)
            if stamp is None or found.path in self._growing or stamp == self._returned.get(found.path):
                continue
            self._growing[found.path] = _Growing(found, stamp, time.monotonic())

    def _completed(self, growing: _Growing) -> FoundPhoto | None:
        """The photo if it is complete and not busy; it is then marked as returned."""
        found, before, since = growing
        stamp = Stamp.of(found.path)
        if stamp is None:
            del self._growing[found.path]
        elif stamp != before:
            self._growing[found.path] = _Growing(found, stamp, time.monotonic())
        elif (_is_settled(stamp) or time.monotonic() - since >= SETTLED) and found.name not in self.busy:
            del self._growing[found.path]
            self._returned[found.path] = stamp
            return _updated(found, stamp)
        return None


def _updated(found: FoundPhoto, stamp: Stamp | None) -> FoundPhoto:
    """The photo with its current size and stamp."""
    return found if stamp is None else found._replace(size=stamp.size, stamp=stamp.recorded)


def _is_settled(stamp: Stamp) -> bool:
    """Whether the file was last written a while ago, as one that was moved here."""
    return 0 <= stamp.modified < time.time_ns() - SETTLED * 1e9


def _notifications(folders: Sequence[str]) -> Iterator[bool]:
    """Yield at least every ``TICK`` whether the folders may have changed.

    If the system cannot watch them (no watches left, or a missing folder), it yields false.
    """
    from watchfiles import watch

    milliseconds = round(TICK * 1000)
    with suppress(OSError, RuntimeError):  # watchfiles raises these for system errors
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
            yield bool(changes)
    while True:
        yield False
        time.sleep(TICK)


class Watch:
    """Turns arriving photos into jobs like the batch's first ``jobs``, done or not.

    ``history`` has the records of earlier runs. A photo's result replaces its earlier ones, but no other
    file. Files that are written are not found as inputs.
    """

    def __init__(
        self, arrivals: Arrivals, judge: Judge, options: BatchOptions, jobs: Sequence[Job], history: History
    ) -> None:
        self._arrivals = arrivals
        self._judge = judge
        self._options = options
        self._owners: dict[str, Path] = {}
        self._entries = dict(history.entries)
        self._reserved = set(history.reserved)
        for job in jobs:
            self._register(job, job.files(options.model))

    def jobs(self, first: Iterable[Job], progress: Progress, stopping: Callable[[], bool]) -> Iterator[Job]:
        """Yield ``first``, then jobs for photos that arrive and are not done yet; ``progress`` counts those.

        Raises:
            OutputError: if the reservations cannot be recorded.
        """
        out = self._judge.out
        for job in first:
            self._arrivals.busy.add(job.name)
            yield job
        for found in self._arrivals.arriving(stopping):
            [job] = plan([found], self._options, out, {})
            [verdict] = self._judge.judge([job], self._entries)
            if verdict.reason is Reason.DONE:
                continue
            files = job.files(self._options.model)
            ours = [path for path in files if self._may_replace(job, path)]
            if len(ours) == len(files):
                job = job.replacing()
            record_reservations(out, self._register(job, ours))
            progress.expect(job)
            self._arrivals.busy.add(job.name)
            yield job

    def ended(self, entry: Entry) -> None:
        """Called with each new entry; its photo may be returned again if it changed meanwhile."""
        self._entries[entry.input] = entry
        self._arrivals.busy.discard(entry.input)

    def _may_replace(self, job: Job, path: Path) -> bool:
        """Whether ``path`` may be written: it does not exist, or a batch made it from this photo."""
        name = manifest_path(self._judge.out, path)
        ours = name in self._reserved or not path.exists()
        return ours and self._owners.get(name, job.source) == job.source

    def _register(self, job: Job, files: Sequence[Path]) -> list[str]:
        """Register files of a job as ours; return those that no batch had reserved."""
        names = [manifest_path(self._judge.out, path) for path in files]
        new = [name for name in names if name not in self._reserved]
        self._reserved.update(names)
        self._arrivals.search.own.update(map(real_path, files))
        for name in names:
            self._owners.setdefault(name, job.source)
        return new
