"""Restores photos with a network; the only code that pads, tiles, blends and crops.

The photo stays in host memory as it was read. Tiles become float tensors on the device one at a time, and
their results are written as soon as no other tile can change them: beside the photo and the result, only open
seams stay in memory, and what coarser levels add.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore

import numpy as np
import torch

from defocusctl.models.blur_radius import BlurRadius
from defocusctl.models.level_shares import DEFAULT_SHARES, LevelShares
from defocusctl.models.prediction import Network
from defocusctl.photo import Mask, Photo, fitted
from defocusctl.photo.geometry import Box
from defocusctl.restoring.backends import open_engine
from defocusctl.restoring.blur import estimate_blur
from defocusctl.restoring.change import Change, KeptPieces
from defocusctl.restoring.levels import CELL, SCALES, areas_for, cells_at
from defocusctl.restoring.parts import check_pixels, region_inside, visible
from defocusctl.restoring.planner import TilePlanner
from defocusctl.restoring.pyramid import PhotoPyramid, Progress, run_tiles
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.selection import check_scale, select_levels
from defocusctl.restoring.settings import RestoreReport, RestoreSettings
from defocusctl.restoring.tile_runner import TileRunner
from defocusctl.restoring.tiles import Floats, TilePlan
from defocusctl.system.devices import (
    is_out_of_memory,
    keep_freed_memory,
    limit_threads,
    peak_memory,
    release_memory,
    reset_peak_memory,
    return_freed_memory,
)
from defocusctl.system.threads import ThreadsForIdleProcessors, torch_threads

PROBE = 192  # the side, in pixels, of the tile that is timed for estimates


class Restorer:
    """A network on its device, ready to restore any number of photos.

    It may be called from several threads: ``concurrency`` of them restore at the same time and share the free
    memory; the others wait. On a CPU, a photo restored alone takes no more threads than other programs leave
    processors idle. Other numbers of threads round differently; ``follows_load = False`` keeps the number.

    Backends other than ``torch`` need the network's exported ``graph``; a scale of ``auto`` and ``max_blur``
    need the ``blur_radius`` network. ``level_shares`` are those measured for the network, if they were.

    Raises:
        DeviceError: if the device, the precision or the backend is not available.
    """

    def __init__(
        self,
        network: Network,
        settings: RestoreSettings,
        graph: Path | None = None,
        *,
        blur_radius: BlurRadius | None = None,
        level_shares: LevelShares | None = None,
    ) -> None:
        assert blur_radius is not None or not settings.needs_blur
        self.settings = settings
        self._level_shares = level_shares or DEFAULT_SHARES
        limit_threads()
        self._threads = ThreadsForIdleProcessors()
        self._engine, self.device = open_engine(
            settings.backend, network, settings.device, settings.precision, graph
        )
        if self.device.type == "cpu":
            keep_freed_memory()
        self._blur_radius = None if blur_radius is None else blur_radius.to(self.device)
        self.precision = self._engine.precision
        self.planner = TilePlanner(network, settings, self._engine, self.device)
        self.runner = TileRunner(self._engine, clip=settings.clip)
        self.concurrency = 1
        self.follows_load = True

    @property
    def concurrency(self) -> int:
        """How many threads restore at the same time; set it only while none does."""
        return self.planner.concurrency

    @concurrency.setter
    def concurrency(self, count: int) -> None:
        self.planner.concurrency = count
        self._turns = BoundedSemaphore(count)

    def restore(
        self,
        photos: Sequence[Photo],
        *,
        region: Box | None = None,
        mask: Mask | None = None,
        keep_coefficients: bool = False,
        map_reduction: int = 1,
        keep_change: bool = False,
        on_progress: Progress | None = None,
    ) -> list[Restored]:
        """Restore photos of the same size (H, W) in batches.

        Float pixels may lie below 0 or above white: the network sees them clipped, and its change is added to
        the originals. Neutral photos (``parts.is_neutral``) stay neutral, and colours under alpha 0 are
        unchanged. ``room_for`` says how many photos are worthwhile; results may differ from those of single
        photos by rounding.

        With a ``region``, only that part is restored (with context around it) and returned. ``mask``, of the
        photos' shape at any size, scales the change: 255 is all of it, 0 leaves the pixel alone.
        ``map_reduction`` (1, 2, 4 or 8) stores the maps as means over blocks of that many pixels each way.
        ``keep_change`` keeps the change on the disk (``restoring.restored``), up to 16 bytes per pixel.
        ``on_progress`` is called with the number of tiles done and their total; after running out of memory
        it restarts from 0.

        Raises:
            InputError: if pixels are not finite, their shape or type is not supported, or the mask has
                another shape.
            UsageError: if the region is not inside the photo, the scale leaves too little of it, or the
                overlap does not fit into the tile.
            DeviceError: if even the smallest tile needs more memory than there is.
            OutputError: if there is no room for the change.
            ModelError: if the network's output is not what ``Network`` requires.
        """
        for photo in photos:
            check_pixels(photo.pixels)
        size = photos[0].size
        check_scale(self.settings.scale, size)
        wanted = Box(0, 0, *size) if region is None else region_inside(region, size)
        whole_mask = None if mask is None else fitted(mask, size)
        reduction = map_reduction if keep_coefficients else None
        with self._turns:
            prepared = [
                self._prepare(photo, wanted, whole_mask, reduction, KeptPieces() if keep_change else None)
                for photo in photos
            ]
            threads = torch.get_num_threads()
            with torch_threads(threads):
                reports = self._fill(prepared, on_progress, self._adapting(threads))
        restored = []
        for photo, each, report in zip(photos, prepared, reports, strict=True):
            change = None
            if each.kept is not None and each.blur is not None:
                change = Change(
                    size, self.settings, report, region, mask, self._level_shares, each.blur, each.kept
                )
            restored.append(Restored.of(each, photo, region, report, change))
        return restored

    def blur_radius(self, photo: Photo) -> Floats:
        """The estimated blur radius of a whole photo in pixels, (H, W)."""
        assert self._blur_radius is not None
        whole = Box(0, 0, *photo.size)
        return cells_at(estimate_blur(self._blur_radius, photo, whole).radius, CELL, whole)

    def seconds_per_pixel(self) -> float:
        """Measure how long the network takes per pixel of a tile."""
        noise = np.random.default_rng(0).integers(0, 256, (PROBE, PROBE, 3), dtype=np.uint8)
        photo, whole = Photo.of_pixels(noise, 255.0), Box(0, 0, PROBE, PROBE)
        for _ in range(2):  # the first time warms up
            started = time.perf_counter()
            self.runner.run([photo], whole)
        return (time.perf_counter() - started) / PROBE**2

    def _prepare(
        self, photo: Photo, wanted: Box, mask: Mask | None, map_reduction: int | None, kept: KeptPieces | None
    ) -> PhotoPyramid:
        seen = Photo.of_pixels(visible(photo), photo.full_scale)
        blur = None
        needs_blur = self.settings.needs_blur or map_reduction is not None or kept is not None
        if self._blur_radius is not None and needs_blur:
            area = areas_for(wanted, seen.size, self.planner.overlap, self.planner.step, SCALES)[SCALES[-1]]
            blur = estimate_blur(self._blur_radius, seen, area)
            return_freed_memory()
        shares = select_levels(self.settings, self._level_shares, seen.size, wanted, blur, mask)
        overlap, step = self.planner.overlap, self.planner.step
        strength = self.settings.strength
        return PhotoPyramid(seen, wanted, overlap, step, strength, shares, blur, mask, map_reduction, kept)

    def _adapting(self, threads: int) -> Callable[[], None]:
        """What to call before every tile: it keeps the threads to idle processors, if tiles share them."""
        if self.device.type != "cpu" or self.concurrency > 1 or threads == 1 or not self.follows_load:
            return lambda: None
        return partial(self._threads.adapt, threads)

    def _fill(
        self, photos: Sequence[PhotoPyramid], on_progress: Progress | None, before_tile: Callable[[], None]
    ) -> list[RestoreReport]:
        """Restore into the photos' buffers, with smaller tiles or batches if memory runs out."""
        started = time.perf_counter()
        reset_peak_memory(self.device)
        warnings: list[str] = []
        largest = None
        while True:
            plans = self._plans(photos, largest)
            try:
                done = run_tiles(self.runner, photos, plans, on_progress, before_tile)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release_memory(self.device)
            if len(photos) > 1:
                middle = len(photos) // 2
                first = self._fill(photos[:middle], on_progress, before_tile)
                return first + self._fill(photos[middle:], on_progress, before_tile)
            tried = max(max(plan.tile) for plan in plans.values())
            largest = self.planner.smaller_tile(tried)
            warnings.append(
                f"{self.device} ran out of memory with tiles of {tried} pixels, went on with {largest}"
            )
        seconds = (time.perf_counter() - started) / len(photos)
        memory = peak_memory(self.device)
        return [
            RestoreReport(
                strength=self.settings.strength,
                scale=self.settings.scale,
                max_blur=self.settings.max_blur,
                masked=photo.masked,
                levels=photo.mean_shares(),
                backend=self.settings.backend,
                device=str(self.device),
                precision=self.precision,
                tile=max(max(plan.tile) for plan in plans.values()),
                overlap=self.planner.overlap,
                tiles=tiles.computed,
                seconds=seconds,
                megapixels=photo.wanted.size.megapixels,
                peak_memory=memory,
                warnings=(*warnings, *tiles.warnings),
            )
            for photo, tiles in zip(photos, done, strict=True)
        ]

    def _plans(self, photos: Sequence[PhotoPyramid], largest: int | None) -> dict[int, TilePlan]:
        """The tiles of each level that any of the photos needs, the coarsest level first."""
        plans: dict[int, TilePlan] = {}
        for scale in reversed(SCALES):
            buffers = [photo.buffers[scale] for photo in photos if scale in photo.buffers]
            if buffers:
                plans[scale] = self.planner.plan(buffers[0].level.photo.size, scale, largest)
        return plans
