"""Output names, what must not be overwritten, and what a change of format costs."""

import os
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin

from defocusctl.errors import OutputError
from defocusctl.photo import (
    Photo,
    check_writable_target,
    conversion_warnings,
    output_path,
    read_photo,
    write_photo,
)
from tests.photo import photo_files as files


@pytest.fixture
def photo_path(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(files.pillow(files.scene(), "JPEG"))
    return path


def test_names_beside_the_input(photo_path: Path, tmp_path: Path) -> None:
    assert output_path(photo_path, None) == tmp_path / "photo_deblurred.jpg"
    assert output_path(photo_path, tmp_path / "other.png") == tmp_path / "other.png"
    assert output_path(photo_path, tmp_path) == tmp_path / "photo_deblurred.jpg"
    assert output_path(photo_path, f"{tmp_path}/new/") == tmp_path / "new" / "photo_deblurred.jpg"
    assert output_path(tmp_path / "no.such.tif", None) == tmp_path / "no.such_deblurred.tif"


def test_the_content_decides_about_a_wrong_suffix(tmp_path: Path) -> None:
    data = files.pillow(files.scene(), "PNG")
    for name, expected in (
        ("a.jpg", "a_deblurred.png"),
        ("b", "b_deblurred.png"),
        ("c.PNG", "c_deblurred.PNG"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        assert output_path(path, None) == tmp_path / expected
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.format == "PNG" and "it is PNG" in photo.warnings[0]
    bitmap = tmp_path / "d.pbm"
    for content, suffix in ((b"P1 1 1 1", "pgm"), (b"P6 1 1 255 abc", "ppm"), (data, "png")):
        bitmap.write_bytes(content)
        assert output_path(bitmap, None).name == f"d_deblurred.{suffix}"


def test_existing_files_need_force(photo_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.png"
    check_writable_target(photo_path, target, force=False)
    target.touch()
    with pytest.raises(OutputError, match="exists already"):
        check_writable_target(photo_path, target, force=False)
    check_writable_target(photo_path, target, force=True)


@pytest.mark.posix
def test_the_input_itself_is_refused_under_any_name(photo_path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(photo_path)
    os.link(photo_path, tmp_path / "hard.jpg")
    (tmp_path / "folder").mkdir()
    for name in ("photo.jpg", "link.jpg", "hard.jpg", "folder/../photo.jpg"):
        with pytest.raises(OutputError, match="the input itself"):
            check_writable_target(photo_path, tmp_path / name, force=True)


def test_places_that_cannot_be_written(photo_path: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    cases = {
        "missing/out.png": "no folder",
        "folder.png": "not an ordinary file",
        "out.docx": "does not say which format",
        "out": "does not say which format",
        "out.pbm": "does not say which format",
        "photo.jpg/out.png": "no folder",
    }
    for name, reason in cases.items():
        with pytest.raises(OutputError, match=reason):
            check_writable_target(photo_path, tmp_path / name, force=False)


DEEP = Photo(files.scene(dtype="uint16"), None, "PNG")
FLOAT = Photo(files.scene(dtype="float32"), None, "TIFF")
CLEAR = Photo(files.scene(), files.scene(channels=1)[:, :, 0], "PNG")


def test_less_depth_is_said_and_rounded(tmp_path: Path) -> None:
    for name in ("out.jpg", "out.webp", "out.bmp", "out.avif"):
        assert "16 bits are rounded" in conversion_warnings(DEEP, Path(name))[0]
    for name in ("out.png", "out.tif", "out.ppm"):
        assert conversion_warnings(DEEP, Path(name)) == ()
    write_photo(DEEP, DEEP.pixels, tmp_path / "out.bmp", provenance=files.PROVENANCE)
    np.testing.assert_array_equal(read_photo(tmp_path / "out.bmp").pixels, np.rint(DEEP.pixels / 257))
    assert "clipped and rounded" in conversion_warnings(FLOAT, Path("out.png"))[0]
    write_photo(FLOAT, FLOAT.pixels * 2 - 0.5, tmp_path / "out.png", provenance=files.PROVENANCE)
    expected = np.rint((FLOAT.pixels * 2 - 0.5).clip(0, 1) * 65535)
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").pixels, expected)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name in ("out.jpg", "out.ppm"):
        with pytest.raises(OutputError, match="transparency"):
            write_photo(CLEAR, CLEAR.pixels, tmp_path / name, provenance=files.PROVENANCE)
    with pytest.raises(OutputError, match="cannot hold colour"):
        conversion_warnings(DEEP, Path("out.pgm"))
    long = Photo(np.zeros((1, 20000, 1), np.uint8), None, "PNG")
    with pytest.raises(OutputError, match="16383"):
        conversion_warnings(long, Path("out.webp"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.jpg", "out.ppm"])
def test_alpha_that_is_all_opaque_is_dropped(name: str, tmp_path: Path) -> None:
    opaque = replace(CLEAR, alpha=np.full_like(CLEAR.alpha, CLEAR.full_scale))
    write_photo(opaque, opaque.pixels, tmp_path / name, provenance=files.PROVENANCE)
    assert read_photo(tmp_path / name).alpha is None


def test_lost_metadata_are_said(tmp_path: Path) -> None:
    photo = read_photo(files.DATA / "icc-exif.jpg")
    assert conversion_warnings(photo, Path("out.bmp")) == (
        "BMP cannot hold the photo's ICC profile, EXIF, XMP, IPTC or Photoshop data",
    )
    assert conversion_warnings(photo, Path("out.jpg")) == ()
    write_photo(photo, photo.pixels, tmp_path / "out.ppm", provenance=files.PROVENANCE)
    with Image.open(tmp_path / "out.ppm") as image:
        assert image.size == (600, 400)


def lost(data: bytes, target: str) -> str:
    """The one warning of a change of format, or nothing."""
    return "".join(conversion_warnings(read_photo(data), Path(target)))


@pytest.mark.parametrize("target", ["out.jpg", "out.tif", "out.webp", "out.avif"])
def test_what_only_a_png_holds_is_said(target: str) -> None:
    gamma = files.png_chunk(b"gAMA", (100000).to_bytes(4, "big"))
    text = files.png_chunk(b"tEXt", b"Author\0somebody")
    icc = files.png_chunk(b"iCCP", b"name\0\0" + zlib.compress(files.ICC))
    srgb = files.png_chunk(b"sRGB", b"\0")
    pixels = files.scene()
    assert lost(files.png(pixels, extra=gamma + text), target).endswith("colour description (gAMA), text")
    assert lost(files.png(pixels, extra=gamma), target).endswith("colour description (gAMA)")
    assert lost(files.png(pixels, extra=gamma + text), "out.png") == ""
    for implied in (icc, srgb):  # neither leaves gamma anything to say
        assert lost(files.png(pixels, extra=implied + gamma), target) == ""


@pytest.mark.parametrize("target", ["out.png", "out.webp", "out.avif"])
def test_what_only_a_jpeg_holds_is_said(target: str) -> None:
    iptc = (files.DATA / "icc-exif.jpg").read_bytes()
    comment = files.pillow(files.scene(), "JPEG", comment=b"a moth")
    assert lost(iptc, target).endswith("cannot hold the photo's IPTC or Photoshop data")
    assert lost(comment, target).endswith("cannot hold the photo's comment")
    assert lost(iptc, "out.jpg") == lost(comment, "out.jpg") == ""


def test_iptc_and_photoshop_data_pass_between_jpeg_and_tiff(tmp_path: Path) -> None:
    jpeg, tiff, again = (tmp_path / name for name in ("in.jpg", "out.tif", "again.jpg"))
    jpeg.write_bytes((files.DATA / "icc-exif.jpg").read_bytes())
    for source, target in ((jpeg, tiff), (tiff, again)):
        photo = read_photo(source)
        assert conversion_warnings(photo, target) == ()
        write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    with Image.open(jpeg) as before, Image.open(tiff) as between, Image.open(again) as after:
        iptc = IptcImagePlugin.getiptcinfo(before)
        assert iptc and iptc == IptcImagePlugin.getiptcinfo(between) == IptcImagePlugin.getiptcinfo(after)
        resources = dict(before.info["photoshop"])
        del resources[0x040C]  # the preview
        assert after.info["photoshop"] == resources


def test_iptc_of_a_tiff_alone_passes_to_jpeg(tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x05\x00\x03abc"
    pixels = files.scene()
    photo = read_photo(files.tiff(pixels, photometric="rgb", extratags=[(33723, 7, 8, iptc, True)]))
    assert conversion_warnings(photo, tmp_path / "out.jpg") == ()
    assert "IPTC" in conversion_warnings(photo, tmp_path / "out.png")[0]
    write_photo(photo, photo.pixels, tmp_path / "out.jpg", provenance=files.PROVENANCE)
    with Image.open(tmp_path / "out.jpg") as image:
        assert IptcImagePlugin.getiptcinfo(image) == {(2, 5): b"abc"}


def test_resolution_lost_in_a_pixmap_is_said() -> None:
    assert lost(files.pillow(files.scene(), "BMP", dpi=(300, 300)), "out.ppm").endswith("photo's resolution")


def test_wrong_pixels_are_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pixels are"):
        write_photo(DEEP, DEEP.pixels[1:], tmp_path / "out.png", provenance=files.PROVENANCE)
