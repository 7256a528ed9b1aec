"""Enlarged photos are recognised, and restored at the sizes that hold their detail."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from defocusctl.photo import Photo, read_photo
from defocusctl.photo.geometry import Size
from defocusctl.restoring.blur import enlargement
from tests.restoring.test_levels import NATIVE, QUARTERS, constant, noise, restored

SAMPLES = Path(__file__).parents[2] / "samples"
BLURRED = sorted((SAMPLES / "pairs" / "source").iterdir())
SHARP = sorted((SAMPLES / "sharp").iterdir())


def enlarged(photo: Photo, factor: int) -> Photo:
    pixels = cv2.resize(photo.pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return Photo.of_pixels(np.asarray(pixels), photo.full_scale)


@pytest.mark.parametrize("factor", [2, 4])
def test_most_enlarged_photos_are_recognised(factor: int) -> None:
    found = [enlargement(enlarged(read_photo(path), factor)) for path in BLURRED]
    assert found.count(factor) == 9
    assert set(found) <= {1, factor}


@pytest.mark.parametrize("path", [*BLURRED, *SHARP], ids=lambda path: path.stem)
def test_no_other_photo_counts_as_enlarged(path: Path) -> None:
    photo = read_photo(path)
    assert enlargement(photo) == 1
    if path in SHARP:
        for radius in (1, 2, 3, 4):
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            blurred = cv2.filter2D(photo.pixels, -1, disc / disc.sum())
            assert enlargement(Photo.of_pixels(np.asarray(blurred), photo.full_scale)) == 1, radius


@pytest.mark.parametrize("size", [(8, 8), (40, 300), (300, 40)])
def test_what_is_too_small_or_plain_to_tell_does_not_count(size: tuple[int, int]) -> None:
    assert enlargement(Photo.of_pixels(noise(*size, colours=1), 255.0)) == 1
    assert enlargement(Photo.of_pixels(np.full((*size, 3), 0.5, np.float32), 1.0)) == 1


def test_levels_are_those_of_the_photo_before() -> None:
    photo = enlarged(read_photo(BLURRED[0]), 2)
    radius = constant(Size(photo.size.height // 2, photo.size.width // 2), 1.5)
    result = restored(photo.pixels, radius=radius, shares=NATIVE, scale="auto")
    assert result.report.levels == {"1/2": 1.0}
    assert result.blur is not None and (result.blur.radius == 3.0).all()
    np.testing.assert_array_equal(result.pixels, restored(photo.pixels, scale="1/2").pixels)


def test_blur_too_wide_for_the_smallest_level_is_restored_there() -> None:
    photo = enlarged(read_photo(BLURRED[0]), 4)
    radius = constant(Size(photo.size.height // 4, photo.size.width // 4), 1.5)
    result = restored(photo.pixels, radius=radius, shares=QUARTERS, scale="auto")
    assert result.report.levels == {"1/8": 1.0}


def test_the_blur_lies_where_it_was_in_the_photo_before() -> None:
    photo = enlarged(read_photo(BLURRED[0]), 2)
    radius = constant(Size(photo.size.height // 2, photo.size.width // 2), 1.5)
    radius[:, 10:] = 0
    whole = restored(photo.pixels, radius=radius, shares=NATIVE, scale="auto")
    assert whole.blur is not None
    assert not whole.blur.radius[:, 20:].any() and whole.blur.radius[:, :20].all()
    assert (whole.pixels[:, 200:] == photo.pixels[:, 200:]).all()
