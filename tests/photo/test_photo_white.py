"""White in floating-point photos: 1, or what the user says; never guessed, and never wrong without a word."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from defocusctl.errors import InputError, UsageError
from defocusctl.photo import Photo, read_photo, write_photo
from defocusctl.restoring.blur import enlargement
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

UNIT = files.scene(dtype="float32")


def tiff(pixels: np.ndarray) -> bytes:
    return files.tiff(pixels.astype(np.float32), photometric="rgb")


def jxl(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(pixels.astype(np.float32), lossless=True))


@pytest.mark.parametrize("white", [100, 255, 4095, 65535])
def test_photos_that_are_plainly_not_from_0_to_1_are_refused(white: int) -> None:
    for make in (tiff, jxl):
        with pytest.raises(InputError, match=rf"samples, 0 to {white}, .* --white VALUE"):
            read_photo(make(UNIT / UNIT.max() * white))


def test_counts_are_refused_even_if_most_are_dark() -> None:
    counts = np.where(UNIT > 0.9, 3.0, 0.0)
    assert 0 < np.count_nonzero(counts) < counts.size / 4
    with pytest.raises(InputError, match="0 to 3"):
        read_photo(tiff(counts))


def test_samples_around_zero_are_refused() -> None:
    with pytest.raises(InputError, match="-1 to 0"):
        read_photo(tiff((UNIT - UNIT.min()) / np.ptp(UNIT) - 1))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.where(UNIT > 0.9, 2.5, UNIT), "of its floating-point samples are below 0 or above 1"),
        (np.where(UNIT < 0.1, -0.3, UNIT), "of its floating-point samples are below 0 or above 1"),
        (UNIT * 0.03, "its brightest floating-point sample is 0.03"),
    ],
)
def test_a_doubtful_white_is_said(pixels: np.ndarray, words: str) -> None:
    (warning,) = read_photo(tiff(pixels)).warnings
    assert words in warning and warning.endswith("give it with --white")


def test_a_few_highlights_beyond_white_are_usual() -> None:
    pixels = UNIT.copy()
    pixels[0, :5] = 7.5
    pixels[1, 5:20] = -0.01
    assert read_photo(tiff(pixels)).warnings == ()
    assert read_photo(tiff(np.zeros_like(UNIT))).warnings == ()
    assert read_photo(tiff(np.ones_like(UNIT))).warnings == ()


@pytest.mark.parametrize("make", [tiff, jxl])
def test_with_the_right_white_everything_stays_in_its_scale(make: object, tmp_path: Path) -> None:
    data = make(UNIT * 255)  # type: ignore[operator]
    photo = read_photo(data, white=255)
    assert photo.warnings == () and photo.full_scale == 255
    np.testing.assert_array_equal(read_photo(rewritten(photo), white=255).pixels, UNIT * 255)
    write_photo(photo, photo.pixels, tmp_path / "eight.webp", provenance=files.PROVENANCE)
    np.testing.assert_array_equal(read_photo(tmp_path / "eight.webp").pixels, files.scene())


def test_alpha_has_the_same_white() -> None:
    straight = UNIT * 255
    alpha = np.full(UNIT.shape[:2], 127.5, np.float32)
    stored = np.dstack([straight / 2, alpha])
    photo = read_photo(files.tiff(stored, photometric="rgb", extrasamples=["assocalpha"]), white=255)
    np.testing.assert_allclose(photo.pixels, straight, rtol=1e-6)


def test_integers_have_their_own_white() -> None:
    photo = read_photo(files.pillow(files.scene(), "PNG"), white=1)
    assert photo.full_scale == 255


@pytest.mark.parametrize("white", [0, -1, float("nan"), float("inf")])
def test_what_cannot_be_white(white: float) -> None:
    with pytest.raises(UsageError, match="white cannot be"):
        read_photo(tiff(UNIT), white=white)


@pytest.mark.parametrize("extreme", [3e38, 255e30])
def test_light_far_beyond_white_is_no_concern_of_the_blur(extreme: float) -> None:
    pixels = UNIT.repeat(4, axis=0).repeat(4, axis=1)
    pixels[50, 60] = extreme
    assert enlargement(Photo.of_pixels(pixels, 1.0)) in (1, 2, 4)
