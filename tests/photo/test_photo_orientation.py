"""All eight orientations, in every place a file can say them; the truth is worked out pixel by pixel."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from defocusctl.photo import read_photo
from defocusctl.photo.reframing import upright
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

STORED = np.array([[1, 2, 3], [4, 5, 6]])
SEEN = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("orientation", SEEN)
def test_each_orientation_on_paper(orientation: int) -> None:
    np.testing.assert_array_equal(upright(STORED, orientation), SEEN[orientation])


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_each_orientation_in_each_format(kind: str, orientation: int) -> None:
    stored = files.scene(24, 40, channels=3 if kind == "JPEG" else 4)
    options = {"exif": b"Exif\0\0" + files.exif_block(orientation)}
    data = files.pillow(
        stored, kind, **options, **({"lossless": True, "exact": True} if kind == "WEBP" else {})
    )
    with Image.open(io.BytesIO(data)) as image:
        seen = np.asarray(ImageOps.exif_transpose(image))
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, seen[:, :, :3])
    if photo.alpha is not None:
        np.testing.assert_array_equal(photo.alpha, seen[:, :, 3])
    data = rewritten(photo)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(274, 1) == 1
        assert image.size == (seen.shape[1], seen.shape[0])
        assert b'tiff:Orientation="6"' not in data


@pytest.mark.parametrize("name", ["orientation6.jpg", "samsung-orientation6.jpg"])
def test_camera_files_agree_with_pillow(name: str) -> None:
    data = (files.DATA / name).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        seen = np.asarray(ImageOps.exif_transpose(image))
    photo = read_photo(data)
    assert photo.size == (width, height)
    np.testing.assert_array_equal(photo.pixels, seen)


def test_the_exif_block_changes_only_where_it_must() -> None:
    """Maker notes hold offsets into the block: everything but a few values stays byte for byte."""
    data = (files.DATA / "samsung-orientation6.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        before = image.info["exif"]
        dimensions = image.getexif().get_ifd(34665)
    photo = read_photo(data)
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        after = image.info["exif"]
        swapped = image.getexif().get_ifd(34665)
        assert not image.getexif().get_ifd(1)  # no thumbnail of the blurred, unturned photo
    assert len(after) == len(before)
    blanked = slice(before.index(b"\xff\xd8\xff"), before.rindex(b"\xff\xd9") + 2)  # the thumbnail
    assert not any(after[blanked])
    changed = [a for a, b in zip(after[: blanked.start], before, strict=False) if a != b]
    assert sum(byte != 0 for byte in changed) < 24  # the thumbnail's directory is blank as well
    assert (swapped[40962], swapped[40963]) == (dimensions[40963], dimensions[40962])
    assert swapped[37500] == dimensions[37500]


def test_orientation_in_xmp_counts_without_exif_and_is_reset() -> None:
    xmp = files.XMP.replace(b'tiff:Orientation="1"', b'tiff:Orientation="8"')
    stored = files.scene()
    photo = read_photo(files.pillow(stored, "WEBP", lossless=True, xmp=xmp))
    np.testing.assert_array_equal(photo.pixels, upright(stored, 8))
    assert photo.metadata.xmp is not None and b'tiff:Orientation="1"' in photo.metadata.xmp
    exif = b"Exif\0\0" + files.exif_block(3)
    photo = read_photo(files.pillow(stored, "WEBP", lossless=True, xmp=xmp, exif=exif))
    np.testing.assert_array_equal(photo.pixels, upright(stored, 3))


def test_an_impossible_orientation_is_none() -> None:
    stored = files.scene()
    exif = b"Exif\0\0" + files.exif_block(77)
    photo = read_photo(files.pillow(stored, "WEBP", lossless=True, exif=exif))
    np.testing.assert_array_equal(photo.pixels, stored)
    assert photo.metadata.exif is not None and photo.warnings == ()


def test_resolution_turns_with_the_photo() -> None:
    exif = b"Exif\0\0" + files.exif_block(6)
    photo = read_photo(files.pillow(files.scene(), "JPEG", dpi=(100, 200), exif=exif))
    assert photo.metadata.resolution is not None
    assert photo.metadata.resolution.per("inch") == (200, 100)
