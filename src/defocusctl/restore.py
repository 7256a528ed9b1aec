"""Restoring a photo with a network: the one place that pads, tiles, swaps channels, blends and crops.

The photo stays in host memory as it was read. One tile after the other becomes a float tensor on the device,
and what comes back is written to the result as soon as no other tile can change it: beside the photo and the
result, only the open seams are held.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np

from defocusctl.backends.choose import open_engine
from defocusctl.backends.engine import BACKENDS
from defocusctl.canvas import Canvas, Halves, Pixels
from defocusctl.devices import (
    free_memory,
    is_out_of_memory,
    keep_freed_memory,
    peak_memory,
    release_memory,
    reset_peak_memory,
)
from defocusctl.errors import DeviceError, InputError, UsageError
from defocusctl.geometry import Box, Size, round_up
from defocusctl.models.prediction import Network
from defocusctl.tile_runner import TileRunner
from defocusctl.tiling import STEP, TilePlan, fitting_tile, plan_tiles, smallest_tile

Progress: TypeAlias = Callable[[int, int], None]

AUTO_TILE = {"cpu": 640, "cuda": 1536, "mps": 640}
"""Tiles have at least this size and less than twice; larger ones save little (docs/restoring.md)."""


@dataclass(frozen=True)
class RestoreSettings:
    """How to restore. ``tile`` and ``overlap`` are in pixels: None chooses, a tile of 0 is the whole photo.

    ``strength`` is how much of the change is applied: 0 leaves the photo, 1 is the network's answer. ``clip``
    keeps the network's answer between black and white; some published protocols score it unclipped.
    ``backend`` is one of ``BACKENDS``; all but ``torch`` run an exported graph, on the CPU in float32.
    """

    tile: int | None = None
    overlap: int | None = None
    device: str = "auto"
    precision: str = "auto"
    strength: float = 1.0
    clip: bool = True
    backend: str = "torch"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"'{self.backend}' is not a backend", f"use {', '.join(BACKENDS)}")
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"a strength of {self.strength} is not possible", "use 0 to 1")
        if (self.tile or 0) < 0 or (self.overlap or 0) < 0:
            raise UsageError("a tile or an overlap cannot be negative", "use 0 or more pixels, or auto")


@dataclass(frozen=True)
class RestoreReport:
    """What was done.

    ``tile`` (the longer side) and ``overlap`` are in pixels, ``peak_memory`` in bytes: on a GPU what its
    tensors took at most, else the largest size the whole process ever had.
    """

    backend: str
    device: str
    precision: str
    tile: int
    overlap: int
    tiles: int
    seconds: float
    megapixels: float
    peak_memory: int
    warnings: tuple[str, ...]


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

    def __init__(
        self, network: Network, channel_order: str, settings: RestoreSettings, graph: Path | None = None
    ) -> None:
        self.settings = settings
        self._network = network
        self._engine, self.device = open_engine(
            settings.backend, network, settings.device, settings.precision, graph
        )
        if self.device.type == "cpu":
            keep_freed_memory()
        self.precision = self._engine.precision
        self._runner = TileRunner(self._engine, channel_order, clip=settings.clip)
        self._tile = settings.tile
        """The tile of the settings until memory runs out; the smaller one from then on."""

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
        may lie below 0 or above white: the network sees them clipped, its change is added to them.
        ``map_reduction`` (1, 2, 4 or 8) keeps the maps as means over blocks of so many pixels each way.
        ``on_progress`` is called with the number of tiles done and their total; after running out of memory
        it starts again from 0.

        Raises:
            InputError: if the pixels are not finite or of another shape or type.
            UsageError: if the region lies outside the photo, or the overlap does not fit into the tile.
            DeviceError: if even the smallest tile needs more memory than there is.
        """
        _check_pixels(pixels)
        started = time.perf_counter()
        reset_peak_memory(self.device)
        photo = Size(*pixels.shape[:2])
        wanted = Box(0, 0, *photo) if region is None else _inside(region, photo)
        overlap = self._network.default_overlap if self.settings.overlap is None else self.settings.overlap
        read = wanted if region is None else _with_context(wanted, overlap, photo)
        canvas = Canvas(
            pixels[read.slices], full_scale, self.settings.strength, keep_coefficients, map_reduction
        )
        warnings: list[str] = []
        while True:
            plan = plan_tiles(read.size, self._tile_for(read.size, overlap), overlap)
            try:
                rejected = self._run_tiles(canvas, plan, on_progress)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release_memory(self.device)
            warnings.append(self._halve_tile(plan))
        warnings += [f"left the part {_moved(box, read)} as it was: {reason}" for box, reason in rejected]
        report = RestoreReport(
            backend=self.settings.backend,
            device=str(self.device),
            precision=self.precision,
            tile=max(plan.tile),
            overlap=overlap,
            tiles=plan.count,
            seconds=time.perf_counter() - started,
            megapixels=wanted.size.megapixels,
            peak_memory=peak_memory(self.device),
            warnings=tuple(warnings),
        )
        part = wanted.relative_to(read)
        return Restored(np.ascontiguousarray(canvas.pixels[part.slices]), canvas.coefficients(part), report)

    def _run_tiles(
        self, canvas: Canvas, plan: TilePlan, on_progress: Progress | None
    ) -> list[tuple[Box, str]]:
        """Restore the canvas tile by tile; answers with the parts that kept the original and why."""
        canvas.begin(plan)
        rejected = []
        for done, tile in enumerate(plan.tiles):
            if on_progress is not None:
                on_progress(done, plan.count)
            result = self._runner.run(canvas.source, canvas.full_scale, tile.read)
            canvas.add(tile, result)
            if result.rejected:
                rejected.append((tile.keep, result.rejected))
        if on_progress is not None:
            on_progress(plan.count, plan.count)
        return rejected

    def _tile_for(self, size: Size, overlap: int) -> int:
        """The tile to plan with: the one asked for, or one that is fast and fits into memory."""
        if self._tile is not None:
            return self._tile
        affordable = isqrt(free_memory(self.device) // 2 // self._engine.bytes_per_pixel)
        return fitting_tile(size, min(affordable // 2, AUTO_TILE[self.device.type]), overlap)

    def _halve_tile(self, plan: TilePlan) -> str:
        """Use smaller tiles from now on; the line that says so."""
        tried = max(plan.tile)
        smaller = max(round_up(tried // 2, STEP), smallest_tile(plan.overlap))
        if smaller >= tried:
            raise DeviceError(
                f"{self.device} has not enough memory even for tiles of {tried} pixels",
                "close other programs, use a smaller --overlap or another --device",
            )
        self._tile = smaller
        return f"{self.device} ran out of memory with tiles of {tried} pixels, went on with {smaller}"


def _check_pixels(pixels: Pixels) -> None:
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise InputError(
            f"pixels of shape {pixels.shape} are not a photo", "(height, width, 1 or 3) is needed"
        )
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"pixels of type {pixels.dtype} are not supported", "use uint8, uint16 or float32")
    bands = (pixels[top : top + 256] for top in range(0, len(pixels), 256))
    if pixels.dtype == np.float32 and not all(np.isfinite(band).all() for band in bands):
        raise InputError("the photo has pixels that are infinite or not numbers", "repair them first")


def _inside(region: Box, photo: Size) -> Box:
    """The region, if it is a part of the photo."""
    if region.top < 0 or region.left < 0 or region.bottom > photo.height or region.right > photo.width:
        raise UsageError(
            f"the region {_geometry(region)} is not inside the photo",
            f"the photo has {photo.width}x{photo.height} pixels",
        )
    if region.size.height <= 0 or region.size.width <= 0:
        raise UsageError(f"the region {_geometry(region)} is empty", "give it at least 1 pixel each way")
    return region


def _with_context(region: Box, overlap: int, photo: Size) -> Box:
    """The part of the photo to restore so that no pixel of the region is within ``overlap`` of a cut edge."""
    return Box(
        top=max(0, region.top - overlap) // STEP * STEP,
        left=max(0, region.left - overlap) // STEP * STEP,
        bottom=min(photo.height, round_up(region.bottom + overlap, STEP)),
        right=min(photo.width, round_up(region.right + overlap, STEP)),
    )


def _moved(box: Box, origin: Box) -> str:
    """A box inside ``origin``, written in the coordinates of the photo."""
    top, left = box.top + origin.top, box.left + origin.left
    bottom, right = min(box.bottom + origin.top, origin.bottom), min(box.right + origin.left, origin.right)
    return _geometry(Box(top, left, bottom, right))


def _geometry(box: Box) -> str:
    return f"{box.size.width}x{box.size.height}+{box.left}+{box.top}"
