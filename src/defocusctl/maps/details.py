"""Where a photo gained most detail: the places worth enlarging in a comparison."""

import cv2
import numpy as np

from defocusctl.geometry import Box, Size
from defocusctl.maps.extent import Array, FloatArray

FINE, COARSE = 1.0, 2.0  # standard deviations in pixels: noise lies below, shading above
REACH = 8  # pixels: 4 standard deviations of the coarser blur
BORDER = 0.04  # of each side, kept free of boxes where there is room


def telling_details(before: Array, after: Array, full_scale: float, *, side: int, count: int) -> list[Box]:
    """At most ``count`` square boxes of ``side`` pixels that do not overlap, the most improved one first.

    Improvement is the growth of the mean magnitude of the band between two Gaussians: just below the finest
    detail, where noise is. Half a box is the step of the search. Boxes keep off the border of the photo if
    it has room for two beside each other within. A photo that is too small for a box has none.
    """
    cell = side // 2
    inner = _within_border(Size(*before.shape[:2]), side)
    rows, columns = inner.size.height // cell, inner.size.width // cell
    if rows < 2 or columns < 2:
        return []
    gain = _band_sums(after, full_scale, inner, cell) - _band_sums(before, full_scale, inner, cell)
    score = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]  # boxes of 2 x 2 cells
    boxes: list[Box] = []
    while len(boxes) < count and np.isfinite(score).any():
        row, column = (int(i) for i in np.unravel_index(np.argmax(score), score.shape))
        top, left = inner.top + row * cell, inner.left + column * cell
        boxes.append(Box(top, left, top + side, left + side))
        score[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = -np.inf
    return boxes


def _within_border(size: Size, side: int) -> Box:
    """The photo without its border, or with it along a side that has room for less than two boxes."""
    down, across = (
        border if length - 2 * (border := round(BORDER * length)) >= 2 * side else 0 for length in size
    )
    return Box(down, across, size.height - down, size.width - across)


def _band_sums(pixels: Array, full_scale: float, inner: Box, cell: int) -> FloatArray:
    """Sums of |difference of Gaussians| of the grey values over ``cell`` x ``cell`` blocks of ``inner``.

    One row of blocks at a time is held, with what the Gaussians reach around it.
    """
    rows, columns = inner.size.height // cell, inner.size.width // cell
    sums = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        top = inner.top + row * cell
        first = max(0, top - REACH)
        strip = pixels[first : top + cell + REACH].astype(np.float32)
        grey = np.clip(np.nan_to_num(strip.mean(axis=2) / np.float32(full_scale)), 0, 1)
        band = np.abs(_blurred(grey, FINE) - _blurred(grey, COARSE))
        blocks = band[top - first :][:cell, inner.left : inner.left + columns * cell]
        sums[row] = blocks.sum(axis=0).reshape(columns, cell).sum(axis=1)
    return sums


def _blurred(grey: FloatArray, deviation: float) -> FloatArray:
    width = 2 * REACH + 1
    return np.asarray(cv2.GaussianBlur(grey, (width, width), deviation, borderType=cv2.BORDER_REPLICATE))
