"""Rotating a picture upright and cropping it: EXIF orientations, and what happens to coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defocusctl.photo.geometry import Box, Size
from defocusctl.photo.model import Samples


def swaps_sides(orientation: int) -> bool:
    """Whether width and height of the upright picture are those of the stored one swapped."""
    return orientation >= 5


def upright(stored: Samples, orientation: int) -> Samples:
    """The stored array (H, W, ...), turned upright.

    The orientation says where the first stored row and column belong: 1 top left, 2 top right, 3 bottom
    right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    """
    if swaps_sides(orientation):
        stored = stored.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


@dataclass(frozen=True)
class Area:
    """A rectangle in pixels: centre (from the top left corner of the picture) and sides."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Reframing:
    """A picture of size ``before`` is rotated by its ``orientation``, then cropped to ``box``."""

    before: Size
    orientation: int
    box: Box

    @classmethod
    def rotation(cls, upright: Size, orientation: int) -> "Reframing":
        """Rotating a stored picture; ``upright`` is its size afterwards."""
        stored = Size(upright.width, upright.height) if swaps_sides(orientation) else upright
        return cls(stored, orientation, Box(0, 0, upright.height, upright.width))

    @property
    def after(self) -> Size:
        return self.box.size

    @property
    def rotates(self) -> bool:
        return self.orientation != 1

    @property
    def crops(self) -> bool:
        return self.after.pixels != self.before.pixels

    @property
    def swaps_sides(self) -> bool:
        return swaps_sides(self.orientation)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The new position of a point, in pixels from the top left corner."""
        height, width = self.before
        if self.swaps_sides:
            x, y, width, height = y, x, height, width
        if self.orientation in (3, 4, 7, 8):
            y = height - y
        if self.orientation in (2, 3, 6, 7):
            x = width - x
        return x - self.box.left, y - self.box.top

    def area(self, area: Area) -> Area | None:
        """The remaining part of a rectangle in the new picture, or None if its centre is cut off."""
        x, y = self.point(area.x, area.y)
        if not (0 <= x <= self.after.width and 0 <= y <= self.after.height):
            return None
        width, height = (area.height, area.width) if self.swaps_sides else (area.width, area.height)
        left, right = max(x - width / 2, 0), min(x + width / 2, self.after.width)
        top, bottom = max(y - height / 2, 0), min(y + height / 2, self.after.height)
        if not self.crops:  # parts that were outside before may stay outside
            return Area(x, y, width, height)
        return Area((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)

    def subject(self, numbers: Sequence[float]) -> list[float] | None:
        """EXIF's subject area in the new picture, or None if it is cut off or cannot be read.

        It is a point, a circle (centre and diameter) or a rectangle (centre and sides).
        """
        if len(numbers) not in (2, 3, 4):
            return None
        width, height = {2: (0, 0), 3: (numbers[-1], numbers[-1]), 4: numbers[2:]}[len(numbers)]
        area = self.area(Area(numbers[0], numbers[1], width, height))
        if area is None:
            return None
        side = max(area.width, area.height) if len(numbers) == 3 else area.width
        return [area.x, area.y, side, area.height][: len(numbers)]
