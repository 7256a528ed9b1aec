"""How large the tiles of a photo are: as memory and the device allow."""

from math import lcm

import torch

from defocusctl.errors import DeviceError
from defocusctl.models.prediction import Network
from defocusctl.photo.geometry import Size, round_up
from defocusctl.restoring.engines import Engine
from defocusctl.restoring.selection import SCALE_OF, check_scale, levels_for
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tiles import (
    CONTEXT,
    STEP,
    TilePlan,
    cheapest_tile,
    padded_size,
    plan_tiles,
    smallest_tile,
)
from defocusctl.system.devices import free_memory

LARGEST_TILE = {"cpu": 768**2, "cuda": 2304**2, "mps": 896**2}
"""Pixels; larger tiles save little (docs/restoring.md). In larger ones on a CPU, INIKNet filters tensors of
more than 512 MiB, for which oneDNN computes float32 convolutions three times as slowly per pixel (with
PyTorch 2.13 on an AMD EPYC with AVX2)."""

MOST_MEMORY, LEAST_MEMORY = 2_000_000_000, 1_000_000_000
"""Bytes that a tile on a CPU may need, beside a small photo and beside a large one."""

BYTES_OF_PHOTO = 40  # per pixel of a photo, its levels and its result; tiles are smaller for it
MAX_BATCH = 32  # the largest number of small photos that share a batch on a GPU


class TilePlanner:
    """Plans the tiles of photos; ``concurrency`` is how many photos share the free memory."""

    def __init__(
        self, network: Network, settings: RestoreSettings, engine: Engine, device: torch.device
    ) -> None:
        self.overlap = network.default_overlap if settings.overlap is None else settings.overlap
        self.step = lcm(STEP, network.multiple)
        self.concurrency = 1
        self._settings = settings
        self._device = device
        self.bytes_per_pixel = engine.bytes_per_pixel

    def plan(self, size: Size, scale: int = 1, largest: int | None = None) -> TilePlan:
        """The tiles for a photo of this size after it was shrunken by ``scale``.

        ``largest`` limits their sides, in pixels.

        Raises:
            UsageError: if the overlap does not fit into the tile.
        """
        tile = self._tile_for(size, scale**2 * size.pixels)
        if largest is not None:
            tile = Size(*(min(side or largest, largest) for side in tile))
        return plan_tiles(size, tile, self.overlap, CONTEXT, self.step)

    def possible_plans(self, size: Size) -> list[TilePlan]:
        """The tiles of all levels that a photo of this size may need.

        Raises:
            UsageError: if the overlap does not fit into the tile, or the scale leaves too little of it.
        """
        scale = self._settings.scale
        check_scale(scale, size)
        scales = levels_for(size) if scale == "auto" else (SCALE_OF[scale],)
        return [self.plan(size.in_blocks(factor), factor) for factor in scales]

    def max_concurrency(self) -> int:
        """How many photos fit into free memory at once without smaller tiles; at least one."""
        pixels = (self._settings.tile or 0) ** 2 or LARGEST_TILE[self._device.type]
        return max(1, free_memory(self._device) // 2 // (pixels * self.bytes_per_pixel))

    def room_for(self, size: Size) -> int:
        """How many photos of this size are worth batching; more than one only on a GPU."""
        if self._device.type == "cpu":
            return 1
        fitting = LARGEST_TILE[self._device.type] // padded_size(size, CONTEXT, self.step).pixels
        return min(max(1, fitting), MAX_BATCH)

    def smaller_tile(self, tried: int) -> int:
        """The tile size to continue with after memory ran out; the next photo starts with its own again.

        Raises:
            DeviceError: if there is none.
        """
        smaller = max(round_up(tried // 2, self.step), smallest_tile(self.overlap, self.step))
        if smaller >= tried:
            cause = f"{self._device} does not have enough memory even for tiles of {tried} pixels"
            raise DeviceError(cause, "close other programs, use a smaller --overlap or another --device")
        return smaller

    def _tile_for(self, size: Size, photo: int) -> Size:
        """The largest tile to plan with: the requested one, or one that is fast and fits into memory.

        ``photo`` is how many pixels the photo has at full size.
        """
        if self._settings.tile is not None:
            return Size(self._settings.tile, self._settings.tile)
        memory = free_memory(self._device) // 2 // self.concurrency
        if self._device.type == "cpu" and self._settings.backend == "torch":
            memory = min(memory, max(LEAST_MEMORY, MOST_MEMORY - BYTES_OF_PHOTO * photo))
        pixels = min(memory // self.bytes_per_pixel, LARGEST_TILE[self._device.type])
        return cheapest_tile(size, pixels, self.overlap, CONTEXT, self.step)
