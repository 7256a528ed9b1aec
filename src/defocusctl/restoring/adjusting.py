"""Applies a kept change with another strength or max_blur, at once.

Restoring again with a max_blur computes less of the photo: then pixels may differ by 1 of 255.
"""

from dataclasses import replace

from defocusctl.errors import UsageError
from defocusctl.geometry import Box
from defocusctl.photo import Photo, cropped, fitted
from defocusctl.restoring.change import Change
from defocusctl.restoring.levels import SCALES
from defocusctl.restoring.parts import visible, with_hidden
from defocusctl.restoring.pyramid import PhotoPyramid
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.selection import select_levels


def adjusted(photo: Photo, change: Change, *, strength: float, max_blur: float | None) -> Restored:
    """The photo that the change was computed for, restored with these settings and otherwise the same.

    Raises:
        UsageError: if a setting is out of range, the photo has another size, or the change was limited to a
            smaller blur.
    """
    settings = replace(change.settings, strength=strength, max_blur=max_blur)
    if photo.size != change.size:
        raise UsageError(
            f"the change is for a photo of {change.size.width}x{change.size.height} pixels",
            f"this one has {photo.size.width}x{photo.size.height}",
        )
    limit = change.settings.max_blur
    if limit is not None and (max_blur is None or max_blur > limit):
        raise UsageError(
            f"the change was computed for blur up to {limit:g} pixels only",
            "deblur without max_blur to choose it later",
        )
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
        levels=pyramid.mean_shares(wanted),
        tile=max(max(plan.tile) for plan in plans.values()),
    )
    before = photo if change.region is None else cropped(photo, change.region)
    pixels = with_hidden(before, pyramid.pixels(wanted))
    shown = pyramid.shares(wanted)
    return Restored(before, change.region, pixels, shown, None, change.blur, report, change)
