"""What the Space does with a photo, without its page: restore it, apply the change again, make the files."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from weakref import finalize

from defocusctl import Deblurrer, DeblurResult, DefocusctlError
from defocusctl.errors import printable
from defocusctl.maps.maps import blur_radius_sheet
from defocusctl.photo import output_path
from defocusctl.restoring.change import Change
from defocusctl.restoring.selection import SCALE_OF

MODELS = ("iniknet", "nrknet")
SCALES = ("auto", *SCALE_OF)
BEFORE, BLUR_MAP = "before.webp", "blur-map.png"
NO_LIMIT = 0.0
"""The value of the slider for the largest blur that means that there is none."""


@dataclass(frozen=True, eq=False)
class Job:
    """A photo that was restored: enough to apply its change with another strength or largest blur.

    Its files are in ``folder`` and are gone with the job.
    """

    deblurrer: Deblurrer
    source: Path
    change: Change
    max_megapixels: float
    folder: Path

    def __post_init__(self) -> None:
        finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def __deepcopy__(self, memo: object) -> "Job":
        return self  # Gradio copies the values that it keeps


@dataclass(frozen=True)
class Shown:
    """The files of a result: two pictures for the browser, the blur map, and the photo to download."""

    before: Path
    after: Path
    blur_map: Path
    download: Path
    notes: tuple[str, ...]


@lru_cache(maxsize=4)
def _deblurrer(model: str, scale: str) -> Deblurrer:
    return Deblurrer.from_pretrained(model, "bundled", scale=scale)


def restore(
    source: Path,
    model: str,
    scale: str,
    *,
    max_megapixels: float,
    on_tile: Callable[[int, int], None] | None = None,
) -> Job:
    """Restore a photo at full strength; what is slow.

    Raises:
        DefocusctlError: if the photo cannot be read or is too large.
    """
    deblurrer = _deblurrer(model, scale)
    result = deblurrer.deblur(source, keep_change=True, max_megapixels=max_megapixels, on_tile=on_tile)
    job = Job(deblurrer, source, result.change, max_megapixels, Path(tempfile.mkdtemp(prefix="deblurred-")))
    before = _result(job, 0.0, NO_LIMIT)
    before.save(job.folder / BEFORE)
    part = before.parts[0]
    blur_radius_sheet(part.before, part.blur_radius, part.shares).save(job.folder / BLUR_MAP, force=True)
    return job


def show(job: Job, strength: float, max_blur: float) -> Shown:
    """Make the files of a result with that strength, and nothing changed beyond that blur; what is fast.

    Raises:
        DefocusctlError: if a file cannot be written.
    """
    result = _result(job, strength, max_blur)
    folder = Path(tempfile.mkdtemp(dir=job.folder))  # a browser would show an old file of the same name
    after, download = folder / "after.webp", output_path(job.source, folder)
    result.save(after)
    notes = (*result.warnings, *result.save(download))
    return Shown(job.folder / BEFORE, after, job.folder / BLUR_MAP, download, notes)


def message(error: Exception, source: Path) -> str:
    """What a visitor reads about an error: its cause, without folders or tracebacks of the server."""
    if isinstance(error, DefocusctlError):
        return printable(error.cause).replace(f"{source.parent}{os.sep}", "")
    return "this photo could not be deblurred because of a fault in the Space"


def _result(job: Job, strength: float, max_blur: float) -> DeblurResult:
    return job.deblurrer.apply_change(
        job.change,
        job.source,
        strength=strength,
        max_blur=None if max_blur == NO_LIMIT else max_blur,
        max_megapixels=job.max_megapixels,
    )
