"""From photos that were found to jobs: where each result goes, and that no two want the same place."""

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from defocusctl.batch.inputs import Found
from defocusctl.batch.job import Entry, Job
from defocusctl.batch.manifest import place_in
from defocusctl.batch.places import HERE, Places
from defocusctl.batch.resume import recorded_suffix
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import OutputError, UsageError

READING_THREADS = 16
"""Photos whose first bytes are read at the same time; a store takes a while for each."""


@dataclass(frozen=True)
class Layout:
    """Where results go: under their own names in ``out``, pictures beside them or in trees of their own.

    ``suffix`` (".png", say) is that of all results, None leaves each photo its own. ``maps`` and
    ``compare`` are folders to mirror the tree in, ``out`` itself for beside the results, or None for no
    such pictures. ``places`` is where the photos really are.
    """

    out: Path
    suffix: str | None = None
    quality: int | None = None
    maps: Path | None = None
    maps_data: bool = False
    compare: Path | None = None
    places: Places = HERE

    def jobs(self, photos: Sequence[Found], entries: Mapping[str, Entry]) -> list[Job]:
        """What there is to do for each photo; those that earlier runs did and recorded are not opened."""
        with ThreadPoolExecutor(READING_THREADS) as pool:
            stamps = [self.places.stamp(found.path) for found in photos]
            suffixes = [
                self.suffix or recorded_suffix(entries.get(found.name), stamp)
                for found, stamp in zip(photos, stamps, strict=True)
            ]
            unknown = [found.path for found, suffix in zip(photos, suffixes, strict=True) if suffix is None]
            read = pool.map(self.places.right_suffix, unknown)
            return [
                self._job(found, stamp, next(read) if suffix is None else suffix)
                for found, stamp, suffix in zip(photos, stamps, suffixes, strict=True)
            ]

    def job(self, found: Found) -> Job:
        """What there is to do for one photo, which is opened."""
        [job] = self.jobs([found], {})
        return job

    def _job(self, found: Found, stamp: str | None, suffix: str) -> Job:
        """``suffix`` is that of all results, or that of what the photo holds."""
        target = self.out / found.name
        target = target.with_suffix(suffix) if self.suffix else _named_by_content(target, found.path, suffix)
        place = found.name.rpartition("/")[0]
        outputs = Outputs(
            quality=self.quality,
            maps=None if self.maps is None else self.maps / place,
            maps_data=target.with_name(f"{target.stem}_maps.npz") if self.maps_data else None,
            compare=None if self.compare is None else self.compare / place / f"{target.stem}_compare.png",
        )
        return Job(found.name, found.path, target, outputs, found.size, stamp)


def check_collisions(jobs: Sequence[Job], model: str) -> None:
    """Refuse, before anything runs, a batch in which a result would replace an input or another result.

    Names that differ only in case, or in how Unicode writes an accent, count as one on every system: a tree
    that this program writes can be copied to any other.

    Raises:
        OutputError: if a result would replace an input.
        UsageError: if two inputs claim one output.
    """
    real = cache(os.path.realpath)  # folders are few and asking the system is slow

    def key(path: Path) -> str:
        folder, name = os.path.split(path)
        whole = f"{real(folder)}/{name}"
        if whole.isascii():
            return whole.casefold()
        return unicodedata.normalize("NFC", unicodedata.normalize("NFD", whole).casefold())

    inputs = {key(job.source): job for job in jobs}
    claimed: dict[str, Job] = {}
    clashes: list[tuple[Job, Job, Path]] = []
    for job in jobs:
        for path in job.files(model):
            place = key(path)
            if place in inputs:
                raise OutputError(
                    f"the result '{path}' would replace the input '{inputs[place].name}'",
                    "choose another folder for the results",
                )
            if claimed.setdefault(place, job) is not job:
                clashes.append((claimed[place], job, path))
    if clashes:
        first, second, path = clashes[0]
        more = f", and so on {len(clashes)} times" if len(clashes) > 1 else ""
        raise UsageError(
            f"'{first.name}' and '{second.name}' would both be written to '{path}'{more}",
            "rename one, leave one out with --exclude, or give --root a folder above both",
        )


def check_strangers(jobs: Iterable[Job], model: str, out: Path, reserved: Collection[str]) -> None:
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


def _named_by_content(target: Path, source: Path, suffix: str) -> Path:
    """``target`` with the ``suffix`` of what ``source`` holds, which its name may not tell.

    Where the photo beside it has that name, as with a stereo camera's DSCF0001.MPO and DSCF0001.JPG, both
    suffixes: DSCF0001.MPO.jpg.
    """
    if suffix == source.suffix:
        return target
    taken = any(source.with_suffix(other).exists() for other in (suffix, suffix.upper()))
    return target.with_name(target.name + suffix) if taken else target.with_suffix(suffix)
