"""Joins restored tiles: the result's pixels and, if requested, its coefficient maps."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from defocusctl.errors import DeviceError
from defocusctl.photo import Mask
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.change import KeptPieces
from defocusctl.restoring.levels import Level, Shares, doubled
from defocusctl.restoring.tile_runner import TileResult
from defocusctl.restoring.tiles import Floats, Stitcher, Tile, TilePlan, with_context

Pixels: TypeAlias = npt.NDArray[Any]
HalfArray: TypeAlias = npt.NDArray[np.float16]

LARGEST_REDUCTION = 8  # finished areas are aligned to it: no block of up to 8 x 8 pixels is cut


class LevelBuffer(ABC):
    """Receives the tiles of one level of a photo and adds its change to that of the coarser levels.

    Without ``shares``, the level's change is used everywhere as it is. In a ``neutral`` photo, all colours
    get the mean of their changes. With a ``map_reduction`` (1, 2, 4 or 8), the coefficients are kept, as
    means over blocks of that many pixels each way.
    """

    def __init__(
        self,
        level: Level,
        shares: Shares | None,
        coarser: "CoarseBuffer | None",
        *,
        neutral: bool,
        map_reduction: int | None,
    ) -> None:
        self.level = level
        self.kept: KeptPieces | None = None  # where the level's change is kept as well, before its shares
        self._map_reduction = map_reduction
        self._maps: dict[str, Map] = {}
        self._shares = shares
        self._coarser = coarser
        self._colours = level.photo.pixels.shape[2]
        self._mixed = neutral or self._colours == 1

    def begin(self, plan: TilePlan) -> None:
        """Expect the tiles of ``plan``, in its order; earlier results are overwritten."""
        self._plan = plan
        self._changes = Stitcher(plan, self._colours)
        self._maps.clear()
        if self.kept is not None:
            self.kept.begin(self.level.scale, plan)

    def repeat(self, plan: TilePlan, pieces: Iterable[tuple[Box, Floats]]) -> None:
        """Write kept pieces instead of tiles."""
        self.begin(plan)
        for box, change in pieces:
            self._blend(box, change)

    def needed(self, tile: Tile) -> Box | None:
        """The part of the tile that the network must see: what has a share in the result, with its context.

        It is all of the tile if the coefficients are kept. None: nothing of the tile is needed.
        """
        if self._shares is None or self._map_reduction is not None:
            return tile.read
        used = self._shares.used(self.level.scale, self._in_level(tile.keep.shifted(-self._plan.context)))
        if used is None:
            return None
        top, left = self.level.origin
        return with_context(used.shifted(-top, -left).shifted(self._plan.context), tile, self._plan)

    def add(self, tile: Tile, part: Box, result: TileResult | None) -> None:
        """Write what this tile completes. ``result`` is that of ``part`` of it; None if it is not needed."""
        change: Floats = np.zeros((3, *tile.read.size), np.float32)
        if result is not None:
            change[:, *part.relative_to(tile.read).slices] = result.change
        if self._mixed:
            mean = change.mean(axis=0)
            change = np.broadcast_to(mean, (self._colours, *mean.shape))
        piece = self._changes.join(tile, change)
        if self.kept is not None:
            self.kept.add(self.level.scale, *piece)
        self._blend(*piece)
        if self._map_reduction is not None and result is not None:
            for name, values in result.coefficients.items():
                if name not in self._maps:
                    divisor = tile.read.size.height // values.shape[1]
                    self._maps[name] = Map(self._plan, len(values), divisor, self._map_reduction)
                self._maps[name].add(tile, values)

    def coefficients(self, part: Box) -> Mapping[str, HalfArray]:
        """The maps of a part of the photo, rounded outwards to whole map pixels."""
        place = part.in_blocks(self.level.scale).shifted(self._plan.context)
        return {name: coefficients.cut(place) for name, coefficients in self._maps.items()}

    def in_photo(self, keep: Box) -> Box:
        """The part of the photo that a tile provides."""
        inside = keep.shifted(-self._plan.context).within(self.level.photo.size)
        return self._in_level(inside).times(self.level.scale)

    @abstractmethod
    def _write(self, box: Box, change: Floats) -> None:
        """Use the blended (h, w, C) change of a part of the level."""

    def _blend(self, box: Box, change: Floats) -> None:
        place = box.shifted(-self._plan.context)
        shown = place.within(self.level.photo.size)
        blended: Floats = change[:, *shown.relative_to(place).slices].transpose(1, 2, 0)
        inside = self._in_level(shown)
        if self._shares is not None:
            blended = blended * self._shares.at(self.level.scale, inside)[..., None]
        if self._coarser is not None:
            blended = blended + self._coarser.doubled(inside)
        self._write(shown, blended)

    def _in_level(self, box: Box) -> Box:
        """From the pixels of the level's area to those of the whole photo at this level."""
        return box.shifted(*self.level.origin)


class CoarseBuffer(LevelBuffer):
    """The blended change of a level and of all coarser ones, (H, W, C) float32."""

    def begin(self, plan: TilePlan) -> None:
        super().begin(plan)
        self._values: Floats = np.zeros(self.level.photo.pixels.shape, np.float32)

    def doubled(self, box: Box) -> Floats:
        """The change enlarged to twice the size, in ``box`` of the next finer level."""
        top, left = self.level.origin
        return doubled(self._values, box.shifted(-2 * top, -2 * left))

    def _write(self, box: Box, change: Floats) -> None:
        self._values[box.slices] = change


class OutputBuffer(LevelBuffer):
    """The restored pixels of a photo (H, W, C), each written exactly once per plan.

    The change is added to the photo's own values and rounded once, so that an unchanged pixel stays exactly
    as it was, and values beyond black and white survive. ``mask`` (H, W) scales the change: 255 is all of it,
    0 leaves the pixel alone.
    """

    def __init__(
        self,
        level: Level,
        strength: float,
        shares: Shares | None = None,
        coarser: CoarseBuffer | None = None,
        *,
        neutral: bool = False,
        map_reduction: int | None = None,
        mask: Mask | None = None,
    ) -> None:
        super().__init__(level, shares, coarser, neutral=neutral, map_reduction=map_reduction)
        self.pixels = np.empty_like(level.photo.pixels)
        self._gain = np.float32(strength * level.photo.full_scale)
        self._mask = mask

    def _write(self, box: Box, change: Floats) -> None:
        photo = self.level.photo
        values = photo.pixels[box.slices].astype(np.float32)
        if self._mask is not None:
            change = change * (self._mask[box.slices][..., None].astype(np.float32) / np.float32(255))
        values += self._gain * change
        if photo.pixels.dtype != np.float32:
            np.clip(np.rint(values, out=values), 0, photo.full_scale, out=values)
        self.pixels[box.slices] = values


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
        count, height, width = piece.shape
        blocks = piece.reshape(count, height // b, b, width // b, b)
        self._values[:, *box.in_blocks(b).slices] = blocks.mean(axis=(2, 4))

    def cut(self, part: Box) -> HalfArray:
        """The map of a part of the photo, rounded outwards to whole map pixels."""
        return self._values[:, *part.in_blocks(self._scale).slices]
