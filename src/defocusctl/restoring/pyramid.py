"""Photos at all their levels, and the loop that fills their buffers tile by tile."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple, TypeAlias

import numpy as np

from defocusctl.photo import Mask, Photo
from defocusctl.photo.geometry import Box
from defocusctl.restoring.blur import BlurMap
from defocusctl.restoring.change import KeptPieces
from defocusctl.restoring.levels import CELL, SCALES, Level, Shares, areas_for, part_at
from defocusctl.restoring.output import CoarseBuffer, HalfArray, LevelBuffer, OutputBuffer, Pixels
from defocusctl.restoring.parts import is_neutral
from defocusctl.restoring.selection import SCALE_OF
from defocusctl.restoring.tile_runner import TileResult, TileRunner
from defocusctl.restoring.tiles import Floats, Tile, TilePlan
from defocusctl.system.devices import return_freed_memory

Progress: TypeAlias = Callable[[int, int], None]


class PhotoPyramid:
    """A photo, prepared to restore the part ``wanted`` of it.

    ``shares`` says how much of each level is used where; None is the level of scale 1 alone. ``buffers`` are
    those of the levels by scale, as far as the coarsest one used. ``blur`` is the photo's blur map, if it was
    estimated. With a ``map_reduction``, the coefficients of the level with the largest share are kept.
    ``kept``, if given, receives the changes of all levels.
    """

    def __init__(
        self,
        photo: Photo,
        wanted: Box,
        overlap: int,
        step: int,
        strength: float,
        shares: Shares | None,
        blur: BlurMap | None,
        mask: Mask | None,
        map_reduction: int | None,
        kept: KeptPieces | None = None,
    ) -> None:
        self.wanted = wanted
        self.blur = blur
        self.kept = kept
        self._map_reduction = map_reduction
        self.masked = mask is not None
        self._shares = shares
        scales = tuple(scale for scale in SCALES if scale <= (1 if shares is None else shares.coarsest))
        self._mapped = 1 if shares is None else shares.largest
        neutral = is_neutral(photo.pixels, photo.full_scale)
        areas = areas_for(wanted, photo.size, overlap, step, scales)
        finest, *coarse = (Level(scale, area, part_at(photo, area, scale)) for scale, area in areas.items())
        coarser: CoarseBuffer | None = None
        self.buffers: dict[int, LevelBuffer] = {}
        for level in reversed(coarse):
            reduction = map_reduction if level.scale == self._mapped else None
            coarser = CoarseBuffer(level, shares, coarser, neutral=neutral, map_reduction=reduction)
            self.buffers[level.scale] = coarser
        self._output = OutputBuffer(
            finest,
            strength,
            shares,
            coarser,
            neutral=neutral,
            map_reduction=map_reduction if self._mapped == 1 else None,
            mask=None if mask is None else mask[finest.area.slices],
        )
        self.buffers[1] = self._output
        for buffer in self.buffers.values():
            buffer.kept = kept

    def pixels(self) -> Pixels:
        """The restored pixels of the wanted part."""
        part = self.wanted.relative_to(self._output.level.area)
        return np.ascontiguousarray(self._output.pixels[part.slices])

    def coefficients(self) -> Mapping[str, HalfArray] | None:
        """The maps of the wanted part, rounded outwards to whole map pixels; None if they are not kept."""
        if self._map_reduction is None:
            return None
        buffer = self.buffers[self._mapped]
        return buffer.coefficients(self.wanted.relative_to(buffer.level.area))

    def shares(self) -> Floats:
        """The shares of the levels in the wanted part, (L, h, w), rounded outwards to whole cells."""
        cells = self.wanted.in_blocks(CELL)
        if self._shares is not None:
            return self._shares.values[:, *cells.slices]
        shares = np.zeros((len(SCALES), *cells.size), np.float32)
        shares[0] = 1
        return shares

    def mean_shares(self) -> dict[str, float]:
        """The mean share of each level that is used in the wanted part, by the name of its scale."""
        means = zip(SCALE_OF, self.shares().mean(axis=(1, 2)), strict=True)
        return {name: round(float(mean), 3) for name, mean in means if mean > 0}


@dataclass
class TileCount:
    """How many of a photo's tiles were computed, and the parts that were left unchanged, one line each."""

    computed: int = 0
    warnings: list[str] = field(default_factory=list)


class Step(NamedTuple):
    """A tile of a level: the buffers of the photos that have this level, and what each needs of the tile."""

    plan: TilePlan
    buffers: Mapping[int, LevelBuffer]
    tile: Tile
    needed: Mapping[int, Box]

    @property
    def part(self) -> Box:
        """What is read of the tile: all that any of the photos needs."""
        return reduce(Box.joined, self.needed.values()) if self.needed else self.tile.read


def run_tiles(
    runner: TileRunner,
    photos: Sequence[PhotoPyramid],
    plans: Mapping[int, TilePlan],
    on_progress: Progress | None,
    before_tile: Callable[[], None],
) -> list[TileCount]:
    """Restore into the photos' buffers tile by tile.

    ``plans`` are the tiles of the levels by scale, the coarsest level first. A tile is computed, as far as it
    is needed, for those photos together that need it; before, ``before_tile`` is called.
    """
    levels = [
        (plan, {i: photo.buffers[scale] for i, photo in enumerate(photos) if scale in photo.buffers})
        for scale, plan in plans.items()
    ]
    for plan, buffers in levels:
        for buffer in buffers.values():
            buffer.begin(plan)
    steps = [
        Step(plan, buffers, tile, {i: part for i, buffer in buffers.items() if (part := buffer.needed(tile))})
        for plan, buffers in levels
        for tile in plan.tiles
    ]
    total = sum(bool(step.needed) for step in steps)
    report = on_progress or (lambda _done, _total: None)
    counts = [TileCount() for _ in photos]
    done = 0
    size = None
    report(done, total)
    for step in steps:
        results: dict[int, TileResult] = {}
        if step.needed:
            if size not in (None, step.part.size):
                return_freed_memory()
            size = step.part.size
            before_tile()
            seen = [step.buffers[i].level.photo for i in step.needed]
            restored = runner.run(seen, step.part.shifted(-step.plan.context))
            results = dict(zip(step.needed, restored, strict=True))
        for i, buffer in step.buffers.items():
            buffer.add(step.tile, step.part, results.get(i))
        for i, result in results.items():
            counts[i].computed += 1
            if result.rejected:
                where = step.buffers[i].in_photo(step.tile.keep).text
                counts[i].warnings.append(f"left the part {where} as it was: {result.rejected}")
        if results:
            done += 1
            report(done, total)
    return counts
