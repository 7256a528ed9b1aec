"""Joins restored tiles: the result's pixels and, if requested, its coefficient maps."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from defocusctl.errors import DeviceError
from defocusctl.geometry import Box, Size
from defocusctl.photo import Photo
from defocusctl.restoring.tile_runner import TileResult
from defocusctl.restoring.tiles import Floats, Stitcher, Tile, TilePlan

Pixels: TypeAlias = npt.NDArray[Any]
HalfArray: TypeAlias = npt.NDArray[np.float16]

LARGEST_REDUCTION = 8
"""Finished areas are aligned to multiples of this, so that no block of up to 8 x 8 pixels is cut."""


class OutputBuffer:
    """A photo and the array that receives its restored pixels (H, W, C), each exactly once per plan.

    The network's change is added to the photo's own values and rounded once, so that an unchanged pixel stays
    exactly as it was, and values beyond black and white survive. In a ``neutral`` photo, all colours get the
    mean of their changes, as in a grey one.

    Maps are stored as means over blocks of the photo, ``map_reduction`` (1, 2, 4 or 8) pixels on a side.
    """

    def __init__(
        self,
        photo: Photo,
        strength: float,
        *,
        neutral: bool = False,
        keep_coefficients: bool = False,
        map_reduction: int = 1,
    ) -> None:
        self.photo = photo
        self.pixels = np.empty_like(photo.pixels)
        self._gain = np.float32(strength * photo.full_scale)
        self._colours = photo.pixels.shape[2]
        self._mixed = neutral or self._colours == 1
        self._keep_coefficients = keep_coefficients
        self._map_reduction = map_reduction
        self._maps: dict[str, Map] = {}

    def begin(self, plan: TilePlan) -> None:
        """Expect the tiles of ``plan``, in its order; earlier results are overwritten."""
        self._plan = plan
        self._changes = Stitcher(plan, self._colours)
        self._maps.clear()

    def add(self, tile: Tile, result: TileResult) -> None:
        """Write what this tile completes."""
        change = result.change
        if self._mixed:
            mean = change.mean(axis=0)
            change = np.broadcast_to(mean, (self._colours, *mean.shape))
        box, change = self._changes.join(tile, change)
        self._write(box, change)
        if self._keep_coefficients:
            for name, values in result.coefficients.items():
                if name not in self._maps:
                    divisor = tile.read.size.height // values.shape[1]
                    self._maps[name] = Map(self._plan, len(values), divisor, self._map_reduction)
                self._maps[name].add(tile, values)

    def coefficients(self, part: Box) -> Mapping[str, HalfArray] | None:
        """The maps of a part of the photo, rounded outwards to whole map pixels; None if not stored."""
        if not self._keep_coefficients:
            return None
        place = part.shifted(self._plan.context)
        return {name: coefficients.cut(place) for name, coefficients in self._maps.items()}

    def _write(self, box: Box, change: Floats) -> None:
        place = box.shifted(-self._plan.context)
        source = self.photo.pixels
        shown = place.within(self.photo.size)
        values = source[shown.slices].astype(np.float32)
        values += self._gain * change[:, *shown.relative_to(place).slices].transpose(1, 2, 0)
        if source.dtype != np.float32:
            np.clip(np.rint(values, out=values), 0, self.photo.full_scale, out=values)
        self.pixels[shown.slices] = values


class Map:
    """One coefficient, (K, H/s, W/s), while it is stitched; reduced further if ``reduction`` is above s.

    Raises:
        DeviceError: if there is not enough memory.
    """

    def __init__(self, plan: TilePlan, count: int, divisor: int, reduction: int) -> None:
        self._scale = max(divisor, reduction)
        self._block = self._scale // divisor
        padded = Size(plan.size.height // self._scale, plan.size.width // self._scale)
        try:
            self._values: HalfArray = np.empty((count, *padded), np.float16)
            self._stitcher = Stitcher(plan, count, divisor)
        except MemoryError as error:
            raise DeviceError(
                f"the coefficient maps do not fit into memory: {count} of them take "
                f"{2 * count * padded.pixels / 1e9:.1f} GB",
                "leave out --maps-data, or restore a --region",
            ) from error

    def add(self, tile: Tile, values: Floats) -> None:
        """Write what this tile completes."""
        box, piece = self._stitcher.join(tile, values)
        b = self._block
        rows, columns = (slice(span.start // b, span.stop // b) for span in box.slices)
        count, height, width = piece.shape
        blocks = piece.reshape(count, height // b, b, width // b, b)
        self._values[:, rows, columns] = blocks.mean(axis=(2, 4))

    def cut(self, part: Box) -> HalfArray:
        """The map of a part of the photo, rounded outwards to whole map pixels."""
        s = self._scale
        return self._values[:, part.top // s : -(-part.bottom // s), part.left // s : -(-part.right // s)]
