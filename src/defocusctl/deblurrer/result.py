"""The result of deblurring an image, or a batch of images in one tensor."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from defocusctl import __version__
from defocusctl.errors import OutputError, UsageError
from defocusctl.photo import Provenance, check_writable_target, conversion_warnings, write_photo
from defocusctl.restoring.change import Change
from defocusctl.restoring.output import HalfArray
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.settings import RestoreReport
from defocusctl.restoring.tiles import Floats
from defocusctl.weights.resolve import ResolvedWeights

ImageT = TypeVar("ImageT")
SampleT = TypeVar("SampleT", bound=np.generic)


@dataclass(frozen=True, eq=False, repr=False)
class DeblurResult(Generic[ImageT]):
    """One deblurred image, or one tensor of several, as returned by ``Deblurrer.deblur``.

    ``parts`` are the images, one unless ``is_batch``; ``weights`` are those used, with ``model``, ``name``,
    ``source``, ``checksum`` and ``note``; ``source`` is the file that was read, or None.
    """

    parts: tuple[Restored, ...]
    weights: ResolvedWeights
    make_image: Callable[[], ImageT]
    source: Path | None = None
    is_batch: bool = False

    @cached_property
    def image(self) -> ImageT:
        """The deblurred image, of the kind, shape and type of the input; for a file, a NumPy array.

        That array is (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGB and alpha, in the
        file's bit depth, upright.
        """
        return self.make_image()

    @cached_property
    def coefficients(self) -> Mapping[str, HalfArray]:
        """The network's coefficients by the papers' names, each (K, H/s, W/s) float16 with s = 1, 2 or 4.

        For a tensor (B, C, H, W) they have a leading axis B.

        Raises:
            UsageError: if they were not kept.
        """
        kept = [part.coefficients for part in self.parts if part.coefficients is not None]
        if len(kept) < len(self.parts):
            raise UsageError("the coefficients were not kept", "call deblur(..., coefficients=True)")
        return {name: self._joined([maps[name] for maps in kept]) for name in kept[0]}

    @cached_property
    def blur_radius(self) -> Floats:
        """The radius in pixels of the blur disc at each pixel, (H, W) float32, as estimated (docs/levels.md).

        Raises:
            UsageError: if it was not estimated: at a fixed scale, without ``max_blur`` or coefficients.
        """
        known = [radius for part in self.parts if (radius := part.blur_radius) is not None]
        if len(known) < len(self.parts):
            raise UsageError("the blur radius was not estimated", "use the scale auto, or coefficients=True")
        return self._joined(known)

    @property
    def change(self) -> Change:
        """The change, for ``Deblurrer.apply_change``.

        Raises:
            UsageError: if it was not kept, or this is a batch.
        """
        change = self.parts[0].change
        if change is None or self.is_batch:
            raise UsageError("the change was not kept", "call deblur(..., keep_change=True) with one image")
        return change

    @property
    def report(self) -> RestoreReport:
        """Device, precision, tiles, seconds, megapixels and memory; for a batch, totals and peak memory."""
        reports = [part.report for part in self.parts]
        return replace(
            reports[0],
            tiles=sum(report.tiles for report in reports),
            seconds=sum(report.seconds for report in reports),
            megapixels=sum(report.megapixels for report in reports),
            peak_memory=max(report.peak_memory for report in reports),
            warnings=tuple(line for report in reports for line in report.warnings),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems with the image or with restoring a part of it, one line each; usually none."""
        return (*(line for part in self.parts for line in part.before.warnings), *self.report.warnings)

    def save(
        self, path: str | os.PathLike[str], *, quality: int | None = None, force: bool = False
    ) -> tuple[str, ...]:
        """Write the image, whole or not at all, with its metadata, as the command line does.

        The suffix sets the format. ``quality`` (1 to 100) is for JPEG, WebP, AVIF and HEIC; by default it is
        at least that of a source of the same format. ``force`` overwrites a file, but never the source.
        Returns what the format could not hold, one line each.

        Raises:
            UsageError: if the quality is out of range, or this is a batch.
            OutputError: if the format cannot hold the image, or the file exists or cannot be written.
        """
        target = Path(path)
        if self.is_batch:
            raise UsageError("a batch in one tensor cannot be saved as one file", "deblur a list of images")
        if quality is not None and not 1 <= quality <= 100:
            raise UsageError(f"a quality of {quality} is not possible", "use 1 to 100")
        if target.is_dir():
            raise OutputError(f"'{target}' is a folder", "add a file name")
        check_writable_target(self.source or Path("-"), target, force=force)
        lost = conversion_warnings(self.parts[0].before, target)
        write_restored(self.parts[0], self.weights, target, quality=quality, force=force)
        return lost

    def __repr__(self) -> str:
        size, report = self.parts[0].before.size, self.report
        many = f"{len(self.parts)} x " if self.is_batch else ""
        made = f"{self.weights.model}/{self.weights.name} on {report.device} ({report.precision})"
        return f"<DeblurResult {many}{size.width}x{size.height} by {made} in {report.seconds:.1f} s>"

    def _joined(self, arrays: Sequence[npt.NDArray[SampleT]]) -> npt.NDArray[SampleT]:
        joined: npt.NDArray[Any] = np.stack(arrays) if self.is_batch else arrays[0]
        return joined


def write_restored(
    restored: Restored,
    weights: ResolvedWeights,
    target: Path | BinaryIO,
    *,
    quality: int | None,
    force: bool,
    backup: Path | None = None,
) -> None:
    """Write a restored photo whole or not at all, with its metadata and provenance.

    ``backup`` is as in ``write_photo``.

    Raises:
        OutputError: if the format cannot hold it, or the file exists or cannot be written.
    """
    report, before = restored.report, restored.before
    settings: dict[str, str | int | float | None] = {
        "model": weights.model,
        "weights": weights.name,
        "weightsHash": str(weights.checksum),
        "strength": report.strength,
        "scale": report.scale,
        "backend": report.backend,
        "precision": report.precision,
        "tile": report.tile,
        "overlap": report.overlap,
        "maxBlur": report.max_blur,
        "mask": "yes" if report.masked else None,
        "region": None if restored.region is None else restored.region.text,
        "white": before.white,
    }
    known = {key: value for key, value in settings.items() if value is not None}
    provenance = Provenance(software=f"defocusctl {__version__}", settings=known)
    write_photo(
        before, restored.pixels, target, quality=quality, provenance=provenance, force=force, backup=backup
    )
