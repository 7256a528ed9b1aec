"""From photos that were found to jobs: where each result goes, and that it replaces nothing but results."""

import os
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from defocusctl.batch.inputs import Found, path_resolver
from defocusctl.batch.manifest import Entry, place_in, record_reservations
from defocusctl.batch.storage import LOCAL, Storage
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import OutputError, UsageError
from defocusctl.photo import DEFAULT_MAX_MEGAPIXELS
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.atomic import remove_abandoned

READING_THREADS = 16
"""Photos whose first bytes are read at the same time; a store takes a while for each."""


@dataclass(frozen=True)
class BatchOptions:
    """What to do with every photo of a batch.

    ``format`` (".png", say) is the suffix of all results, None leaves each photo its own. ``maps`` and
    ``compare`` are folders for trees of their own, the output folder itself for beside the results, or None
    for no such pictures. ``white`` is that of ``read_photo``.
    """

    model: str
    restoring: RestoreSettings = field(default_factory=RestoreSettings)
    format: str | None = None
    quality: int | None = None
    maps: Path | None = None
    maps_data: bool = False
    compare: Path | None = None
    white: float | None = None
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS

    def settings(self, weights: str) -> dict[str, Any]:
        """What decides how a result looks, as the manifest has it; ``weights`` is their hash.

        A photo done with other settings is done again. They are as they were asked for, None or "auto" if
        the program chose: a batch may go on on another machine.
        """
        return {
            "model": self.model,
            "weights": weights,
            "strength": self.restoring.strength,
            "tile": self.restoring.tile,
            "overlap": self.restoring.overlap,
            "precision": self.restoring.precision,
            "quality": self.quality,
            "format": self.format,
            "maps": self.maps is not None,
            "maps_data": self.maps_data,
            "compare": self.compare is not None,
            "white": self.white,
        }


@dataclass(frozen=True, slots=True)
class Job:
    """One photo to do.

    ``name`` is its path below the folder it was found in, with slashes on every system; it is unique in a
    batch and names the photo in the manifest and to the user. ``target`` is the file to write, ``outputs``
    the pictures beside it and whether files that exist may be replaced. ``size`` is the file's size in
    bytes when it was found, 0 if unknown: it weighs the photos against each other for the time left.
    ``stamp`` is what says without reading the file that it has not changed (``manifest.Stamp``), None if
    nothing does. Jobs can be pickled.
    """

    name: str
    source: Path
    target: Path
    outputs: Outputs
    size: int
    stamp: str | None = None

    def files(self, model: str) -> tuple[Path, ...]:
        """Every file it writes, the photo first."""
        return self.target, *self.outputs.pictures(self.target.stem, model)

    def replacing(self) -> Self:
        """The same job, allowed to replace the files that are there."""
        return replace(self, outputs=replace(self.outputs, force=True))

    def absolute(self) -> Self:
        """The same job for a process in another folder."""
        return replace(
            self,
            source=self.source.absolute(),
            target=self.target.absolute(),
            outputs=self.outputs.absolute(),
        )


class Outcome(NamedTuple):
    """A job that has ended; ``fatal`` says that no other one could succeed, as on a full disk."""

    job: Job
    entry: Entry
    fatal: bool


def plan(
    photos: Sequence[Found],
    options: BatchOptions,
    out: Path,
    entries: Mapping[str, Entry],
    storage: Storage = LOCAL,
) -> list[Job]:
    """What there is to do for each photo, with results under their own names in ``out``.

    Those that ``entries`` of earlier runs say were done are not opened. ``storage`` is where the photos
    really are.
    """
    stamps = [storage.stamp(found.path, found.stamp) for found in photos]
    suffixes = [
        options.format or _recorded_suffix(entries.get(found.name), stamp)
        for found, stamp in zip(photos, stamps, strict=True)
    ]
    unknown = [Path(found.path) for found, suffix in zip(photos, suffixes, strict=True) if suffix is None]
    with ThreadPoolExecutor(READING_THREADS) as pool:
        read = pool.map(storage.right_suffix, unknown)
        return [
            _job(found, stamp, next(read) if suffix is None else suffix, options, out)
            for found, stamp, suffix in zip(photos, stamps, suffixes, strict=True)
        ]


