"""Restoring a photo with a network: the one place that pads, tiles, blends and crops.

The photo stays in host memory as it was read. One tile after the other becomes a float tensor on the device,
and what comes back is written to the result as soon as no other tile can change it: beside the photo and the
result, only the open seams are held.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np

from defocusctl.errors import DeviceError
from defocusctl.geometry import Box, Size, round_up
from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.choose import open_engine
from defocusctl.restoring.output import Halves, OutputBuffer, Pixels
from defocusctl.restoring.parts import check_pixels, inside, is_neutral, moved, with_context
from defocusctl.restoring.settings import RestoreReport, RestoreSettings
from defocusctl.restoring.tile_runner import Picture, TileRunner
from defocusctl.restoring.tiles import (
    CONTEXT,
    STEP,
    TilePlan,
    fitting_tile,
    padded_size,
    plan_tiles,
    smallest_tile,
)
from defocusctl.system.devices import (
    free_memory,
    is_out_of_memory,
    keep_freed_memory,
    peak_memory,
    release_memory,
    reset_peak_memory,
    use_allowed_processors,
)

Progress: TypeAlias = Callable[[int, int], None]

AUTO_TILE = {"cpu": 640, "cuda": 1536, "mps": 640}
"""Tiles have at least this size and less than twice; larger ones save little (docs/restoring.md)."""

MOST_TOGETHER = 32
"""Small photos that share a batch on a GPU at most."""


@dataclass(frozen=True)
class Restored:
    """The restored pixels, of the photo's shape and type (or of the region's), and how they came about.

    ``coefficients`` maps the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4, sizes rounded up),
    stitched like the pixels; None where they were not asked for.
    """

    pixels: Pixels
    coefficients: Mapping[str, Halves] | None
    report: RestoreReport


class Restorer:
    """A network on its device, ready for any number of photos.

    Backends other than ``torch`` need its exported ``graph``.

    Raises:
        DeviceError: if the device, the precision or the backend is not there.
    """

    def __init__(self, network: Network, settings: RestoreSettings, graph: Path | None = None) -> None:
        self.settings = settings
        self._network = network
        use_allowed_processors()
        self._engine, self.device = open_engine(
            settings.backend, network, settings.device, settings.precision, graph
        )
        if self.device.type == "cpu":
            keep_freed_memory()
        self.precision = self._engine.precision
        self._runner = TileRunner(self._engine, clip=settings.clip)
        self.at_once = 1
        """Photos that are restored at the same time, in a thread each: they share the free memory."""

    def restore(
        self,
        pixels: Pixels,
        *,
        full_scale: float,
        region: Box | None = None,
        keep_coefficients: bool = False,
        map_reduction: int = 1,
        on_progress: Progress | None = None,
    ) -> Restored:
        """Restore (H, W, 1 or 3) uint8, uint16 or float32 pixels in RGB order; ``full_scale`` is white.

        With a ``region`` only that part is restored (with context from around it) and returned. Float pixels
        may lie below 0 or above white: the network sees them clipped, its change is added to them. Neutral
        pixels (``parts.is_neutral``) stay neutral.
        ``map_reduction`` (1, 2, 4 or 8) keeps the maps as means over blocks of so many pixels each way.
        ``on_progress`` is called with the number of tiles done and their total; after running out of memory
        it starts again from 0.

        Raises:
            InputError: if the pixels are not finite or of another shape or type.
            UsageError: if the region lies outside the photo, or the overlap does not fit into the tile.
            DeviceError: if even the smallest tile needs more memory than there is.
            ModelError: if what the network returns is not what ``Network`` asks for.
        """
        return self.restore_together(
            [Picture(pixels, full_scale)],
            region=region,
            keep_coefficients=keep_coefficients,
            map_reduction=map_reduction,
            on_progress=on_progress,
        )[0]

    def restore_together(
        self,
        pictures: Sequence[Picture],
        *,
        region: Box | None = None,
        keep_coefficients: bool = False,
        map_reduction: int = 1,
        on_progress: Progress | None = None,
    ) -> list[Restored]:
        """Restore photos of one size (H, W) in one batch of the network, each as ``restore`` does.

        Their pixels are those of ``restore`` but for what a device rounds differently in batches.
        ``room_for`` says how many are worthwhile; where memory runs out, they are split into halves.

        Raises:
            The errors of ``restore``.
        """
        for picture in pictures:
            check_pixels(picture.pixels)
        started = time.perf_counter()
        reset_peak_memory(self.device)
        photo = Size(*pictures[0].pixels.shape[:2])
        wanted = Box(0, 0, *photo) if region is None else inside(region, photo)
        read = wanted if region is None else with_context(wanted, self.overlap, photo)
        parts = [
            Picture(pixels[read.slices], full_scale, is_neutral(pixels, full_scale))
            for pixels, full_scale, _ in pictures
        ]
        buffers = [
            OutputBuffer(
                part.pixels, part.full_scale, self.settings.strength, keep_coefficients, map_reduction
            )
            for part in parts
        ]
        warnings: list[str] = []
        plan = self.plan(read.size)
        while True:
            try:
                rejected = self._run_tiles(parts, buffers, plan, on_progress)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release_memory(self.device)
            if len(pictures) > 1:
                middle = len(pictures) // 2
                parted = partial(
                    self.restore_together,
                    region=region,
                    keep_coefficients=keep_coefficients,
                    map_reduction=map_reduction,
                    on_progress=on_progress,
                )
                return parted(pictures[:middle]) + parted(pictures[middle:])
            tried, smaller = max(plan.tile), self._smaller_tile(plan)
            warnings.append(
                f"{self.device} ran out of memory with tiles of {tried} pixels, went on with {smaller}"
            )
            plan = self.plan(read.size, smaller)
        report = RestoreReport(
            backend=self.settings.backend,
            device=str(self.device),
            precision=self.precision,
            tile=max(plan.tile),
            overlap=plan.overlap,
            tiles=plan.count,
            seconds=(time.perf_counter() - started) / len(pictures),
            megapixels=wanted.size.megapixels,
            peak_memory=peak_memory(self.device),
            warnings=tuple(warnings),
        )
        own = wanted.relative_to(read)
        return [
            Restored(
                np.ascontiguousarray(buffer.pixels[own.slices]),
                buffer.coefficients(own),
                replace(report, warnings=(*warnings, *_left_alone(boxes, read))),
            )
            for buffer, boxes in zip(buffers, rejected, strict=True)
        ]

    @property
    def overlap(self) -> int:
        return self._network.default_overlap if self.settings.overlap is None else self.settings.overlap

    def plan(self, size: Size, tile: int | None = None) -> TilePlan:
        """The tiles that a photo of this size is cut into: of ``tile`` pixels a side, or as chosen now.

        Raises:
            UsageError: if the overlap does not fit into the tile.
        """
        return plan_tiles(size, self._tile_for(size) if tile is None else tile, self.overlap, CONTEXT)

    def most_at_once(self) -> int:
        """Photos that free memory lets be restored at the same time without smaller tiles; at least one."""
        side = self.settings.tile or 2 * AUTO_TILE[self.device.type]
        return max(1, free_memory(self.device) // 2 // (side**2 * self._bytes_per_pixel))

    def room_for(self, size: Size) -> int:
        """How many photos of this size are worth restoring together: more than one only on a GPU."""
        if self.device.type == "cpu":
            return 1
        fitting = AUTO_TILE[self.device.type] ** 2 // padded_size(size, CONTEXT).pixels
        return min(max(1, fitting), MOST_TOGETHER)

    @property
    def _bytes_per_pixel(self) -> int:
        """Of a tile; half precision takes about half (docs/restoring.md)."""
        return self._engine.bytes_per_pixel // (1 if self.precision == "fp32" else 2)

    def _run_tiles(
        self,
        pictures: Sequence[Picture],
        buffers: Sequence[OutputBuffer],
        plan: TilePlan,
        on_progress: Progress | None,
    ) -> list[list[tuple[Box, str]]]:
        """Restore into the buffers tile by tile; return for each the parts that were left alone, and why."""
        for buffer in buffers:
            buffer.begin(plan)
        rejected: list[list[tuple[Box, str]]] = [[] for _ in buffers]
        for done, tile in enumerate(plan.tiles):
            if on_progress is not None:
                on_progress(done, plan.count)
            results = self._runner.run(pictures, tile.read.shifted(-plan.context))
            for buffer, result, parts in zip(buffers, results, rejected, strict=True):
                buffer.add(tile, result)
                if result.rejected:
                    parts.append((tile.keep.shifted(-plan.context), result.rejected))
        if on_progress is not None:
            on_progress(plan.count, plan.count)
        return rejected

    def _tile_for(self, size: Size) -> int:
        """The tile to plan with: the one asked for, or one that is fast and fits into memory."""
        if self.settings.tile is not None:
            return self.settings.tile
        share = free_memory(self.device) // self.at_once
        affordable = isqrt(share // 2 // self._bytes_per_pixel)
        about = min(affordable // 2, AUTO_TILE[self.device.type])
        return fitting_tile(size, about, self.overlap, CONTEXT)

    def _smaller_tile(self, plan: TilePlan) -> int:
        """The tile to go on with after memory ran out; the next photo begins with its own again.

        Raises:
            DeviceError: if there is none.
        """
        tried = max(plan.tile)
        smaller = max(round_up(tried // 2, STEP), smallest_tile(plan.overlap))
        if smaller >= tried:
            raise DeviceError(
                f"{self.device} has not enough memory even for tiles of {tried} pixels",
                "close other programs, use a smaller --overlap or another --device",
            )
        return smaller


def _left_alone(parts: Sequence[tuple[Box, str]], read: Box) -> list[str]:
    return [f"left the part {moved(box, read)} as it was: {reason}" for box, reason in parts]
