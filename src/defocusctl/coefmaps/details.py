"""Where a photo gained most detail: the places worth enlarging in a comparison."""

import numpy as np

from defocusctl.coefmaps.extent import Array, FloatArray
from defocusctl.geometry import Box, Size


def telling_details(before: Array, after: Array, full_scale: float, *, side: int, count: int) -> list[Box]:
    """At most ``count`` square boxes of ``side`` pixels that do not overlap, the most improved one first.

    Improvement is the growth of the mean gradient magnitude; half a box is the step of the search. A photo
    that is too small for a box has none.
    """
    height, width = before.shape[:2]
    cell = side // 2
    rows, columns = height // cell, width // cell
    if rows < 2 or columns < 2:
        return []
    gain = _gradient_sums(after, full_scale, cell) - _gradient_sums(before, full_scale, cell)
    score = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]  # boxes of 2 x 2 cells
    boxes: list[Box] = []
    while len(boxes) < count and np.isfinite(score).any():
        row, column = (int(i) for i in np.unravel_index(np.argmax(score), score.shape))
        boxes.append(Box(row * cell, column * cell, row * cell + side, column * cell + side))
        score[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = -np.inf
    return boxes


def _gradient_sums(pixels: Array, full_scale: float, cell: int) -> FloatArray:
    """Sums of |dx| + |dy| of the grey values over ``cell`` x ``cell`` blocks, one row of blocks at a time."""
    size = Size(*pixels.shape[:2])
    rows, columns = size.height // cell, size.width // cell
    sums = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        strip = pixels[row * cell : (row + 1) * cell, : columns * cell].astype(np.float32)
        grey = np.clip(np.nan_to_num(strip.mean(axis=2) / np.float32(full_scale)), 0, 1)
        gradients = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
        gradients += np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
        sums[row] = gradients.sum(axis=0).reshape(columns, cell).sum(axis=1)
    return sums
