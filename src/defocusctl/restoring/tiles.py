"""How a large photo is cut into overlapping tiles, and how their results are joined. No torch here.

Along one axis, a tile that has neighbours on both sides looks like this::

    |<-- overlap -->|<- ramp ->|       alone        |<- ramp ->|<-- overlap -->|
    start       keep_start                                   keep_stop      stop

It reads ``start`` to ``stop`` and provides ``keep_start`` to ``keep_stop``; the rest is context for the
network and is discarded. In a ramp, the results of two neighbours are blended. No pixel within ``overlap`` of
a cut edge is ever used: if ``overlap`` is at least the receptive radius of a local network, the joined result
equals that for the whole photo.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from defocusctl.errors import UsageError
from defocusctl.photo.geometry import Box, Size, round_up

STEP = 16
"""Tiles start at multiples of this, or of a larger number that their network needs, and so are their sizes:
every scale of the network fits, and shifts of the tile do not change its result."""

SMALLEST = 2 * STEP  # the smallest side of a tile or a padded photo, for this step
CONTEXT = 16  # pixels of reflection around a photo: networks are least accurate at image borders
RAMP = 16  # pixels over which two neighbouring results are blended

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """The part of the padded photo that is read, and the part whose result is used."""

    read: Box
    keep: Box


@dataclass(frozen=True)
class TilePlan:
    """All tiles of a photo, rows of tiles from top to bottom, each from left to right.

    ``size`` is the padded size, ``tile`` the size of all tiles, ``overlap`` the minimum context that is
    discarded at each cut edge. The photo begins at row and column ``context``. All are multiples of ``step``
    but the last two.
    """

    size: Size
    tile: Size
    overlap: int
    tiles: tuple[Tile, ...]
    context: int
    step: int

    @property
    def count(self) -> int:
        return len(self.tiles)


def padded_size(size: Size, context: int = 0, step: int = STEP) -> Size:
    """The padded size of a photo with ``context`` on all sides: multiples of ``step``, at least two."""
    return Size(*(max(2 * step, round_up(length + 2 * context, step)) for length in size))


def smallest_tile(overlap: int, step: int = STEP) -> int:
    """The smallest tile with room for ``overlap`` and a ramp on both sides and something in between."""
    return max(2 * step, _shared(overlap, step) + step)


def cheapest_tile(size: Size, pixels: int, overlap: int, context: int = 0, step: int = STEP) -> Size:
    """The tile of at most ``pixels`` for which the least of a photo is computed, overlaps included.

    No side is shorter than the overlap allows.
    """
    shared, smallest = _shared(overlap, step), smallest_tile(overlap, step)
    height, width = padded_size(size, context, step)
    best, least = Size(smallest, smallest), inf
    for rows in range(1, max(1, (height - shared) // step) + 1):
        tall = _equal_tile(height, rows, shared, step)
        widest = pixels // tall // step * step
        if widest < min(width, smallest):
            continue
        columns = 1 if widest >= width else -(-(width - shared) // (widest - shared))
        tile = Size(tall, _equal_tile(width, columns, shared, step))
        computed = rows * columns * tile.pixels
        if computed < least and (columns == 1 or tile.width >= smallest):
            best, least = tile, computed
    return best


def with_context(part: Box, tile: Tile, plan: TilePlan) -> Box:
    """The part of a tile to read for the result of ``part``: the overlap around it, as tiles are aligned."""
    (top, bottom), (left, right) = (
        _with_context(inner, outer, plan) for inner, outer in zip(part.slices, tile.read.slices, strict=True)
    )
    return Box(top, left, bottom, right)


def _with_context(part: slice, tile: slice, plan: TilePlan) -> tuple[int, int]:
    step, smallest = plan.step, 2 * plan.step
    start = max(tile.start, (part.start - plan.overlap) // step * step)
    stop = min(tile.stop, max(round_up(part.stop + plan.overlap, step), start + smallest))
    return min(start, stop - smallest), stop


def plan_tiles(size: Size, tile: Size, overlap: int, context: int = 0, step: int = STEP) -> TilePlan:
    """Cut a photo of ``size`` into tiles of at most the size ``tile`` (a side of 0: as long as the photo's).

    All tiles have the same size, as small as their number allows; the sides of ``tile`` are rounded up to
    multiples of ``step``, which is one of 16.
    ``context``, a multiple of 8 (the largest map block), is added on all sides.

    Raises:
        UsageError: if a tile has no room for the overlap on both sides.
    """
    padded = padded_size(size, context, step)
    rows, columns = (_spans(length, side, overlap, step) for length, side in zip(padded, tile, strict=True))
    tiles = tuple(
        Tile(*(Box(y.start, x.start, y.stop, x.stop) for y, x in zip(row, column, strict=True)))
        for row in rows
        for column in columns
    )
    return TilePlan(padded, tiles[0].read.size, overlap, tiles, context, step)


def _spans(length: int, tile: int, overlap: int, step: int) -> list[tuple[slice, slice]]:
    """What equal tiles read and keep along one axis of ``length`` pixels, a multiple of ``step``."""
    asked, whole = tile, tile == 0
    tile = max(2 * step, round_up(tile, step))
    if whole or tile >= length:
        return [(slice(0, length), slice(0, length))]
    shared = _shared(overlap, step)
    if tile < smallest_tile(overlap, step):
        cause = f"tiles of {asked} pixels have no room for an overlap of {overlap} on both sides"
        remedy = f"use tiles of at least {smallest_tile(overlap, step)} pixels or a smaller overlap"
        raise UsageError(cause, remedy)
    count = -(-(length - shared) // (tile - shared))
    tile = _equal_tile(length, count, shared, step)
    starts = [index * (length - tile) // (count - 1) // step * step for index in range(count)]
    seams = [(start + previous + tile) // 2 for previous, start in pairwise(starts)]
    kept_from = [0, *(seam - RAMP // 2 for seam in seams)]
    kept_to = [*(seam + RAMP // 2 for seam in seams), length]
    return [
        (slice(start, start + tile), slice(first, last))
        for start, first, last in zip(starts, kept_from, kept_to, strict=True)
    ]


def _equal_tile(length: int, count: int, shared: int, step: int) -> int:
    """The size of ``count`` equal tiles over ``length`` pixels, sharing ``shared`` with each neighbour."""
    return round_up(-(-(length + (count - 1) * shared) // count), step)


def _shared(overlap: int, step: int) -> int:
    """How many pixels two neighbours both read: a ramp with an overlap on each side."""
    return round_up(2 * overlap + RAMP, step)


def rising_window(length: int) -> Floats:
    """A tile's weights along its ramp, from 0 to 1: a raised cosine. The neighbour's are 1 minus these."""
    phase = (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(length)
    weights: Floats = np.sin(phase * np.float32(np.pi / 2)) ** 2
    return weights


class Stitcher:
    """Joins the tiles' results in the order of the plan; holds only the open seams.

    ``divisor`` is how much smaller the results are than the photo: 1, 2 or 4. Every call of ``join`` returns
    a finished piece; together, the pieces cover the padded photo exactly once.
    """

    def __init__(self, plan: TilePlan, channels: int, divisor: int = 1) -> None:
        self._size = plan.size
        self._divisor = divisor
        ramp = RAMP // divisor
        self._rising = rising_window(ramp)
        self._falling = 1 - self._rising
        self._right_seam: Floats = np.empty((channels, 0, ramp), np.float32)
        self._lower_seam: Floats = np.empty((channels, ramp, plan.size.width // divisor), np.float32)

    def join(self, tile: Tile, values: Floats) -> tuple[Box, Floats]:
        """Add a tile's (C, h, w) result; returns a finished box and its values (C, h', w').

        The box is in pixels of the map, that is, of the photo divided by ``divisor``.
        """
        ramp = len(self._rising)
        keep, read = tile.keep.in_blocks(self._divisor), tile.read.in_blocks(self._divisor)
        block = values[:, *keep.relative_to(read).slices].astype(np.float32, copy=True)
        top, left, bottom, right = keep.top, keep.left, keep.bottom, keep.right
        if left > 0:
            block[:, :, :ramp] = block[:, :, :ramp] * self._rising + self._right_seam
        if right < self._size.width // self._divisor:
            self._right_seam = block[:, :, -ramp:] * self._falling
            block, right = block[:, :, :-ramp], right - ramp
        if top > 0:
            block[:, :ramp] = block[:, :ramp] * self._rising[:, None] + self._lower_seam[:, :, left:right]
        if bottom < self._size.height // self._divisor:
            self._lower_seam[:, :, left:right] = block[:, -ramp:] * self._falling[:, None]
            block, bottom = block[:, :-ramp], bottom - ramp
        return Box(top, left, bottom, right), block
