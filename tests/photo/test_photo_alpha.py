"""Transparency: colours stored multiplied by alpha, and colours that nobody sees."""

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile

from defocusctl.photo import Metadata, Photo, read_photo, write_photo
from defocusctl.photo.alpha import BAND, MARGIN, filled
from defocusctl.photo.formats import jxl
from defocusctl.photo.formats.jxl_codestream import (
    ALPHA,
    ENUMERATION,
    EXTRA_CHANNELS,
    NAME_LENGTHS,
    SHIFTS,
    Bits,
    read_depth,
    read_size,
)
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

BEYOND = "some of its premultiplied colours exceed their alpha and are clipped to it"


def cutout(dtype: str = "uint8", colours: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Straight colours and an alpha that falls from opaque to transparent."""
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    alpha = np.broadcast_to(np.linspace(1.2, -0.2, 40).clip(0, 1) * full, (24, 40)).astype(dtype)
    return files.scene(channels=colours, dtype=dtype), alpha


def premultiplied(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind == "u" else 1
    product = colours.astype(float) * alpha[..., None] / full
    stored = np.rint(product) if alpha.dtype.kind == "u" else product
    return np.dstack([stored.astype(alpha.dtype), alpha])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("colours", [1, 3])
def test_associated_alpha_is_divided_out_and_multiplied_back(dtype: str, colours: int) -> None:
    straight, alpha = cutout(dtype, colours)
    stored = premultiplied(straight, alpha)
    kind = "rgb" if colours == 3 else "minisblack"
    photo = read_photo(files.tiff(stored, photometric=kind, extrasamples=["assocalpha"]))
    assert photo.warnings == ()
    full = photo.full_scale
    half = alpha > full / 2
    assert np.abs(photo.pixels.astype(float) - straight)[half].max() <= (1 if full > 1 else 1e-6)
    assert not photo.pixels[alpha == 0].any()
    with tifffile.TiffFile(io.BytesIO(rewritten(photo))) as tiff:
        assert tiff.pages[0].extrasamples == (1,)
        np.testing.assert_allclose(tiff.asarray(), stored, rtol=2e-7 if full == 1 else 0)
    brighter = np.full_like(photo.pixels, full)
    with tifffile.TiffFile(io.BytesIO(rewritten(photo, brighter))) as tiff:
        written = tiff.asarray()
        np.testing.assert_array_equal(written, np.repeat(written[..., -1:], colours + 1, axis=2))


def test_a_target_with_straight_alpha_gets_straight_colours(tmp_path: Path) -> None:
    straight, alpha = cutout("uint16")
    data = files.tiff(premultiplied(straight, alpha), photometric="rgb", extrasamples=["assocalpha"])
    photo = read_photo(data)
    write_photo(photo, photo.pixels, tmp_path / "straight.png", provenance=files.PROVENANCE)
    again = read_photo(tmp_path / "straight.png")
    half = alpha > 32768
    assert np.abs(again.pixels.astype(int) - straight)[half].max() <= 1


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_light_without_alpha_is_said_to_be_lost(dtype: str) -> None:
    straight, alpha = cutout(dtype)
    stored = premultiplied(straight, alpha)
    stored[5, 39, 0] = stored[..., -1].max()
    photo = read_photo(files.tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    assert photo.warnings == (BEYOND,)


def test_light_beyond_white_survives_division() -> None:
    straight, alpha = cutout("float32")
    straight[:, :1] = 8
    stored = premultiplied(straight, alpha * 0.5)
    photo = read_photo(files.tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    assert photo.pixels.max() == pytest.approx(8)
    np.testing.assert_allclose(tifffile.imread(io.BytesIO(rewritten(photo))), stored, rtol=2e-7)


def test_jpeg_xl_with_associated_alpha_becomes_straight() -> None:
    """The last bit of the description of its one extra channel says so."""
    straight, alpha = cutout("uint16")
    stored = premultiplied(straight, alpha)
    buffer = io.BytesIO()
    jxl.encode(stored[..., :3], stored[..., 3], Metadata(), buffer)
    data = bytearray(buffer.getvalue())
    start = data.index(b"jxlc\xff\x0a") + 6
    bits = Bits(bytes(data[start : start + 64]))
    read_size(bits)
    assert bits.take(1) == 0  # not all by default
    if bits.take(1):
        assert bits.take(6) == 0
    read_depth(bits)
    bits.take(1)
    assert bits.choose(EXTRA_CHANNELS) == 1
    assert bits.take(1) == 0 and bits.choose(ENUMERATION) == ALPHA
    read_depth(bits)
    bits.choose(SHIFTS)
    assert bits.choose(NAME_LENGTHS) == 0
    assert bits.take(1) == 0
    place = bits.position - 1
    data[start + place // 8] |= 1 << place % 8
    photo = read_photo(bytes(data))
    half = alpha > 32768
    assert np.abs(photo.pixels.astype(int) - straight)[half].max() <= 1
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)


def test_heic_with_associated_alpha_becomes_straight() -> None:
    straight, alpha = cutout()
    stored = premultiplied(straight, alpha)
    buffer = io.BytesIO()
    options = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    pillow_heif.encode("RGBa", (40, 24), stored.tobytes(), buffer, **options)
    photo = read_photo(buffer.getvalue())
    half = alpha > 128
    assert np.abs(photo.pixels.astype(int) - straight)[half].max() <= 1
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    np.testing.assert_array_equal(again.alpha, alpha)


def test_hidden_colours_are_those_of_the_nearest_visible_pixel() -> None:
    pixels = files.scene(BAND + 2 * MARGIN + 40, 24)
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[:10], alpha[300, 7] = 255, 1
    shown = filled(pixels, alpha)
    visible = alpha > 0
    np.testing.assert_array_equal(shown[visible], pixels[visible])
    np.testing.assert_array_equal(shown[10:100], np.broadcast_to(pixels[9], (90, 24, 3)))
    np.testing.assert_array_equal(shown[301:350], np.broadcast_to(pixels[300, 7], (49, 24, 3)))
    assert not shown[-10:].any()
    other = np.where(visible[..., None], pixels, 255 - pixels)
    np.testing.assert_array_equal(filled(other, alpha), shown)
    assert filled(pixels, np.maximum(alpha, 1)) is pixels


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIC"])
@pytest.mark.parametrize("colours", [1, 3])
def test_hidden_colours_do_not_bleed_through_lossy_compression(kind: str, colours: int) -> None:
    pixels = files.scene(48, 64, colours)
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[10:30, 13:45] = 0
    seen = []
    for hidden in (0, 255):
        picture = np.where(alpha[..., None] > 0, pixels, np.uint8(hidden))
        seen.append(read_photo(rewritten(Photo(picture, alpha, kind), quality=60)).pixels[alpha == 255])
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "JPEG XL"])
def test_hidden_colours_are_kept_where_nothing_is_lost(kind: str) -> None:
    pixels = files.scene()
    photo = Photo(pixels, np.zeros(pixels.shape[:2], np.uint8), kind)
    np.testing.assert_array_equal(read_photo(rewritten(photo)).pixels, pixels)


@pytest.mark.parametrize(
    ("kind", "hides"), [("unspecified", False), ("assocalpha", True), ("unassalpha", True)]
)
def test_a_tiff_channel_of_unspecified_meaning_hides_nothing(kind: str, hides: bool) -> None:
    photo = read_photo(files.tiff(files.scene(channels=4), photometric="rgb", extrasamples=[kind]))
    assert photo.alpha is not None and (photo.transparency is not None) is hides
