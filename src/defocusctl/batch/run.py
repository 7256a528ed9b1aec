"""A batch from jobs to a manifest: photos are done, each is recorded, and an early end has its reason."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from defocusctl.batch.engine import Engine
from defocusctl.batch.job import BatchSettings, Entry, Job, Outcome, Status
from defocusctl.batch.manifest import Manifest, place_in, record_reservations
from defocusctl.batch.resume import Judged
from defocusctl.batch.stop import Stop
from defocusctl.errors import OutputError, SomeFailedError
from defocusctl.system.atomic import remove_abandoned

AT_ONCE = 500
"""Entries that are written together where photos need not be done."""
GO_ON = "the same command goes on where it stopped"


def reserve(jobs: Sequence[Job], settings: BatchSettings, out: Path, reserved: Collection[str]) -> list[Job]:
    """Reserve the jobs' files for this batch; return the jobs, each knowing whether it may replace its files.

    What killed runs left unfinished beside them is removed. Whatever exists and is to stay must have been
    refused before: a file that appears from now on is not replaced.

    Raises:
        OutputError: if the reservations cannot be recorded.
    """
    places = {job: [place_in(out, path) for path in job.files(settings.model)] for job in jobs}
    known = set(reserved)
    record_reservations(out, (place for listed in places.values() for place in listed if place not in known))
    for folder in {(out / place).parent for listed in places.values() for place in listed}:
        remove_abandoned(folder)
    return [
        job.replacing() if any((out / place).exists() for place in listed) else job
        for job, listed in places.items()
    ]


def record_readable(out: Path, entries: Mapping[str, Entry], found: Collection[str]) -> None:
    """Withdraw the failures of folders that could not be read and in which photos were ``found`` by now."""
    with closing(Manifest(out)) as manifest:
        for name, entry in entries.items():
            folder = name.endswith("/") and entry.status is Status.FAILED
            if folder and any(photo.startswith(name) for photo in found):
                readable = replace(
                    entry, status=Status.SKIPPED, error="the folder can be read now", exit_code=0
                )
                manifest.append(readable)


def record_refreshed(out: Path, judged: Iterable[Judged]) -> Iterator[Judged]:
    """Pass on what was judged, and record the entries with new stamps, some at a time."""
    refreshed: list[Entry] = []

    def record() -> None:
        with closing(Manifest(out)) as manifest:
            manifest.append(*refreshed)
        refreshed.clear()

    try:
        for one in judged:
            if one.refreshed is not None:
                refreshed.append(one.refreshed)
            if len(refreshed) >= AT_ONCE:
                record()
            yield one
    finally:
        if refreshed:
            record()


def run_jobs(
    jobs: Iterable[Job], engine: Engine, out: Path, stop: Stop, lost: Iterable[Outcome] = ()
) -> Iterator[Entry]:
    """Do the jobs and record each as it ends; return the entries that were recorded.

    ``lost`` are failures that are known before anything is done, such as folders that cannot be read.

    Raises:
        OutputError: if nothing more can be written, to the manifest or at all.
        SomeFailedError: if more failed than may.
    """
    fatal: Entry | None = None
    with closing(Manifest(out)) as manifest, closing(engine.outcomes(jobs, stop)) as outcomes:
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
