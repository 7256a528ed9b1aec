"""A profile belongs to its kind of pixels in every file that is written: replaced, or left out and named."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from defocusctl.photo import Metadata, Photo, conversion_warnings, icc, read_photo, write_photo
from tests.photo import photo_files as files

RAMP = np.arange(256, dtype=np.uint8)[None].repeat(8, axis=0)
REPLACED = "its ICC profile is for {}, not for {} pixels: replaced by one of the same tone curve"
LEFT_OUT = "its ICC profile is for {}, not for {} pixels: left out"


def gamma(space: str) -> bytes:
    """A grey or RGB profile with the tone curve 1.8, far from sRGB's."""
    linear = icc.for_colours(files.ICC, 1)
    assert linear is not None
    tags = icc._tags(linear)
    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + (0x01CD).to_bytes(2, "big")
    grey = icc._profile(linear, b"GRAY", {**tags, b"kTRC": curve})
    wide = icc.for_colours(grey, 3)
    assert wide is not None
    return grey if space == "GRAY" else wide


GREY_PROFILE, RGB_PROFILE = gamma("GRAY"), gamma("RGB")
LAB = GREY_PROFILE[:20] + b"Lab " + GREY_PROFILE[24:]
CMYK = files.ICC[:16] + b"CMYK" + files.ICC[20:]


def in_srgb(profile: bytes, mode: str) -> np.ndarray:
    """What the profile makes of a ramp of greys."""
    image = Image.fromarray(RAMP).convert(mode)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    return np.asarray(ImageCms.applyTransform(image, transform)).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_rgb_profile_on_grey_pixels_becomes_a_grey_one(kind: str) -> None:
    photo = read_photo(files.pillow(RAMP, kind, icc_profile=RGB_PROFILE))
    assert photo.pixels.shape[2] == 1
    assert photo.warnings == (REPLACED.format("RGB", "grey"),)
    np.testing.assert_allclose(in_srgb(photo.metadata.icc or b"", "L"), in_srgb(RGB_PROFILE, "RGB"), atol=1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_grey_profile_on_rgb_pixels_becomes_an_rgb_one(kind: str) -> None:
    photo = read_photo(files.pillow(np.dstack([RAMP] * 3), kind, icc_profile=GREY_PROFILE))
    assert photo.pixels.shape[2] == 3
    assert photo.warnings == (REPLACED.format("GRAY", "RGB"),)
    np.testing.assert_allclose(in_srgb(photo.metadata.icc or b"", "RGB"), in_srgb(GREY_PROFILE, "L"), atol=1)


@pytest.mark.parametrize(
    ("profile", "mode", "warning"),
    [
        (CMYK, "RGB", LEFT_OUT.format("CMYK", "RGB")),
        (CMYK, "L", LEFT_OUT.format("CMYK", "grey")),
        (LAB, "RGB", LEFT_OUT.format("GRAY", "RGB")),
        (files.ICC[:20] + b"Lab " + files.ICC[24:], "L", LEFT_OUT.format("RGB", "grey")),
        (GREY_PROFILE, "L", None),
        (GREY_PROFILE[:132] + b"\xff" * (len(GREY_PROFILE) - 132), "RGB", LEFT_OUT.format("GRAY", "RGB")),
        (b"not a profile", "RGB", "broken ICC profile left out"),
    ],
)
def test_a_profile_that_cannot_be_used_is_left_out(profile: bytes, mode: str, warning: str | None) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).convert(mode).save(buffer, "JPEG", icc_profile=profile)
    photo = read_photo(buffer.getvalue())
    assert photo.warnings == (() if warning is None else (warning,))
    assert photo.metadata.icc == (profile if warning is None else None)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif", ".heic", ".jxl"])
@pytest.mark.parametrize("clear", [False, True])
def test_every_format_gets_a_profile_for_the_pixels_that_it_stores(
    suffix: str, clear: bool, tmp_path: Path
) -> None:
    if clear and suffix == ".jpg":
        pytest.skip("JPEG has no alpha")
    target = tmp_path / f"grey{suffix}"
    alpha = np.full_like(RAMP, 200) if clear else None
    photo = Photo(RAMP[..., None], alpha, "PNG", Metadata(GREY_PROFILE))
    assert conversion_warnings(photo, target) == ()
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    again = read_photo(target)
    assert again.metadata.icc is not None and icc.fits(again.metadata.icc, again.pixels.shape[2])
    if suffix not in (".heic", ".jxl", ".avif"):  # Pillow does not read these, or not as grey before 13
        with Image.open(target) as image:
            stored, space = image.info["icc_profile"], "L" if image.mode in ("L", "LA") else "RGB"
        np.testing.assert_allclose(in_srgb(stored, space), in_srgb(GREY_PROFILE, "L"), atol=1)


def test_a_grey_profile_that_no_rgb_picture_can_have_is_named(tmp_path: Path) -> None:
    photo = Photo(RAMP[..., None], None, "PNG", Metadata(LAB))
    assert conversion_warnings(photo, tmp_path / "grey.png") == ()
    assert conversion_warnings(photo, tmp_path / "grey.webp") == (
        "WEBP cannot hold the photo's grey ICC profile",
    )
    write_photo(photo, photo.pixels, tmp_path / "grey.webp", provenance=files.PROVENANCE)
    assert read_photo(tmp_path / "grey.webp").metadata.icc is None


def test_what_follows_a_profile_is_no_part_of_it() -> None:
    photo = read_photo(files.tiff(np.dstack([RAMP] * 3), photometric="rgb", iccprofile=files.ICC + bytes(99)))
    assert photo.metadata.icc == files.ICC and photo.warnings == ()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_profile_too_long_for_a_format_is_left_out(suffix: str, tmp_path: Path) -> None:
    length = 17 * 10**6
    profile = (length.to_bytes(4, "big") + RGB_PROFILE[4:]).ljust(length, b"\0")
    photo = Photo(files.scene(), None, "TIFF", Metadata(profile))
    target = tmp_path / f"out{suffix}"
    (warning,) = conversion_warnings(photo, target)
    assert warning.endswith("cannot hold the photo's oversized ICC profile")
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    again = read_photo(target)
    assert again.metadata.icc is None and again.warnings == ()
