"""What of a batch is done already: with the same settings, of the same input, and intact.

Files that have the stamps that were recorded with their hashes are not read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.batch.jobs import Job
from defocusctl.batch.manifest import Entry, Status, place_in
from defocusctl.batch.storage import LOCAL, Storage

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


@dataclass(frozen=True)
class Judge:
    """Compares jobs with their last entries.

    ``settings`` are those of this run. Where all else agrees, inputs and results are read whole if their
    stamps are not those of the entry, or to ``verify`` them; with ``force`` everything is done again.
    """

    settings: Mapping[str, Any]
    out: Path
    force: bool = False
    verify: bool = False
    storage: Storage = LOCAL

    def judge(self, jobs: Sequence[Job], entries: Mapping[str, Entry]) -> Iterator[Judged]:
        """One verdict for each job, in order."""
        glances = [self._at_a_glance(job, entries.get(job.name)) for job in jobs]
        undecided = [job for job, reason in zip(jobs, glances, strict=True) if reason is None]
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            by_reading = pool.map(lambda job: self._by_reading(job, entries[job.name]), undecided)
            try:
                for job, reason in zip(jobs, glances, strict=True):
                    yield next(by_reading) if reason is None else Judged(job, reason)
            finally:
                pool.shutdown(cancel_futures=True)

    def _at_a_glance(self, job: Job, entry: Entry | None) -> Reason | None:
        """The reason as far as nothing has to be read for it."""
        if self.force:
            return Reason.FORCED
        if entry is None:
            return Reason.NEW
        if entry.status is Status.FAILED:
            return Reason.FAILED
        files = job.files(self.settings["model"]) if entry.status is Status.DONE else ()
        if files and not self._same_settings(entry.settings):
            return Reason.SETTINGS
        if list(entry.files) != [place_in(self.out, path) for path in files]:
            return Reason.SETTINGS
        if self.verify or _is_other(job.stamp, entry.stamp):
            return None
        for path, place in zip(files, entry.files, strict=True):
            if _is_other(self.storage.stamp(path), entry.stamps.get(place)):
                return None
        return Reason.DONE

    def _by_reading(self, job: Job, entry: Entry) -> Judged:
        """The reason by the hashes of what has changed since it was recorded, or of everything."""
        to_read = self.verify or _is_other(job.stamp, entry.stamp)
        if to_read and self.storage.sha256(job.source) != entry.sha256:
            return Judged(job, Reason.INPUT)
        stamps = dict(entry.stamps)
        for place, digest in entry.files.items():
            stamp = self.storage.stamp(self.out / place)  # before it is read
            if not self.verify and not _is_other(stamp, entry.stamps.get(place)):
                continue
            if self.storage.sha256(self.out / place) != digest:
                return Judged(job, Reason.OUTPUT)
            if stamp is not None:
                stamps[place] = stamp
        refreshed = replace(entry, stamp=job.stamp or entry.stamp, stamps=stamps)
        return Judged(job, Reason.DONE, None if refreshed == entry else refreshed)

    def _same_settings(self, before: Mapping[str, Any]) -> bool:
        """What an older version did not have counts as null."""
        now = self.settings
        return before == now or all(before.get(key) == now.get(key) for key in before.keys() | now.keys())


def changes(
    judged: Iterable[Judged], entries: Mapping[str, Entry], settings: Mapping[str, Any]
) -> str | None:
    """One line about settings that are not those of earlier results; None if there is nothing to say."""
    changed = [one.job for one in judged if one.reason is Reason.SETTINGS]
    if not changed:
        return None
    before = entries[changed[0].name].settings
    parts = [f"{key} {before.get(key)} -> {now}" for key, now in settings.items() if before.get(key) != now]
    what = ", ".join(parts) or "other files are asked for"
    return (
        f"the settings changed ({what}): photos done with other ones are done again, {len(changed)} of them"
    )


def _is_other(stamp: str | None, recorded: str | None) -> bool:
    return stamp is None or stamp != recorded
