"""What part of a photo is restored: valid, visible pixels, and a region with its context."""

import numpy as np

from defocusctl.errors import InputError, UsageError
from defocusctl.photo import Photo
from defocusctl.photo.alpha import filled
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.output import Pixels

BAND = 256  # rows that are checked at a time
NEUTRAL_SPREAD = 1 / 255  # of white: how far red, green and blue of a neutral pixel lie apart at most


def is_neutral(pixels: Pixels, full_scale: float) -> bool:
    """Whether (H, W, 1 or 3) pixels are a black-and-white photo, perhaps stored as RGB."""
    if pixels.shape[2] == 1:
        return True
    bands = (pixels[top : top + BAND] for top in range(0, len(pixels), BAND))
    spreads = (band.max(axis=2) - band.min(axis=2) for band in bands)
    return all(float(spread.max()) <= NEUTRAL_SPREAD * full_scale for spread in spreads)


def visible(photo: Photo) -> Pixels:
    """The photo's pixels, with the colours that its alpha hides replaced."""
    return photo.pixels if photo.transparency is None else filled(photo.pixels, photo.transparency)


def check_pixels(pixels: Pixels) -> None:
    """Refuse pixels other than (H, W, 1 or 3) uint8, uint16 or finite float32.

    Raises:
        InputError: if they are of another kind.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        cause = f"pixels of shape {pixels.shape} are not a photo"
        raise InputError(cause, "give an array of (height, width, 1 or 3)")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"pixels of type {pixels.dtype} are not supported", "use uint8, uint16 or float32")
    bands = (pixels[top : top + BAND] for top in range(0, len(pixels), BAND))
    if pixels.dtype == np.float32 and not all(np.isfinite(band).all() for band in bands):
        raise InputError("the photo has pixels that are infinite or not numbers", "replace them first")


def region_inside(region: Box, photo: Size) -> Box:
    """Return the region if it lies inside the photo.

    Raises:
        UsageError: if it does not, or is empty.
    """
    if region.top < 0 or region.left < 0 or region.bottom > photo.height or region.right > photo.width:
        cause = f"the region {region.text} is not inside the photo"
        raise UsageError(cause, f"the photo has {photo.width}x{photo.height} pixels")
    if region.size.height <= 0 or region.size.width <= 0:
        raise UsageError(f"the region {region.text} is empty", "make it at least 1 pixel wide and high")
    return region
