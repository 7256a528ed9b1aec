"""The eight EXIF orientations (EXIF 2.32, tag 0x0112), applied to arrays."""

import numpy as np

from defocusctl.photo.model import Samples


def swaps_sides(orientation: int) -> bool:
    """Whether the upright picture is as wide as the stored one is high."""
    return orientation >= 5


def upright(stored: Samples, orientation: int) -> Samples:
    """The stored array (H, W, ...) as the viewer should see it.

    Orientation n says where the stored first row and column belong: 1 top left, 2 top right,
    3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    """
    if swaps_sides(orientation):
        stored = stored.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)
