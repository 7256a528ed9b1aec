"""Sizes and boxes in pixels: rows run downwards, columns to the right, boxes exclude their far edge."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from defocusctl.errors import UsageError


class Size(NamedTuple):
    """Height and width in pixels, in the order of array shapes."""

    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    def in_blocks(self, side: int) -> "Size":
        """The number of blocks of ``side`` x ``side`` pixels along each axis, incomplete ones included."""
        return Size(-(-self.height // side), -(-self.width // side))


@dataclass(frozen=True)
class Box:
    """The rows ``top`` to ``bottom - 1`` and the columns ``left`` to ``right - 1`` of an image."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        return Size(self.bottom - self.top, self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box into an array whose first axes are rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def text(self) -> str:
        """``WxH+X+Y``, the notation that ``parse_region`` reads."""
        return f"{self.size.width}x{self.size.height}+{self.left}+{self.top}"

    def shifted(self, down: int, right: int | None = None) -> "Box":
        """The box moved down and right; with one number, by as much in both directions."""
        right = down if right is None else right
        return Box(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def grown(self, by: int) -> "Box":
        """The box with ``by`` more pixels on each side."""
        return Box(self.top - by, self.left - by, self.bottom + by, self.right + by)

    def times(self, factor: int) -> "Box":
        """The same part of an image that is ``factor`` times as large."""
        return Box(self.top * factor, self.left * factor, self.bottom * factor, self.right * factor)

    def in_blocks(self, side: int) -> "Box":
        """The blocks of ``side`` x ``side`` pixels that the box touches, in units of blocks."""
        return Box(self.top // side, self.left // side, -(-self.bottom // side), -(-self.right // side))

    def within(self, size: Size) -> "Box":
        """The part of the box inside an image of this size; empty if there is none."""
        top, bottom = (min(max(row, 0), size.height) for row in (self.top, self.bottom))
        left, right = (min(max(column, 0), size.width) for column in (self.left, self.right))
        return Box(top, left, bottom, right)

    def joined(self, other: "Box") -> "Box":
        """The smallest box that contains both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def relative_to(self, outer: "Box") -> "Box":
        """The same box in the coordinates of ``outer``."""
        return self.shifted(-outer.top, -outer.left)


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is not below ``value``."""
    return -(-value // multiple) * multiple


def parse_region(text: str) -> Box:
    """``WxH+X+Y`` (the notation of X11 and ImageMagick) as a box.

    Raises:
        UsageError: if the text is malformed or the region is empty.
    """
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a region", "write it as WxH+X+Y, for example 800x600+100+50")
    width, height, left, top = (int(group) for group in match.groups())
    if width == 0 or height == 0:
        raise UsageError(f"the region '{text}' is empty", "give a width and a height of at least 1 pixel")
    return Box(top, left, top + height, left + width)
