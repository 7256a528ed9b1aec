"""Where a photo gained the most detail: the areas worth enlarging in a comparison."""

import cv2
import numpy as np

from defocusctl.geometry import Box, Size
from defocusctl.maps.extent import Array, FloatArray

FINE, COARSE = 1.0, 2.0  # standard deviations in pixels: noise is finer, shading coarser
SUPPORT = 8  # pixels: 4 standard deviations of the coarser blur
BORDER = 0.04  # fraction of each side that is kept free of boxes if possible


def improved_details(before: Array, after: Array, full_scale: float, *, side: int, count: int) -> list[Box]:
    """Up to ``count`` square boxes of ``side`` pixels that do not overlap, most improved first.

    Improvement is the increase of the mean magnitude in the band between two Gaussians, just below the finest
    detail, where the noise is. The search step is half a box. Boxes avoid the photo's border if two fit side
    by side inside it. A photo smaller than a box has none.
    """
    cell = side // 2
    inner = _within_border(Size(*before.shape[:2]), side)
    rows, columns = inner.size.height // cell, inner.size.width // cell
    if rows < 2 or columns < 2:
        return []
    gain = _band_sums(after, full_scale, inner, cell) - _band_sums(before, full_scale, inner, cell)
    score = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]  # a box has 2 x 2 cells
    boxes: list[Box] = []
    while len(boxes) < count and np.isfinite(score).any():
        row, column = (int(i) for i in np.unravel_index(np.argmax(score), score.shape))
        top, left = inner.top + row * cell, inner.left + column * cell
        boxes.append(Box(top, left, top + side, left + side))
        score[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = -np.inf
    return boxes


def _within_border(size: Size, side: int) -> Box:
    """The photo without its border, except along a side with room for less than two boxes."""
    down, across = (
        border if length - 2 * (border := round(BORDER * length)) >= 2 * side else 0 for length in size
    )
    return Box(down, across, size.height - down, size.width - across)


def _band_sums(pixels: Array, full_scale: float, inner: Box, cell: int) -> FloatArray:
    """Sums of |difference of Gaussians| of the grey values over ``cell`` x ``cell`` blocks of ``inner``.

    Works on one row of blocks at a time, plus the margin that the Gaussians need.
    """
    rows, columns = inner.size.height // cell, inner.size.width // cell
    sums = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        top = inner.top + row * cell
        first = max(0, top - SUPPORT)
        strip = pixels[first : top + cell + SUPPORT].astype(np.float32)
        grey = np.clip(np.nan_to_num(strip.mean(axis=2) / np.float32(full_scale)), 0, 1)
        band = np.abs(_blurred(grey, FINE) - _blurred(grey, COARSE))
        blocks = band[top - first :][:cell, inner.left : inner.left + columns * cell]
        sums[row] = blocks.sum(axis=0).reshape(columns, cell).sum(axis=1)
    return sums


def _blurred(grey: FloatArray, deviation: float) -> FloatArray:
    width = 2 * SUPPORT + 1
    return np.asarray(cv2.GaussianBlur(grey, (width, width), deviation, borderType=cv2.BORDER_REPLICATE))
