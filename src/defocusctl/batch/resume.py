"""What of a batch is done already: with the same settings, of the same input, and intact."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.batch.job import BatchSettings, Entry, Job, Status
from defocusctl.batch.manifest import place_in
from defocusctl.digests import Digest

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
    """A job and why it is to be done."""

    job: Job
    reason: Reason


def judge(
    jobs: Iterable[Job],
    entries: Mapping[str, Entry],
    settings: BatchSettings,
    out: Path,
    *,
    force: bool,
    on_judged: Callable[[int], None] | None = None,
) -> list[Judged]:
    """Compare each job with its last entry, reading inputs and results whole where all else agrees.

    ``on_judged`` is told how many have been.
    """
    wanted = settings.as_json()

    def reason(job: Job) -> Reason:
        return Reason.FORCED if force else _reason(job, entries.get(job.name), wanted, out)

    judged = []
    jobs = list(jobs)
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        for job, why in zip(jobs, pool.map(reason, jobs), strict=True):
            judged.append(Judged(job, why))
            if on_judged is not None:
                on_judged(len(judged))
    return judged


def changes(judged: Iterable[Judged], entries: Mapping[str, Entry], settings: BatchSettings) -> str | None:
    """One line about settings that are not those of earlier results; None if there is nothing to say."""
    changed = [job for job, why in judged if why is Reason.SETTINGS]
    if not changed:
        return None
    now = settings.as_json()
    before = entries[changed[0].name].settings
    parts = [f"{key} {before.get(key)} -> {now[key]}" for key in now if before.get(key) != now[key]]
    what = ", ".join(parts) or "other files are asked for"
    return (
        f"the settings changed ({what}): photos done with other ones are done again, {len(changed)} of them"
    )


def _reason(job: Job, entry: Entry | None, wanted: Mapping[str, Any], out: Path) -> Reason:
    if entry is None:
        return Reason.NEW
    if entry.status is Status.FAILED:
        return Reason.FAILED
    expected = [place_in(out, path) for path in job.files(wanted["model"])]
    if entry.status is Status.DONE and (entry.settings != wanted or list(entry.files) != expected):
        return Reason.SETTINGS
    if _sha256(job.source) != entry.sha256:
        return Reason.INPUT
    intact = all(_sha256(out / place) == digest for place, digest in entry.files.items())
    return Reason.DONE if intact else Reason.OUTPUT


def _sha256(path: Path) -> str | None:
    try:
        return Digest.of_file(path, "sha256").hex
    except OSError:
        return None
