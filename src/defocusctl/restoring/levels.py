"""A photo at several scales, and how their changes are blended (docs/levels.md).

The network sees the photo at full size and shrunken to a half, a quarter and an eighth. Each level has a
share in the result that varies over the photo. A level's change, times its share, is added to the enlarged
sum of the coarser levels; the photo itself is never enlarged. Where all shares are 0, the photo is unchanged.

Shares are (L, h, w): one plane per level, one cell for each block of ``CELL`` x ``CELL`` pixels of the photo.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.tiles import Floats

SCALES = (1, 2, 4, 8)  # by how much each level is smaller than the photo
CELL = 8  # pixels of the photo on each side of a cell of the shares
BAND = 512  # rows of the photo that are shrunk at a time
CUBIC_SUPPORT = 2  # pixels on each side that bicubic interpolation uses


@dataclass(frozen=True, eq=False)
class Level:
    """The part ``area`` of a photo, shrunken by ``scale``; it begins at a multiple of the tiles' step."""

    scale: int
    area: Box
    photo: Photo

    @property
    def origin(self) -> tuple[int, int]:
        """The first row and column of the area, in pixels of this level."""
        return self.area.top // self.scale, self.area.left // self.scale


def part_at(photo: Photo, area: Box, scale: int) -> Photo:
    """The part ``area`` of a photo: at scale 1 with its own pixels, else shrunken by ``scale``."""
    part = Photo.of_pixels(photo.pixels[area.slices], photo.full_scale)
    return part if scale == 1 else shrunken(part, scale)


def shrunken(photo: Photo, scale: int) -> Photo:
    """The means over blocks of ``scale`` x ``scale`` pixels, a power of 2; incomplete blocks are extended.

    The result is float32 with a white of 1, clipped to what the network sees.
    """
    small = np.empty((*photo.size.in_blocks(scale), photo.pixels.shape[2]), np.float32)
    for top in range(0, photo.size.height, BAND):
        band = photo.pixels[top : top + BAND].astype(np.float32)
        band /= np.float32(photo.full_scale)
        np.clip(band, 0.0, 1.0, out=band)
        for _ in range(scale.bit_length() - 1):
            band = _halved(band)
        small[top // scale : top // scale + len(band)] = band
    return Photo.of_pixels(small, 1.0)


def _halved(pixels: Floats) -> Floats:
    rows, columns = (length % 2 for length in pixels.shape[:2])
    if rows or columns:
        pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
    pairs = pixels[::2] + pixels[1::2]
    halved: Floats = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    return halved


def areas_for(wanted: Box, photo: Size, overlap: int, step: int, scales: tuple[int, ...]) -> dict[int, Box]:
    """What each level must show for the part ``wanted`` of a photo, with ``overlap`` pixels of context."""
    return {
        scale: wanted.grown(overlap * scale).in_blocks(step * scale).times(step * scale).within(photo)
        for scale in scales
    }


@dataclass(frozen=True, eq=False)
class Shares:
    """How much of each level's change is used where: ``values`` is (L, h, w) in the order of ``SCALES``."""

    values: Floats

    @property
    def coarsest(self) -> int:
        """The scale of the coarsest level with a share anywhere; 1 if there is none."""
        return max((scale for scale in SCALES if self._plane(scale).any()), default=1)

    @property
    def largest(self) -> int:
        """The scale of the level with the largest share."""
        return SCALES[int(np.argmax(self.values.sum(axis=(1, 2))))]

    def at(self, scale: int, box: Box) -> Floats:
        """The share of a level at each of its pixels in ``box`` (h, w), interpolated bilinearly.

        The box is in pixels of the level.
        """
        return cells_at(self._plane(scale), CELL // scale, box)

    def used(self, scale: int, box: Box) -> Box | None:
        """The smallest part of ``box`` outside of which the level has no share; None if it has none at all.

        Both are in pixels of the level; ``box`` may reach beyond the photo.
        """
        factor, plane = CELL // scale, self._plane(scale)
        near = box.in_blocks(factor).grown(1).within(Size(*plane.shape))
        there = plane[near.slices] > 0
        if not there.any():
            return None
        down, across = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
        cells = Box(int(down[0]), int(across[0]), int(down[-1]) + 1, int(across[-1]) + 1)
        # Interpolation carries a share into the cells around.
        reached = cells.shifted(near.top, near.left).grown(1).times(factor)
        return reached.relative_to(box).within(box.size).shifted(box.top, box.left)

    def _plane(self, scale: int) -> Floats:
        plane: Floats = self.values[SCALES.index(scale)]
        return plane


def cells_at(cells: Floats, factor: int, box: Box) -> Floats:
    """The part ``box`` (h, w) of (H, W) cells enlarged ``factor`` times, bilinearly; edge cells repeat."""
    around = box.in_blocks(factor).grown(1)
    rows, columns = (
        np.clip(np.arange(edge.start, edge.stop), 0, length - 1)
        for edge, length in zip(around.slices, cells.shape, strict=True)
    )
    near = cells[rows[:, None], columns]
    if factor > 1:
        near = cv2.resize(near, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    part: Floats = near[box.relative_to(around.times(factor)).slices]
    return part


def doubled(values: Floats, box: Box) -> Floats:
    """(H, W, C) values enlarged bicubically to double size, in ``box``, which begins at even pixels."""
    around = box.in_blocks(2).grown(CUBIC_SUPPORT).within(Size(*values.shape[:2]))
    large = cv2.resize(values[around.slices], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    large = large.reshape(*large.shape[:2], values.shape[2])  # OpenCV drops a single colour
    part: Floats = large[box.relative_to(around.times(2)).slices]
    return part
