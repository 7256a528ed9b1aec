"""What of a batch is done already: with the same settings, of the same input, and intact.

Files that have the stamps that were recorded with their hashes are not read.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.batch.job import BatchSettings, Entry, Job, Status
from defocusctl.batch.manifest import place_in
from defocusctl.batch.places import HERE, Places

HASHING_THREADS = 4


class Reason(StrEnum):
    """Why a photo has to be done, or that it has not."""

    DONE = "done already"
    NEW = "new"
    FAILED = "failed before"
    SETTINGS = "other settings"
    INPUT = "the photo changed"
    OUTPUT = "its result is gone or changed"
    FORCED = "forced"


class Judged(NamedTuple):
    """A job and why it is to be done; ``refreshed`` is its entry with new stamps, if it was read for that."""

    job: Job
    reason: Reason
    refreshed: Entry | None = None


def judge(
    jobs: Iterable[Job],
    entries: Mapping[str, Entry],
    settings: BatchSettings,
    out: Path,
    *,
    force: bool,
    verify: bool = False,
    places: Places = HERE,
) -> Iterator[Judged]:
    """Compare each job with its last entry, in order.

    Where all else agrees, inputs and results are read whole if their stamps are not those of the entry, or
    to ``verify`` them.
    """
    judging = _Judging(settings.as_json(), out, force, verify, places)
    jobs = list(jobs)
    glances = [judging.at_a_glance(job, entries.get(job.name)) for job in jobs]
    undecided = [job for job, reason in zip(jobs, glances, strict=True) if reason is None]
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        by_reading = pool.map(lambda job: judging.by_reading(job, entries[job.name]), undecided)
        try:
            for job, reason in zip(jobs, glances, strict=True):
                yield next(by_reading) if reason is None else Judged(job, reason)
        finally:
            pool.shutdown(cancel_futures=True)


def recorded_suffix(entry: Entry | None, stamp: str | None) -> str | None:
    """The suffix that an earlier run gave the result of a photo by its content; None if it may have changed.

    ``stamp`` is that of the photo now.
    """
    unchanged = entry is not None and entry.stamp is not None and entry.stamp == stamp
    if entry is None or not unchanged or not entry.files or entry.settings.get("format") is not None:
        return None
    return Path(next(iter(entry.files))).suffix


def changes(judged: Iterable[Judged], entries: Mapping[str, Entry], settings: BatchSettings) -> str | None:
    """One line about settings that are not those of earlier results; None if there is nothing to say."""
    changed = [one.job for one in judged if one.reason is Reason.SETTINGS]
    if not changed:
        return None
    now = settings.as_json()
    before = entries[changed[0].name].settings
    parts = [f"{key} {before.get(key)} -> {now[key]}" for key in now if before.get(key) != now[key]]
    what = ", ".join(parts) or "other files are asked for"
    return (
        f"the settings changed ({what}): photos done with other ones are done again, {len(changed)} of them"
    )


@dataclass(frozen=True)
class _Judging:
    """What one photo after another is judged by."""

    wanted: Mapping[str, Any]
    out: Path
    force: bool
    verify: bool
    places: Places

    def at_a_glance(self, job: Job, entry: Entry | None) -> Reason | None:
        """The reason as far as nothing has to be read for it."""
        if self.force:
            return Reason.FORCED
        if entry is None:
            return Reason.NEW
        if entry.status is Status.FAILED:
            return Reason.FAILED
        if entry.status is Status.DONE and not self._as_wanted(job, entry):
            return Reason.SETTINGS
        if self.verify or _is_other(job.stamp, entry.stamp):
            return None
        if any(_is_other(self._stamp(place), entry.stamps.get(place)) for place in entry.files):
            return None
        return Reason.DONE

    def by_reading(self, job: Job, entry: Entry) -> Judged:
        """The reason by the hashes of what has changed since it was recorded, or of everything."""
        to_read = self.verify or _is_other(job.stamp, entry.stamp)
        if to_read and self.places.sha256(job.source) != entry.sha256:
            return Judged(job, Reason.INPUT)
        stamps = dict(entry.stamps)
        for place, digest in entry.files.items():
            stamp = self._stamp(place)  # before it is read
            if not self.verify and not _is_other(stamp, entry.stamps.get(place)):
                continue
            if self.places.sha256(self.out / place) != digest:
                return Judged(job, Reason.OUTPUT)
            if stamp is not None:
                stamps[place] = stamp
        refreshed = replace(entry, stamp=job.stamp or entry.stamp, stamps=stamps)
        return Judged(job, Reason.DONE, None if refreshed == entry else refreshed)

    def _as_wanted(self, job: Job, entry: Entry) -> bool:
        """Whether it was done with the same settings; what an older version did not have counts as null."""
        before, wanted = entry.settings, self.wanted
        if any(before.get(key) != wanted.get(key) for key in before.keys() | wanted.keys()):
            return False
        return list(entry.files) == [place_in(self.out, path) for path in job.files(wanted["model"])]

    def _stamp(self, place: str) -> str | None:
        return self.places.stamp(self.out / place)


def _is_other(stamp: str | None, recorded: str | None) -> bool:
    return stamp is None or stamp != recorded
