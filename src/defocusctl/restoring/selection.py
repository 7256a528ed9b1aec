"""Which level of a photo is used where: from blur radii to shares."""

from collections.abc import Sequence

import cv2
import numpy as np

from defocusctl.errors import UsageError
from defocusctl.models.level_shares import LevelShares
from defocusctl.photo import Mask
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.blur import BlurMap
from defocusctl.restoring.levels import CELL, SCALES, Shares
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tiles import SMALLEST, Floats

SCALE_OF = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}
SMALLEST_FOR_LEVELS = 64  # the smallest side of a photo that is restored at several scales
LEAST_SHARE = 0.25  # smaller shares are not worth computing a level for
SMALLEST_PATCH = 16  # cells; a patch has room for such a square: context makes smaller ones costly
PATCHES = 16  # in a small photo, a patch need only be as large as its shorter side divided by this

QUANTILES = (-1.28, -0.52, 0.0, 0.52, 1.28)
"""Standard deviations from the median at which the radius's distribution is sampled."""

MARGIN = 3  # cells around a wanted part that keep their shares, so that inside no edge is seen
FADE = 0.15  # from this fraction below ``max_blur`` on, the change fades out


def levels_for(size: Size) -> tuple[int, ...]:
    """The scales at which a photo of this size may be restored."""
    if min(size) < SMALLEST_FOR_LEVELS:
        return (1,)
    return tuple(scale for scale in SCALES if min(size) // scale >= SMALLEST)


def leaves_enough(scale: str, size: Size) -> bool:
    """Whether a photo is large enough for ``--scale``; it always is for 1 and ``auto``."""
    factor = SCALE_OF.get(scale, 1)
    return factor == 1 or min(size) // factor >= SMALLEST


def check_scale(scale: str, size: Size) -> None:
    """Refuse a scale that leaves too little of the photo.

    Raises:
        UsageError: if fewer than 32 pixels would remain on a side.
    """
    if not leaves_enough(scale, size):
        raise UsageError(
            f"at a scale of {scale}, a photo of {size.width}x{size.height} pixels has fewer than {SMALLEST} "
            "on a side",
            "use a larger --scale, or auto",
        )


def shares_by_radius(
    radius: Floats, sigma: Floats, measured: LevelShares, available: Sequence[int]
) -> Floats:
    """The shares of the levels (L, h, w) for estimated blur radii and their deviations (h, w), in pixels.

    They are means over the radius's distribution, which is normal in log(1 + radius); smoothed over
    neighbouring cells, and 0 for levels that are not available.
    """
    spread = sigma / (1 + radius)
    centre = np.log1p(radius)
    sampled = [measured.of(np.expm1(np.maximum(centre + z * spread, 0))) for z in QUANTILES]
    shares: Floats = np.stack(sampled).mean(axis=0, dtype=np.float32)
    shares[[scale not in available for scale in SCALES]] = 0
    for plane in shares:
        cv2.GaussianBlur(plane, (3, 3), 0, dst=plane, borderType=cv2.BORDER_REPLICATE)
    return shares


def _shares_of(blur: BlurMap, measured: LevelShares, available: Sequence[int]) -> Floats:
    """The shares of the levels (L, h, w); in an enlarged photo, those of the photo before, at its sizes.

    Of these, sizes that are too small for the enlarged photo's levels count for the smallest, up to 1.
    """
    if blur.enlarged == 1:
        return shares_by_radius(blur.radius, blur.sigma, measured, available)
    radius, sigma = (values / np.float32(blur.enlarged) for values in (blur.radius, blur.sigma))
    before = shares_by_radius(radius, sigma, measured, SCALES)
    finer, last = SCALES.index(blur.enlarged), SCALES.index(max(available))
    shares = np.zeros_like(before)
    shares[finer:last] = before[: max(0, last - finer)]
    shares[last] = np.minimum(before[max(0, last - finer) :].sum(axis=0), 1)
    return shares


def worthwhile(shares: Floats) -> Floats:
    """The shares of the levels (L, h, w), with those that gain too little for their time set to 0."""
    kept = np.where(shares < LEAST_SHARE, np.float32(0), shares)
    side = min(SMALLEST_PATCH, max(1, min(kept.shape[1:]) // PATCHES))
    square = np.ones((side, side), np.uint8)
    for plane in kept:
        used = (plane > 0).astype(np.uint8)
        _, patches = cv2.connectedComponents(used, connectivity=4)
        large = patches[cv2.erode(used, square) > 0]
        plane[~np.isin(patches, large)] = 0
    return kept


def select_levels(
    settings: RestoreSettings,
    measured: LevelShares,
    size: Size,
    wanted: Box,
    blur: BlurMap | None,
    mask: Mask | None,
) -> Shares | None:
    """The shares of the levels in the part ``wanted`` of a photo; None is the level of scale 1 everywhere.

    A scale of ``auto`` and ``max_blur`` need the ``blur`` map. ``mask`` has the size of the photo.
    """
    available = levels_for(size)
    scale = "1" if settings.scale == "auto" and available == (1,) else settings.scale
    if scale == "1" and settings.max_blur is None and mask is None:
        return None
    if scale == "auto" and blur is not None:
        values = worthwhile(_shares_of(blur, measured, available))
    else:
        values = np.zeros((len(SCALES), *size.in_blocks(CELL)), np.float32)
        values[SCALES.index(SCALE_OF[scale])] = 1
    if settings.max_blur is not None and blur is not None:
        values *= np.clip((settings.max_blur - blur.radius) / (FADE * settings.max_blur), 0, 1)
    if mask is not None:
        values *= _cells_of(mask)
    near = wanted.in_blocks(CELL).grown(MARGIN).within(Size(*values.shape[1:]))
    inside = np.zeros_like(values)
    inside[:, *near.slices] = values[:, *near.slices]
    return Shares(inside)


def _cells_of(mask: Mask) -> Floats:
    """1 in the cells of a photo's mask (H, W) that are not black, and in those around them, else 0."""
    rows, columns = (np.arange(0, length, CELL) for length in mask.shape)
    lit = np.maximum.reduceat(np.maximum.reduceat(mask, rows, axis=0), columns, axis=1) > 0
    around: Floats = cv2.dilate(lit.astype(np.float32), np.ones((2 * MARGIN + 1,) * 2))
    return around
