"""A restored photo, as the restorer returns it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from defocusctl.geometry import Box
from defocusctl.photo import Photo
from defocusctl.restoring.blur import BlurMap
from defocusctl.restoring.change import Change
from defocusctl.restoring.levels import CELL, cells_at
from defocusctl.restoring.output import HalfArray, Pixels
from defocusctl.restoring.settings import RestoreReport
from defocusctl.restoring.tiles import Floats


@dataclass(frozen=True, eq=False)
class Restored:
    """A photo's restored pixels and how they were made.

    ``before`` is the photo or its part ``region``; ``pixels`` have its shape and type. ``shares`` are those
    of the levels for each 8 x 8 pixels, (4, h, w) (``restoring.levels``). ``coefficients`` maps
    the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4 times the scale of the level that they
    belong to, sizes rounded up), stitched like the pixels; None if they were not requested. ``blur`` is the
    blur map of the whole photo, 0 far from the region; it is estimated for a scale of ``auto``, for
    ``max_blur``, with coefficients and for a kept ``change``, otherwise None.
    """

    before: Photo
    region: Box | None
    pixels: Pixels
    shares: Floats
    coefficients: Mapping[str, HalfArray] | None
    blur: BlurMap | None
    report: RestoreReport
    change: Change | None = None

    @property
    def blur_radius(self) -> Floats | None:
        """The blur radius in pixels at each pixel of ``before``, (H, W); None if it was not estimated."""
        if self.blur is None:
            return None
        box = Box(0, 0, *self.before.size) if self.region is None else self.region
        return cells_at(self.blur.radius, CELL, box)

    @property
    def after(self) -> Photo:
        """The photo with its restored pixels and all of its metadata."""
        return replace(self.before, pixels=self.pixels)