def _recorded_suffix(entry: Entry | None, stamp: str | None) -> str | None:
    """The suffix that an earlier run gave the result of a photo by its content; None if it may have changed.

    ``stamp`` is that of the photo now.
    """
    if entry is None or entry.stamp is None or entry.stamp != stamp:
        return None
    if not entry.files or entry.settings.get("format") is not None:
        return None
    return os.path.splitext(next(iter(entry.files)))[1]  # noqa: PTH122 - quicker than a Path


def _job(found: Found, stamp: str | None, suffix: str, options: BatchOptions, out: Path) -> Job:
    """``suffix`` is that of all results, or that of what the photo holds."""
    source, target = Path(found.path), out / found.name
    if options.format:
        target = target.with_suffix(suffix)
    elif not found.name.endswith(suffix):
        target = _named_by_content(target, source, suffix)
    place = found.name.rpartition("/")[0]
    outputs = Outputs(
        quality=options.quality,
        maps=None if options.maps is None else options.maps / place,
        maps_data=target.with_name(f"{target.stem}_maps.npz") if options.maps_data else None,
        compare=None if options.compare is None else options.compare / place / f"{target.stem}_compare.png",
    )
    return Job(found.name, source, target, outputs, found.size, stamp)


def _named_by_content(target: Path, source: Path, suffix: str) -> Path:
    """``target`` with the ``suffix`` of what ``source`` holds, which its name may not say.

    Where the photo beside it has that name, as with a stereo camera's DSCF0001.MPO and DSCF0001.JPG, both
    suffixes: DSCF0001.MPO.jpg.
    """
    taken = any(source.with_suffix(other).exists() for other in (suffix, suffix.upper()))
    return target.with_name(target.name + suffix) if taken else target.with_suffix(suffix)


def check_collisions(jobs: Sequence[Job], model: str) -> None:
    """Refuse, before anything runs, a batch in which a result would replace an input or another result.

    Names that differ only in case, or in how Unicode writes an accent, count as one on every system: a tree
    that this program writes can be copied to any other.

    Raises:
        OutputError: if a result would replace an input.
        UsageError: if two inputs have one output.
    """
    resolve = path_resolver()

    def key(path: Path) -> str:
        whole = resolve(path)
        if whole.isascii():
            return whole.casefold()
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", whole).casefold())

    inputs = {key(job.source): job for job in jobs}
    owners: dict[str, Job] = {}
    clashes: list[tuple[Job, Job, Path]] = []
    for job in jobs:
        for path in job.files(model):
            place = key(path)
            if place in inputs:
                raise OutputError(
                    f"the result '{path}' would replace the input '{inputs[place].name}'",
                    "choose another folder for the results",
                )
            if owners.setdefault(place, job) is not job:
                clashes.append((owners[place], job, path))
    if clashes:
        first, second, path = clashes[0]
        more = f", and so on {len(clashes)} times" if len(clashes) > 1 else ""
        raise UsageError(
            f"'{first.name}' and '{second.name}' would both be written to '{path}'{more}",
            "rename one, leave one out with --exclude, or give --root a folder above both",
        )


def check_foreign(jobs: Sequence[Job], model: str, out: Path, reserved: Collection[str]) -> None:
    """Refuse to replace files that no batch in ``out`` has written.

    Raises:
        OutputError: if there are any.
    """
    files = (path for job in jobs for path in job.files(model))
    there = [path for path in files if os.path.lexists(path) and place_in(out, path) not in reserved]
    if there:
        raise OutputError(
            f"{len(there)} results would replace files that no batch wrote, '{there[0]}' among them",
            "choose another folder for the results, or --force",
        )


def reserve(jobs: Sequence[Job], model: str, out: Path, reserved: Collection[str]) -> list[Job]:
    """Reserve the jobs' files for this batch; return the jobs, each knowing whether it may replace its files.

    What killed runs left unfinished beside them is removed. Whatever exists and is to stay must have been
    refused before: a file that appears from now on is not replaced.

    Raises:
        OutputError: if the reservations cannot be recorded.
    """
    files = [job.files(model) for job in jobs]
    new = (place_in(out, path) for paths in files for path in paths)
    record_reservations(out, (place for place in new if place not in reserved))
    for folder in {path.parent for paths in files for path in paths}:
        remove_abandoned(folder)
    return [
        job.replacing() if any(path.exists() for path in paths) else job
        for job, paths in zip(jobs, files, strict=True)
    ]
