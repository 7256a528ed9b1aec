"""Coefficient maps while they are stitched: reduced as they come, or refused when there is no room."""

import tracemalloc

import numpy as np
import pytest

from defocusctl.errors import DeviceError
from defocusctl.maps.maps import picture_reduction
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.levels import Level
from defocusctl.restoring.output import LARGEST_REDUCTION, Map, OutputBuffer
from defocusctl.restoring.tile_runner import TileResult
from defocusctl.restoring.tiles import TilePlan, plan_tiles

PHOTO = Size(147, 260)


def stitched(plan: TilePlan, whole: np.ndarray, divisor: int, reduction: int, part: Box) -> np.ndarray:
    """The map of ``part`` from tiles that all show the same ``whole``, (K, H/s, W/s)."""
    coefficient = Map(plan, len(whole), divisor, reduction)
    for tile in plan.tiles:
        box = Box(*(e // divisor for e in (tile.read.top, tile.read.left, tile.read.bottom, tile.read.right)))
        coefficient.add(tile, whole[:, *box.slices])
    return coefficient.cut(part)


@pytest.mark.parametrize("tile", [0, 48, 80])
@pytest.mark.parametrize("divisor", [1, 2, 4])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_reduced_map_holds_the_means_of_the_full_one(tile: int, divisor: int, reduction: int) -> None:
    plan = plan_tiles(PHOTO, Size(tile, tile), overlap=3)
    whole = np.random.default_rng(1).random(
        (3, plan.size.height // divisor, plan.size.width // divisor), dtype=np.float32
    )
    scale = max(divisor, reduction)
    block = scale // divisor
    blocks = whole.reshape(3, plan.size.height // scale, block, plan.size.width // scale, block)
    values = stitched(plan, whole, divisor, reduction, Box(0, 0, *PHOTO))
    assert values.shape == (3, -(-147 // scale), -(-260 // scale))
    expected = blocks.mean(axis=(2, 4))[:, : values.shape[1], : values.shape[2]]
    np.testing.assert_allclose(values, expected, atol=1e-3)
    part = stitched(plan, whole, divisor, reduction, Box(40, 50, 90, 131))
    rows, columns = slice(40 // scale, -(-90 // scale)), slice(50 // scale, -(-131 // scale))
    np.testing.assert_array_equal(part, values[:, rows, columns])


@pytest.mark.parametrize(
    ("size", "expected"),
    [(Size(600, 800), 1), (Size(2000, 3000), 2), (Size(6000, 8000), 4), (Size(30000, 40000), 8)],
)
def test_pictures_need_no_more_of_the_maps_than_their_largest_panel_has(size: Size, expected: int) -> None:
    assert picture_reduction(size, LARGEST_REDUCTION) == expected


def test_maps_for_pictures_take_a_fraction_of_the_full_ones() -> None:
    pixels = np.zeros((900, 1200, 3), np.uint8)
    plan = plan_tiles(Size(900, 1200), tile=Size(160, 160), overlap=8)
    maps = {"gamma_1": np.zeros((22, *plan.tile), np.float32)}
    result = TileResult(np.zeros((3, *plan.tile), np.float32), maps, rejected=None)
    tracemalloc.start()
    buffer = OutputBuffer(
        Level(1, Box(0, 0, 900, 1200), Photo.of_pixels(pixels, 255.0)), strength=1.0, map_reduction=8
    )
    buffer.begin(plan)
    for tile in plan.tiles:
        buffer.add(tile, tile.read, result)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    kept = buffer.coefficients(Box(0, 0, 900, 1200))
    assert kept["gamma_1"].shape == (22, 113, 150)
    assert peak < pixels.nbytes + 14e6  # the full maps alone are 48 MB


def test_maps_without_room_are_refused_by_name() -> None:
    plan = plan_tiles(Size(4_000_000, 4_000_000), tile=Size(0, 0), overlap=0)
    with pytest.raises(DeviceError, match=r"coefficient maps.*22 of them take 704000\.0 GB.*--maps-data"):
        Map(plan, 22, 1, 1)
