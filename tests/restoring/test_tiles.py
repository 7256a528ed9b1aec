"""The tile plan and the joining of tiles, over many sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusctl.errors import UsageError
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tiles import (
    RAMP,
    STEP,
    Stitcher,
    cheapest_tile,
    padded_size,
    plan_tiles,
    rising_window,
    smallest_tile,
)

lengths = st.integers(1, 900)
overlaps = st.integers(0, 120)


def cut_edges(read: Box, padded: Size) -> list[tuple[str, int]]:
    """The sides of a tile that lie inside the photo, and where they are."""
    edges = []
    if read.top > 0:
        edges.append(("top", read.top))
    if read.bottom < padded.height:
        edges.append(("bottom", read.bottom))
    if read.left > 0:
        edges.append(("left", read.left))
    if read.right < padded.width:
        edges.append(("right", read.right))
    return edges


@settings(max_examples=150, deadline=None)
@given(
    height=lengths,
    width=lengths,
    overlap=overlaps,
    extra=st.integers(0, 300),
    step=st.sampled_from([STEP, 2 * STEP]),
)
def test_a_plan_keeps_its_promises(height: int, width: int, overlap: int, extra: int, step: int) -> None:
    side = smallest_tile(overlap, step) + extra
    plan = plan_tiles(Size(height, width), Size(side, side), overlap, step=step)
    assert plan.size == padded_size(Size(height, width), step=step)
    kept = np.zeros(plan.size, dtype=np.int32)
    for tile in plan.tiles:
        assert tile.read.size == plan.tile
        assert tile.read.top % step == tile.read.left % step == 0
        assert all(length % step == 0 and length >= 2 * step for length in tile.read.size)
        kept[tile.keep.slices] += 1
        for side, edge in cut_edges(tile.read, plan.size):
            assert abs(getattr(tile.keep, side) - edge) >= overlap
    assert kept.min() == 1  # every pixel has an answer
    assert kept.max() <= 4


@settings(max_examples=60, deadline=None)
@given(
    height=lengths,
    width=lengths,
    overlap=overlaps,
    extra=st.integers(0, 200),
    divisor=st.sampled_from([1, 2, 4]),
)
def test_joined_tiles_of_one_field_are_that_field(
    height: int, width: int, overlap: int, extra: int, divisor: int
) -> None:
    side = smallest_tile(overlap) + extra
    plan = plan_tiles(Size(height, width), Size(side, side), overlap)
    rows, columns = plan.size.height // divisor, plan.size.width // divisor
    field = np.random.default_rng(0).random((2, rows, columns), dtype=np.float32)
    stitcher = Stitcher(plan, channels=2, divisor=divisor)
    joined = np.zeros_like(field)
    covered = np.zeros(field.shape[1:], dtype=np.int32)
    for tile in plan.tiles:
        read = Box(*(edge // divisor for edge in vars(tile.read).values()))
        box, block = stitcher.join(tile, field[:, *read.slices])
        joined[:, *box.slices] = block
        covered[box.slices] += 1
    assert (covered == 1).all()
    np.testing.assert_allclose(joined, field, rtol=0, atol=2e-7)


def test_constant_tiles_of_different_value_blend_smoothly() -> None:
    plan = plan_tiles(Size(32, 400), tile=Size(160, 160), overlap=16)
    stitcher = Stitcher(plan, channels=1)
    row = np.zeros(plan.size.width, np.float32)
    for index, tile in enumerate(plan.tiles):
        box, block = stitcher.join(tile, np.full((1, *tile.read.size), index, np.float32))
        row[box.left : box.right] = block[0, 0]
    steps = np.diff(row)
    assert (steps >= 0).all()
    assert steps.max() < 0.11  # a raised cosine over 16 pixels, not an edge
    assert row[0] == 0
    assert row[-1] == plan.count - 1


def test_windows_of_neighbours_sum_to_one() -> None:
    rising = rising_window(RAMP)
    np.testing.assert_allclose(rising + rising[::-1], 1, atol=1e-7)
    assert (np.diff(rising) > 0).all()


@pytest.mark.parametrize(
    ("size", "padded"),
    [((1, 1), (32, 32)), ((16, 17), (32, 32)), ((33, 48), (48, 48)), ((640, 641), (640, 656))],
)
def test_padding(size: tuple[int, int], padded: tuple[int, int]) -> None:
    assert padded_size(Size(*size)) == padded


def test_tile_zero_is_the_whole_photo() -> None:
    plan = plan_tiles(Size(500, 3000), tile=Size(0, 0), overlap=64)
    assert plan.count == 1
    assert plan.tile == plan.size == (512, 3008)


def test_no_larger_tiles_than_asked_for_and_no_more_than_needed() -> None:
    plan = plan_tiles(Size(1000, 1000), tile=Size(512, 512), overlap=64)
    assert plan.count == 9
    assert plan.tile == (432, 432)


@pytest.mark.parametrize("overlap", [0, 64, 393])
def test_the_cheapest_tile_is_never_too_small_or_too_large(overlap: int) -> None:
    side = smallest_tile(overlap) + 13 * STEP
    pixels = side**2
    for length in range(32, 4000, 36):
        size = Size(length, 1000)
        tile = cheapest_tile(size, pixels, overlap)
        plan = plan_tiles(size, tile, overlap)
        assert plan.tile == tile
        assert tile.pixels <= pixels
        square = plan_tiles(size, Size(side, side), overlap)
        assert plan.count * tile.pixels <= square.count * square.tile.pixels


def test_an_overlap_that_hardly_fits() -> None:
    """Where memory has no room for the smallest tile, the smallest it is."""
    assert cheapest_tile(Size(2000, 2000), 100, overlap=64) == (160, 160)
    assert plan_tiles(Size(64, 64), cheapest_tile(Size(64, 64), 100, overlap=64), overlap=64).count == 1


def test_a_tile_without_room_for_its_overlap() -> None:
    with pytest.raises(UsageError, match=r"no room for an overlap of 64.*at least 160"):
        plan_tiles(Size(1000, 1000), tile=Size(128, 128), overlap=64)
    with pytest.raises(UsageError, match="cannot be negative"):
        RestoreSettings(overlap=-1)
