"""Which photos of a batch are done already: with the same settings, from the same input, and intact.

Files that still have their recorded stamps are not read.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.batch.jobs import Job
from defocusctl.batch.manifest import Entry, Status, manifest_path
from defocusctl.batch.storage import LOCAL, Storage

HASHING_THREADS = 4


class Reason(StrEnum):
    """Why a photo has to be done, or ``DONE``."""

    DONE = "done already"
    NEW = "new"
    FAILED = "failed before"
    SETTINGS = "other settings"
    INPUT = "the photo changed"
    OUTPUT = "its result is gone or changed"
    FORCED = "forced"


class Verdict(NamedTuple):
    """A job and whether or why it has to be done; ``refreshed`` is its entry with new stamps, if any."""

    job: Job
    reason: Reason
    refreshed: Entry | None = None


@dataclass(frozen=True)
class Judge:
    """Compares jobs with their last entries.

    ``settings`` are those of this run. If everything else agrees, files are read and hashed when their stamps
    have changed, or always with ``verify``; with ``force`` everything is done again.
    """

    settings: Mapping[str, Any]
    out: Path
    force: bool = False
    verify: bool = False
    storage: Storage = LOCAL

    def judge(self, jobs: Sequence[Job], entries: Mapping[str, Entry]) -> Iterator[Verdict]:
        """Yield a verdict for each job, in order."""
        reasons = [self._without_reading(job, entries.get(job.name)) for job in jobs]
        undecided = [job for job, reason in zip(jobs, reasons, strict=True) if reason is None]
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            by_reading = pool.map(lambda job: self._by_reading(job, entries[job.name]), undecided)
            try:
                for job, reason in zip(jobs, reasons, strict=True):
                    yield next(by_reading) if reason is None else Verdict(job, reason)
            finally:
                pool.shutdown(cancel_futures=True)

    def _without_reading(self, job: Job, entry: Entry | None) -> Reason | None:
        """The reason, or None if files have to be read to find it."""
        if self.force:
            return Reason.FORCED
        if entry is None:
            return Reason.NEW
        if entry.status is Status.FAILED:
            return Reason.FAILED
        files = job.files(self.settings["model"]) if entry.status is Status.DONE else ()
        if files and not self._same_settings(entry.settings):
            return Reason.SETTINGS
        if list(entry.files) != [manifest_path(self.out, path) for path in files]:
            return Reason.SETTINGS
        if self.verify or _differs(job.stamp, entry.stamp):
            return None
        for path, name in zip(files, entry.files, strict=True):
            if _differs(self.storage.stamp(path), entry.stamps.get(name)):
                return None
        return Reason.DONE

    def _by_reading(self, job: Job, entry: Entry) -> Verdict:
        """The reason by the hashes of the files whose stamps have changed, or of all files."""
        to_read = self.verify or _differs(job.stamp, entry.stamp)
        if to_read and self.storage.sha256(job.source) != entry.sha256:
            return Verdict(job, Reason.INPUT)
        stamps = dict(entry.stamps)
        for name, checksum in entry.files.items():
            stamp = self.storage.stamp(self.out / name)  # before reading
            if not self.verify and not _differs(stamp, entry.stamps.get(name)):
                continue
            if self.storage.sha256(self.out / name) != checksum:
                return Verdict(job, Reason.OUTPUT)
            if stamp is not None:
                stamps[name] = stamp
        refreshed = replace(entry, stamp=job.stamp or entry.stamp, stamps=stamps)
        return Verdict(job, Reason.DONE, None if refreshed == entry else refreshed)

    def _same_settings(self, before: Mapping[str, Any]) -> bool:
        """Whether settings agree; those missing from older versions count as null."""
        now = self.settings
        return before == now or all(before.get(key) == now.get(key) for key in before.keys() | now.keys())


def changes(
    verdicts: Sequence[Verdict], entries: Mapping[str, Entry], settings: Mapping[str, Any]
) -> str | None:
    """One line about other settings than earlier results have, and about results that changed; or None."""
    parts = []
    if again := [one.job for one in verdicts if one.reason is Reason.SETTINGS]:
        before = entries[again[0].name].settings
        keys = [
            f"{key} {before.get(key)} -> {now}" for key, now in settings.items() if before.get(key) != now
        ]
        what = ", ".join(keys) or "other files are requested"
        parts.append(f"the settings changed ({what}); photos to be done again: {len(again)}")
    if altered := sum(one.reason is Reason.OUTPUT and one.job.target.exists() for one in verdicts):
        parts.append(f"results that are incomplete or were changed, to be replaced: {altered}")
    return "; ".join(parts) or None


def _differs(stamp: str | None, recorded: str | None) -> bool:
    return stamp is None or stamp != recorded
