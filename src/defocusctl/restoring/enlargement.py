"""Whether a photo was enlarged: it then has no detail as fine as its pixels, and no finer level helps it.

Halving a photo loses what is finer than two pixels. In a photo as a camera made it, even a blurred one, the
first halving loses some of what the second one does; in one enlarged bicubically, next to nothing.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from defocusctl.photo import Photo
from defocusctl.restoring.tiles import Floats

WINDOW, WINDOWS = 256, 8
"""Side of the windows that are looked at, in pixels, and how many there are at most in each direction."""

BLOCK = 32
"""Side of the blocks whose losses are compared, in pixels."""

LEAST_LOSS = 4.0
"""Mean square, in levels of 255, that halving a block must lose for it to count."""

FEWEST_BLOCKS = 3
"""How many blocks must count to tell."""

MOST_LOST = 0.05
"""Of the loss of the next halving, as the median of all blocks, in an enlarged photo.

Measured: mostly 0.02 to 0.045 in photos enlarged bicubically, 0.10 and more in 84 photos out of focus, 0.065
and more in photos blurred everywhere by discs of 1.75 to 5 pixels.
"""


def enlargement(photo: Photo) -> int:
    """How many times a photo was enlarged bicubically: 4, 2 or 1. Noise and JPEG afterwards hide it."""
    losses = np.concatenate([_losses(window) for window in _windows(photo)], axis=1)
    for factor, (finer, coarser) in ((4, losses[1:3]), (2, losses[:2])):
        counted = coarser > LEAST_LOSS
        if counted.sum() >= FEWEST_BLOCKS and np.median(finer[counted] / coarser[counted]) < MOST_LOST:
            return factor
    return 1


def _windows(photo: Photo) -> Iterator[Floats]:
    """Evenly spread parts of the photo, (h, w) in levels of 255."""
    rows, columns = (
        np.linspace(0, side - min(side, WINDOW), min(WINDOWS, -(-side // WINDOW))).astype(int)
        for side in photo.size
    )
    for top in rows:
        for left in columns:
            part = photo.pixels[top : top + WINDOW, left : left + WINDOW].astype(np.float32)
            yield part.mean(axis=2) * np.float32(255 / photo.full_scale)


def _losses(plane: Floats) -> Floats:
    """What three halvings lose in each whole block: mean squares, (3, blocks)."""
    height, width = (length // BLOCK for length in plane.shape)
    plane = plane[: height * BLOCK, : width * BLOCK]
    losses = []
    for side in (BLOCK, BLOCK // 2, BLOCK // 4):
        if not plane.size:
            losses.append(np.zeros(0, np.float32))
            continue
        half = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        lost = plane - cv2.resize(half, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        losses.append((lost**2).reshape(height, side, width, side).mean(axis=(1, 3)).ravel())
        plane = half
    return np.stack(losses)
