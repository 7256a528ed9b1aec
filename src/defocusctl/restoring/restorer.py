"""Restores photos with a network; the only code that pads, tiles, blends and crops.

The photo stays in host memory as it was read. Tiles become float tensors on the device one at a time, and
their results are written as soon as no other tile can change them: beside the photo and the result, only open
seams stay in memory.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeAlias

import numpy as np

from defocusctl.errors import DeviceError
from defocusctl.geometry import Box, Size, round_up
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo, cropped
from defocusctl.restoring.backends.choose import open_engine
from defocusctl.restoring.output import HalfArray, OutputBuffer, Pixels
from defocusctl.restoring.parts import (
    check_pixels,
    in_photo,
    is_neutral,
    region_inside,
    visible,
    with_context,
    with_hidden,
)
from defocusctl.restoring.settings import RestoreReport, RestoreSettings
from defocusctl.restoring.tile_runner import TileRunner
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
    limit_threads,
    peak_memory,
    release_memory,
    reset_peak_memory,
)

Progress: TypeAlias = Callable[[int, int], None]

AUTO_TILE = {"cpu": 640, "cuda": 1536, "mps": 640}
"""Tiles are between this size and twice that; larger ones save little (docs/restoring.md)."""

MAX_BATCH = 32
"""The largest number of small photos that share a batch on a GPU."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A photo's restored pixels and how they were made.

    ``before`` is the photo or its part ``region``; ``pixels`` have its shape and type. ``coefficients`` maps
    the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4, sizes rounded up), stitched like the
    pixels; None if they were not requested.
    """

    before: Photo
    region: Box | None
    pixels: Pixels
    coefficients: Mapping[str, HalfArray] | None
    report: RestoreReport

    @property
    def after(self) -> Photo:
        """The photo with its restored pixels and all of its metadata."""
        return replace(self.before, pixels=self.pixels)


class Restorer:
    """A network on its device, ready to restore any number of photos.

    It may be called from several threads: ``concurrency`` of them restore at the same time and share the free
    memory; the others wait. Backends other than ``torch`` need the network's exported ``graph``.

    Raises:
        DeviceError: if the device, the precision or the backend is not available.
    """

    def __init__(self, network: Network, settings: RestoreSettings, graph: Path | None = None) -> None:
        self.settings = settings
        self._network = network
        limit_threads()
        self._engine, self.device = open_engine(
            settings.backend, network, settings.device, settings.precision, graph
        )
        if self.device.type == "cpu":
            keep_freed_memory()
        self.precision = self._engine.precision
        self._runner = TileRunner(self._engine, clip=settings.clip)
        self.concurrency = 1

    @property
    def concurrency(self) -> int:
        """How many threads restore at the same time; set it only while none does."""
        return self._concurrency

    @concurrency.setter
    def concurrency(self, count: int) -> None:
        self._concurrency = count
        self._turns = BoundedSemaphore(count)

    def restore(
        self,
        photos: Sequence[Photo],
        *,
        region: Box | None = None,
        keep_coefficients: bool = False,
        map_reduction: int = 1,
        on_progress: Progress | None = None,
    ) -> list[Restored]:
        """Restore photos of the same size (H, W) in batches.

        Float pixels may lie below 0 or above white: the network sees them clipped, and its change is added to
        the originals. Neutral photos (``parts.is_neutral``) stay neutral, and colours under alpha 0 are
        unchanged. ``room_for`` says how many photos are worthwhile; results may differ from those of single
        photos by rounding.

        With a ``region``, only that part is restored (with context around it) and returned. ``map_reduction``
        (1, 2, 4 or 8) stores the maps as means over blocks of that many pixels each way. ``on_progress`` is
        called with the number of tiles done and their total; after running out of memory it restarts from 0.

        Raises:
            InputError: if pixels are not finite, or their shape or type is not supported.
            UsageError: if the region is not inside the photo, or the overlap does not fit into the tile.
            DeviceError: if even the smallest tile needs more memory than there is.
            ModelError: if the network's output is not what ``Network`` requires.
        """
        for photo in photos:
            check_pixels(photo.pixels)
        size = photos[0].size
        wanted = Box(0, 0, *size) if region is None else region_inside(region, size)
        read = wanted if region is None else with_context(wanted, self.overlap, size)
        own = wanted.relative_to(read)
        with self._turns:
            buffers = []
            for photo in photos:
                pixels = visible(photo)
                buffers.append(
                    OutputBuffer(
                        Photo.of_pixels(pixels[read.slices], photo.full_scale),
                        self.settings.strength,
                        neutral=is_neutral(pixels, photo.full_scale),
                        keep_coefficients=keep_coefficients,
                        map_reduction=map_reduction,
                    )
                )
            reports = self._fill(buffers, read, wanted.size.megapixels, on_progress)
        restored = []
        for photo, buffer, report in zip(photos, buffers, reports, strict=True):
            before = photo if region is None else cropped(photo, region)
            pixels = with_hidden(before, np.ascontiguousarray(buffer.pixels[own.slices]))
            restored.append(Restored(before, region, pixels, buffer.coefficients(own), report))
        return restored

    @property
    def overlap(self) -> int:
        return self._network.default_overlap if self.settings.overlap is None else self.settings.overlap

    def plan(self, size: Size, tile: int | None = None) -> TilePlan:
        """The tiles for a photo of this size, ``tile`` pixels on a side or as chosen automatically.

        Raises:
            UsageError: if the overlap does not fit into the tile.
        """
        return plan_tiles(size, self._tile_for(size) if tile is None else tile, self.overlap, CONTEXT)

    def max_concurrency(self) -> int:
        """How many photos fit into free memory at once without smaller tiles; at least one."""
        side = self.settings.tile or 2 * AUTO_TILE[self.device.type]
        return max(1, free_memory(self.device) // 2 // (side**2 * self._bytes_per_pixel))

    def room_for(self, size: Size) -> int:
        """How many photos of this size are worth batching; more than one only on a GPU."""
        if self.device.type == "cpu":
            return 1
        fitting = AUTO_TILE[self.device.type] ** 2 // padded_size(size, CONTEXT).pixels
        return min(max(1, fitting), MAX_BATCH)

    @property
    def _bytes_per_pixel(self) -> int:
        """Memory per pixel of a tile; half precision needs about half (docs/restoring.md)."""
        return self._engine.bytes_per_pixel // (1 if self.precision == "fp32" else 2)

    def _fill(
        self, buffers: Sequence[OutputBuffer], read: Box, megapixels: float, on_progress: Progress | None
    ) -> list[RestoreReport]:
        """Restore into the buffers, with smaller tiles or batches if memory runs out."""
        started = time.perf_counter()
        reset_peak_memory(self.device)
        warnings: list[str] = []
        plan = self.plan(read.size)
        while True:
            try:
                rejected = self._run_tiles(buffers, plan, on_progress)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release_memory(self.device)
            if len(buffers) > 1:
                middle = len(buffers) // 2
                first = self._fill(buffers[:middle], read, megapixels, on_progress)
                return first + self._fill(buffers[middle:], read, megapixels, on_progress)
            tried, smaller = max(plan.tile), self._smaller_tile(plan)
            warnings.append(
                f"{self.device} ran out of memory with tiles of {tried} pixels, went on with {smaller}"
            )
            plan = self.plan(read.size, smaller)
        report = RestoreReport(
            strength=self.settings.strength,
            backend=self.settings.backend,
            device=str(self.device),
            precision=self.precision,
            tile=max(plan.tile),
            overlap=plan.overlap,
            tiles=plan.count,
            seconds=(time.perf_counter() - started) / len(buffers),
            megapixels=megapixels,
            peak_memory=peak_memory(self.device),
            warnings=tuple(warnings),
        )
        return [
            replace(report, warnings=(*warnings, *_rejection_warnings(boxes, read))) for boxes in rejected
        ]

    def _run_tiles(
        self, buffers: Sequence[OutputBuffer], plan: TilePlan, on_progress: Progress | None
    ) -> list[list[tuple[Box, str]]]:
        """Restore into the buffers tile by tile; returns for each the parts left unchanged, and why."""
        for buffer in buffers:
            buffer.begin(plan)
        photos = [buffer.photo for buffer in buffers]
        rejected: list[list[tuple[Box, str]]] = [[] for _ in buffers]
        for done, tile in enumerate(plan.tiles):
            if on_progress is not None:
                on_progress(done, plan.count)
            results = self._runner.run(photos, tile.read.shifted(-plan.context))
            for buffer, result, parts in zip(buffers, results, rejected, strict=True):
                buffer.add(tile, result)
                if result.rejected:
                    parts.append((tile.keep.shifted(-plan.context), result.rejected))
        if on_progress is not None:
            on_progress(plan.count, plan.count)
        return rejected

    def _tile_for(self, size: Size) -> int:
        """The tile size to plan with: the requested one, or one that is fast and fits into memory."""
        if self.settings.tile is not None:
            return self.settings.tile
        share = free_memory(self.device) // self.concurrency
        affordable = isqrt(share // 2 // self._bytes_per_pixel)
        about = min(affordable // 2, AUTO_TILE[self.device.type])
        return fitting_tile(size, about, self.overlap, CONTEXT)

    def _smaller_tile(self, plan: TilePlan) -> int:
        """The tile size to continue with after memory ran out; the next photo starts with its own again.

        Raises:
            DeviceError: if there is none.
        """
        tried = max(plan.tile)
        smaller = max(round_up(tried // 2, STEP), smallest_tile(plan.overlap))
        if smaller >= tried:
            raise DeviceError(
                f"{self.device} does not have enough memory even for tiles of {tried} pixels",
                "close other programs, use a smaller --overlap or another --device",
            )
        return smaller


def _rejection_warnings(parts: Sequence[tuple[Box, str]], read: Box) -> list[str]:
    return [f"left the part {in_photo(box, read)} as it was: {reason}" for box, reason in parts]
