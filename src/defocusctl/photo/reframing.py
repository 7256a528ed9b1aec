"""How a picture's coordinates move when it is turned upright or a part of it is cut out."""

from dataclasses import dataclass

from defocusctl.geometry import Box, Size
from defocusctl.photo.orientation import swaps_sides


@dataclass(frozen=True)
class Area:
    """A rectangle in pixels: its centre, from the top left corner, and its sides."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Reframing:
    """A picture of the size ``before`` is turned by its ``orientation``, then cut to ``box``."""

    before: Size
    orientation: int
    box: Box

    @classmethod
    def turning(cls, upright: Size, orientation: int) -> "Reframing":
        """Turning a stored picture; ``upright`` is its size afterwards."""
        stored = Size(upright.width, upright.height) if swaps_sides(orientation) else upright
        return cls(stored, orientation, Box(0, 0, upright.height, upright.width))

    @classmethod
    def cutting(cls, whole: Size, box: Box) -> "Reframing":
        """Cutting ``box`` out of an upright picture."""
        return cls(whole, 1, box)

    @property
    def after(self) -> Size:
        return self.box.size

    @property
    def turns(self) -> bool:
        return self.orientation != 1

    @property
    def cuts(self) -> bool:
        return self.after.pixels != self.before.pixels

    @property
    def changes(self) -> bool:
        return self.turns or self.cuts

    @property
    def swaps_sides(self) -> bool:
        return swaps_sides(self.orientation)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point goes; both in pixels from the top left corner."""
        height, width = self.before
        if self.orientation in (2, 3, 6, 7):
            x, y = (width - x, y) if not self.swaps_sides else (x, height - y)
        if self.orientation in (3, 4, 7, 8):
            x, y = (x, height - y) if not self.swaps_sides else (width - x, y)
        if self.swaps_sides:
            x, y = y, x
        return x - self.box.left, y - self.box.top

    def area(self, area: Area) -> Area | None:
        """Where a rectangle goes: what remains of it in the picture, or None if its centre is cut off."""
        x, y = self.point(area.x, area.y)
        if not (0 <= x <= self.after.width and 0 <= y <= self.after.height):
            return None
        width, height = (area.height, area.width) if self.swaps_sides else (area.width, area.height)
        left, right = max(x - width / 2, 0), min(x + width / 2, self.after.width)
        top, bottom = max(y - height / 2, 0), min(y + height / 2, self.after.height)
        if not self.cuts:  # what stuck out before may do so still
            return Area(x, y, width, height)
        return Area((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
