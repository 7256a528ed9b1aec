"""Restoring a photo with a network: the one place that pads, tiles, blends and crops.

The photo stays in host memory as it was read. One tile after the other becomes a float tensor on the device,
and what comes back is written to the result as soon as no other tile can change it: beside the photo and the
result, only the open seams are held.
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
from defocusctl.restoring.output import Halves, OutputBuffer, Pixels
from defocusctl.restoring.parts import (
    check_pixels,
    inside,
    is_neutral,
    moved,
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


@dataclass(frozen=True, eq=False)
class Restored:
    """What became of a photo: the restored pixels, and how they came about.

    ``before`` is the photo, or the part of it that ``region`` names; ``pixels`` have its shape and type.
    ``coefficients`` maps the papers' names to (K, H/s, W/s) float16 maps (s = 1, 2 or 4, sizes rounded up),
    stitched like the pixels; None where they were not asked for.
    """

    before: Photo
    region: Box | None
    pixels: Pixels
    coefficients: Mapping[str, Halves] | None
    report: RestoreReport

    @property
    def after(self) -> Photo:
        """The photo with its restored pixels, and everything that it came with."""
        return replace(self.before, pixels=self.pixels)


class Restorer:
    """A network on its device, ready for any number of photos.

    It may be called from several threads: ``concurrency`` of them restore at the same time, sharing the free
    memory, and the others wait their turn. Backends other than ``torch`` need its exported ``graph``.

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
        self.concurrency = 1

    @property
    def concurrency(self) -> int:
        """How many threads restore at the same time; to be set while none does."""
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
        """Restore photos of one size (H, W), together in batches of the network.

        Float pixels may lie below 0 or above white: the network sees them clipped, its change is added to
        them. Neutral photos (``parts.is_neutral``) stay neutral, and colours under alpha 0 stay as they are.
        ``room_for`` says how many photos are worthwhile; alone they differ by what a device rounds
        differently in batches.

        With a ``region`` only that part is restored (with context from around it) and returned.
        ``map_reduction`` (1, 2, 4 or 8) keeps the maps as means over blocks of so many pixels each way.
        ``on_progress`` is called with the number of tiles done and their total; after running out of memory
        it starts again from 0.

        Raises:
            InputError: if pixels are not finite or of another shape or type.
            UsageError: if the region lies outside the photo, or the overlap does not fit into the tile.
            DeviceError: if even the smallest tile needs more memory than there is.
            ModelError: if what the network returns is not what ``Network`` asks for.
        """
        for photo in photos:
            check_pixels(photo.pixels)
        size = photos[0].size
        wanted = Box(0, 0, *size) if region is None else inside(region, size)
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
        answers = []
        for photo, buffer, report in zip(photos, buffers, reports, strict=True):
            before = photo if region is None else cropped(photo, region)
            pixels = with_hidden(before, np.ascontiguousarray(buffer.pixels[own.slices]))
            answers.append(Restored(before, region, pixels, buffer.coefficients(own), report))
        return answers

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

    def _fill(
        self, buffers: Sequence[OutputBuffer], read: Box, megapixels: float, on_progress: Progress | None
    ) -> list[RestoreReport]:
        """Restore into the buffers, with smaller tiles or fewer at a time where memory runs out."""
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
        return [replace(report, warnings=(*warnings, *_left_alone(boxes, read))) for boxes in rejected]

    def _run_tiles(
        self, buffers: Sequence[OutputBuffer], plan: TilePlan, on_progress: Progress | None
    ) -> list[list[tuple[Box, str]]]:
        """Restore into the buffers tile by tile; return for each the parts that were left alone, and why."""
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
        """The tile to plan with: the one asked for, or one that is fast and fits into memory."""
        if self.settings.tile is not None:
            return self.settings.tile
        share = free_memory(self.device) // self.concurrency
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
