"""Masks: pictures of any kind as numbers from 0 to 255, fitted to a photo."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import fitted, read_mask
from defocusctl.photo.geometry import Size


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_grey_picture_is_taken_as_it_is(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", grey)), grey)


def test_sixteen_bits_count_by_their_share_of_white(tmp_path: Path) -> None:
    deep = np.array([[0, 65535], [32768, 257 * 7]], np.uint16)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", deep)), [[0, 255], [128, 7]])


def test_colours_count_by_their_mean_and_transparency_as_black(tmp_path: Path) -> None:
    pixels = np.array([[[255, 255, 255, 255], [255, 0, 0, 255], [255, 255, 255, 0]]], np.uint8)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", pixels)), [[255, 85, 0]])


def test_a_mask_is_upright_like_the_photo(tmp_path: Path) -> None:
    grey = np.zeros((4, 6), np.uint8)
    grey[0] = 255
    exif = Image.Exif()
    exif[274] = 6  # the file's top is on the right
    mask = read_mask(saved(tmp_path / "m.png", grey, exif=exif))
    assert mask.shape == (6, 4)
    assert mask[:, 3].min() == 255
    assert mask[:, :3].max() == 0


@pytest.mark.parametrize(("value", "line"), [(0, "all black, so nothing"), (255, "all white: leave out")])
def test_a_mask_that_says_nothing(tmp_path: Path, value: int, line: str) -> None:
    with pytest.raises(InputError, match=line):
        read_mask(saved(tmp_path / "m.png", np.full((4, 4), value, np.uint8)))
    read_mask(saved(tmp_path / "grey.png", np.full((4, 4), 100, np.uint8)))


@pytest.mark.parametrize("size", [Size(300, 401), Size(60, 80), Size(9, 12), Size(151, 200)])
def test_masks_are_fitted_to_photos_of_their_shape(size: Size) -> None:
    mask = np.zeros((150, 200), np.uint8)
    mask[:, 100:] = 255
    found = fitted(mask, size)
    assert found.shape == tuple(size)
    assert found.dtype == np.uint8
    assert found[:, : size.width // 2 - 2].max() == 0
    assert found[:, size.width // 2 + 2 :].min() == 255


@pytest.mark.parametrize("size", [Size(200, 150), Size(150, 190), Size(300, 300)])
def test_masks_of_another_shape_are_refused(size: Size) -> None:
    with pytest.raises(InputError, match="does not have the shape of the photo"):
        fitted(np.zeros((150, 200), np.uint8), size)
