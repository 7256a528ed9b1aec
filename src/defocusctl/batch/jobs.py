"""Turns found photos into jobs: where each result goes, so that it replaces nothing but earlier results."""

import hashlib
import os
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from defocusctl.batch.inputs import FoundPhoto, path_resolver
from defocusctl.batch.manifest import Entry, manifest_path, record_reservations
from defocusctl.batch.storage import LOCAL, Storage
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import OutputError, UsageError
from defocusctl.photo import DEFAULT_MAX_MEGAPIXELS, Mask
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.atomic import remove_abandoned

READING_THREADS = 16  # photos whose first bytes are read at the same time; stores respond slowly


@dataclass(frozen=True)
class BatchOptions:
    """What to do with every photo of a batch.

    ``format`` (such as ".png") is the suffix of all results; None keeps each photo's own. ``maps`` and
    ``compare`` are the roots of their own folder trees, the output folder to put them beside the results, or
    None for no such pictures. ``white`` and ``mask`` are as in ``read_photo`` and ``read_mask``.
    """

    model: str
    restoring: RestoreSettings = field(default_factory=RestoreSettings)
    format: str | None = None
    quality: int | None = None
    maps: Path | None = None
    maps_data: bool = False
    compare: Path | None = None
    white: float | None = None
    mask: Mask | None = None
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS

    def settings(self, weights: str) -> dict[str, Any]:
        """The settings that affect results, as in the manifest; ``weights`` is their hash.

        A photo done with other settings is done again. Values are as requested, so None or "auto" where the
        program chooses: a batch may be resumed on another machine. A scale of 1 is
        None, as in older manifests.
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
            "scale": None if self.restoring.scale == "1" else self.restoring.scale,
            "max_blur": self.restoring.max_blur,
            "mask": None if self.mask is None else hashlib.sha256(self.mask.tobytes()).hexdigest(),
        }


@dataclass(frozen=True, slots=True)
class Job:
    """One photo to restore; can be pickled.

    ``name`` is its path below the searched folder, with slashes on every system; it is unique in a batch and
    identifies the photo in the manifest and to the user. ``target`` is the file to write, ``outputs`` the
    other pictures and whether existing files may be replaced. ``size`` is the file's size in bytes when it
    was found, 0 if unknown; the time left is estimated from it. ``stamp`` (``manifest.Stamp``) shows without
    reading the file whether it has changed; None if that is unknown.
    """

    name: str
    source: Path
    target: Path
    outputs: Outputs
    size: int
    stamp: str | None = None

    def files(self, model: str) -> tuple[Path, ...]:
        """Every file that it writes, the photo first."""
        return self.target, *self.outputs.pictures(self.target.stem, model)

    def replacing(self) -> Self:
        """The same job, allowed to replace existing files."""
        return replace(self, outputs=replace(self.outputs, force=True))

    def absolute(self) -> Self:
        """The same job with absolute paths, for a process in another working directory."""
        return replace(
            self,
            source=self.source.absolute(),
            target=self.target.absolute(),
            outputs=self.outputs.absolute(),
        )


def plan(
    photos: Sequence[FoundPhoto],
    options: BatchOptions,
    out: Path,
    entries: Mapping[str, Entry],
    storage: Storage = LOCAL,
) -> list[Job]:
    """A job for each photo, with results under the photos' names in ``out``.

    Photos that ``entries`` of earlier runs record as unchanged are not opened. ``storage`` has the photos.
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
    """The suffix that an earlier run chose by the photo's content; None if the content may have changed.

    ``stamp`` is the photo's current one.
    """
    if entry is None or entry.stamp is None or entry.stamp != stamp:
        return None
    if not entry.files or entry.settings.get("format") is not None:
        return None
    return os.path.splitext(next(iter(entry.files)))[1]  # noqa: PTH122 - quicker than a Path


def _job(found: FoundPhoto, stamp: str | None, suffix: str, options: BatchOptions, out: Path) -> Job:
    """``suffix`` is the one of all results, or matches the photo's content.

    If its name has another, and a photo with this one exists too, as with a stereo camera's DSCF0001.MPO and
    DSCF0001.JPG, the result gets both suffixes: DSCF0001.MPO.jpg.
    """
    source, target = Path(found.path), out / found.name
    if options.format:
        target = target.with_suffix(suffix)
    elif not found.name.endswith(suffix):
        taken = any(source.with_suffix(other).exists() for other in (suffix, suffix.upper()))
        target = target.with_name(target.name + suffix) if taken else target.with_suffix(suffix)
    folder = found.name.rpartition("/")[0]
    outputs = Outputs(
        quality=options.quality,
        maps=None if options.maps is None else options.maps / folder,
        maps_data=target.with_name(f"{target.stem}_maps.npz") if options.maps_data else None,
        compare=None if options.compare is None else options.compare / folder / f"{target.stem}_compare.png",
    )
    return Job(found.name, source, target, outputs, found.size, stamp)


def check_collisions(jobs: Sequence[Job], model: str) -> None:
    """Before anything runs, refuse a batch in which a result would replace an input or another result.

    Names that differ only in case or Unicode normalisation count as equal on every system, so that the
    results can be copied to any other.

    Raises:
        OutputError: if a result would replace an input.
        UsageError: if two inputs have one output.
    """
    resolve = path_resolver()

    def key(path: Path) -> str:
        real = resolve(path)
        if real.isascii():
            return real.casefold()
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", real).casefold())

    inputs = {key(job.source): job for job in jobs}
    owners: dict[str, Job] = {}
    clashes: list[tuple[Job, Job, Path]] = []
    for job in jobs:
        for path in job.files(model):
            output = key(path)
            if output in inputs:
                cause = f"the result '{path}' would replace the input '{inputs[output].name}'"
                raise OutputError(cause, "choose another folder for the results")
            if owners.setdefault(output, job) is not job:
                clashes.append((owners[output], job, path))
    if clashes:
        first, second, path = clashes[0]
        more = f" ({len(clashes)} such clashes)" if len(clashes) > 1 else ""
        cause = f"'{first.name}' and '{second.name}' would both be written to '{path}'{more}"
        remedy = "rename one, leave one out with --exclude, or give --root a folder that contains both"
        raise UsageError(cause, remedy)


def check_foreign(jobs: Sequence[Job], model: str, out: Path, reserved: Collection[str]) -> None:
    """Refuse to replace files that no batch in ``out`` wrote.

    Raises:
        OutputError: if there are any.
    """
    files = (path for job in jobs for path in job.files(model))
    foreign = [path for path in files if os.path.lexists(path) and manifest_path(out, path) not in reserved]
    if foreign:
        more = f" and {len(foreign) - 1} more that" if foreign[1:] else ", which"
        cause = f"results would replace '{foreign[0]}'{more} no batch wrote"
        raise OutputError(cause, "choose another folder for the results, or use --force")


def reserve(jobs: Sequence[Job], model: str, out: Path, reserved: Collection[str]) -> list[Job]:
    """Reserve the jobs' files for this batch; return the jobs, allowed to replace files that exist now.

    Unfinished files of killed runs are removed. Call ``check_foreign`` first, to keep files of others; a file
    that appears later is not replaced.

    Raises:
        OutputError: if the reservations cannot be recorded.
    """
    files = [job.files(model) for job in jobs]
    new = (manifest_path(out, path) for paths in files for path in paths)
    record_reservations(out, (path for path in new if path not in reserved))
    for folder in {path.parent for paths in files for path in paths}:
        remove_abandoned(folder)
    return [
        job.replacing() if any(path.exists() for path in paths) else job
        for job, paths in zip(jobs, files, strict=True)
    ]
