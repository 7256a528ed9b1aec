"""A restored photo, and the same photo with another strength or max_blur, at once from its kept change.

Restoring again with a max_blur computes less of the photo: then pixels may differ by 1 of 255.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from defocusctl.errors import UsageError
from defocusctl.photo import Photo, cropped, fitted
from defocusctl.photo.geometry import Box
from defocusctl.restoring.blur import BlurMap
from defocusctl.restoring.change import Change
from defocusctl.restoring.levels import CELL, SCALES, cells_at
from defocusctl.restoring.output import HalfArray, Pixels
from defocusctl.restoring.parts import check_pixels, visible
from defocusctl.restoring.pyramid import PhotoPyramid
from defocusctl.restoring.selection import select_levels
from defocusctl.restoring.settings import RestoreReport
from defocusctl.restoring.tiles import Floats


@dataclass(frozen=True, eq=False)
class Restored:
    """A photo's restored pixels and how they were made.

    ``before`` is the photo or its part ``region``; ``pixels`` have its shape and type. ``shares`` are those
    of the levels for each 8 x 8 pixels, (4, h, w) (``restoring.levels``). ``coefficients`` maps
    the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4 times the scale of the level that they
    belong to, sizes rounded up), stitched like the pixels; None if they were not requested. ``blur`` is the
    blur map of the whole photo, 0 far from the region; it is estimated for a scale of ``auto``, for
    ``max_blur``, with coefficients and for a kept ``change``, otherwise None.
    """

    before: Photo
    region: Box | None
    pixels: Pixels
    shares: Floats
    coefficients: Mapping[str, HalfArray] | None
    blur: BlurMap | None
    report: RestoreReport
    change: Change | None = None

    @classmethod
    def of(
        cls,
        pyramid: PhotoPyramid,
        photo: Photo,
        region: Box | None,
        report: RestoreReport,
        change: Change | None,
    ) -> Self:
        """The result for ``photo``, of which ``pyramid`` was filled."""
        before = photo if region is None else cropped(photo, region)
        pixels = pyramid.pixels()
        if before.transparency is not None:
            hidden = before.transparency <= 0
            pixels[hidden] = before.pixels[hidden]
        shares, coefficients = pyramid.shares(), pyramid.coefficients()
        return cls(before, region, pixels, shares, coefficients, pyramid.blur, report, change)

    @property
    def blur_radius(self) -> Floats | None:
        """The blur radius in pixels at each pixel of ``before``, (H, W); None if it was not estimated."""
        if self.blur is None:
            return None
        box = Box(0, 0, *self.before.size) if self.region is None else self.region
        return cells_at(self.blur.radius, CELL, box)

    @property
    def after(self) -> Photo:
        """The photo with its restored pixels and all of its metadata."""
        return replace(self.before, pixels=self.pixels)


def adjusted(photo: Photo, change: Change, *, strength: float, max_blur: float | None) -> Restored:
    """The photo that the change was computed for, restored with these settings and otherwise the same.

    Raises:
        UsageError: if a setting is out of range, the photo has another size or other colours, or the change
            was limited to a smaller blur.
        InputError: if the photo has pixels that are not finite.
    """
    check_pixels(photo.pixels)
    settings = replace(change.settings, strength=strength, max_blur=max_blur)
    if photo.size != change.size:
        cause = f"the change is for a photo of {change.size.width}x{change.size.height} pixels"
        raise UsageError(cause, f"this one has {photo.size.width}x{photo.size.height}")
    _, piece = next(change.pieces.of(1))
    if len(piece) != photo.pixels.shape[2]:
        cause = f"the change is for a photo with {len(piece)} channels without alpha"
        raise UsageError(cause, f"this one has {photo.pixels.shape[2]}")
    limit = change.settings.max_blur
    if limit is not None and (max_blur is None or max_blur > limit):
        cause = f"the change was computed for blur up to {limit:g} pixels only"
        raise UsageError(cause, "deblur without max_blur to choose it later")
    seen = Photo.of_pixels(visible(photo), photo.full_scale)
    wanted = Box(0, 0, *photo.size) if change.region is None else change.region
    mask = None if change.mask is None else fitted(change.mask, photo.size)
    shares = select_levels(settings, change.measured, seen.size, wanted, change.blur, mask)
    kept = change.pieces.plans
    pyramid = PhotoPyramid(
        seen, wanted, kept[1].overlap, kept[1].step, strength, shares, change.blur, mask, None
    )
    plans = {scale: kept[scale] for scale in reversed(SCALES) if scale in pyramid.buffers}
    for scale, plan in plans.items():
        pyramid.buffers[scale].repeat(plan, change.pieces.of(scale))
    report = replace(
        change.report,
        strength=strength,
        max_blur=max_blur,
        levels=pyramid.mean_shares(),
        tile=max(max(plan.tile) for plan in plans.values()),
    )
    return Restored.of(pyramid, photo, change.region, report, change)
