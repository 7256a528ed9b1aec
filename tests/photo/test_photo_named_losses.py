"""What a result cannot carry is named, and colours and transparency are taken as they are meant."""

import struct
from pathlib import Path

import numpy as np
import pytest

from defocusctl.errors import InputError
from defocusctl.photo import cropped, read_photo
from defocusctl.photo.geometry import Box
from defocusctl.photo.targets import is_passed_over
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten
from tests.photo.test_photo_description import file_with, packet


@pytest.mark.parametrize(
    "data", [b"P6\n# author me\n1 1\n255\nabc", b"P3\n1 1\n255\n1 2 3 # the end\n"], ids=["raw", "plain"]
)
def test_comments_of_a_ppm_are_named(data: bytes) -> None:
    assert "comments" in read_photo(data).warnings[0]


def test_a_pixel_that_looks_like_a_comment_is_a_pixel() -> None:
    assert read_photo(b"P6\n1 1\n255\n###").warnings == ()


def test_the_time_and_the_palette_of_a_png_are_named() -> None:
    chunks = files.png_chunk(b"tIME", b"\x07\xe8\1\2\3\4\5") + files.png_chunk(b"sPLT", b"name\0\x08")
    (warning,) = read_photo(files.png(files.scene(), extra=chunks)).warnings
    assert "a suggested palette (sPLT)" in warning and "the time of the last change (tIME)" in warning


@pytest.mark.parametrize("kind", [b"icc", b"icm"])
def test_an_icc_profile_in_text_is_the_profile(kind: bytes) -> None:
    text = b"Raw profile type %s\0\n%s\n%8d\n%s\n" % (kind, kind, len(files.ICC), files.ICC.hex().encode())
    photo = read_photo(files.png(files.scene(), extra=files.png_chunk(b"tEXt", text)))
    assert photo.metadata.icc == files.ICC and photo.warnings == ()


def test_alpha_of_another_white_is_doubted() -> None:
    stored = files.scene(channels=4).astype(np.float32)
    stored[:, :, 3] = 1
    data = files.tiff(stored, photometric="rgb", extrasamples=["unassalpha"])
    assert "opaque is 255" in read_photo(data, white=255).warnings[0]
    stored[:, :, 3] = 255
    data = files.tiff(stored, photometric="rgb", extrasamples=["unassalpha"])
    assert read_photo(data, white=255).warnings == ()


def test_the_backups_of_a_synology_are_passed_over() -> None:
    assert is_passed_over("#BACKUP")


def test_a_directory_that_links_to_itself_is_not_many_pages() -> None:
    data = bytearray(files.tiff(files.scene(), photometric="rgb"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    with pytest.raises(InputError, match="circle"):
        read_photo(bytes(data))


@pytest.mark.parametrize(
    ("length", "space", "name"),
    [(108, 0, "primaries and gamma"), (124, 0x4C494E4B, "link"), (108, 0x73524742, "")],
)
def test_colour_descriptions_of_a_bmp_are_named(length: int, space: int, name: str) -> None:
    row = bytes(12)
    header = struct.pack("<IiiHHIIiiII", length, 4, 1, 1, 24, 0, len(row), 0, 0, 0, 0)
    header = (header + bytes(16) + struct.pack("<I", space) + bytes([1]) * 48).ljust(length, b"\0")
    start = 14 + length
    data = struct.pack("<2sIHHI", b"BM", start + len(row), 0, 0, start) + header + row
    warnings = read_photo(data).warnings
    assert name in warnings[0] if name else warnings == ()


@pytest.mark.parametrize("width", [1, 2])
def test_pixels_of_an_avif_that_are_not_square_are_named(width: int) -> None:
    data = files.pillow(files.scene(), "AVIF")
    start = data.index(b"pixi") - 4
    assert data[start : start + 4] == b"\0\0\0\x10"
    shape = struct.pack(">I4sII", 16, b"pasp", width, 1)
    warnings = read_photo(data[:start] + shape + data[start + 16 :]).warnings
    assert warnings == (
        ()
        if width == 1
        else ("left out, because the result cannot carry it: the shape of its pixels (pasp)",)
    )


def test_a_stereo_jpeg_has_the_right_name(tmp_path: Path) -> None:
    (tmp_path / "photo.jps").write_bytes(files.pillow(files.scene(), "JPEG"))
    assert read_photo(tmp_path / "photo.jps").warnings == ()


def test_cut_headers_and_animations_beside_a_picture_are_called_so() -> None:
    with pytest.raises(InputError, match="header is cut short"):
        read_photo(b"BM")
    chunks = b"".join(files.png_chunk(name, bytes(26)) for name in (b"acTL", b"fdAT"))
    with pytest.raises(InputError, match="an animation beside it"):
        read_photo(files.png(files.scene(), extra=chunks))


def test_xmp_about_the_page_and_blur_of_the_whole_picture_goes_with_a_crop() -> None:
    elements = (
        '<t:MaxPageSize xmlns:t="http://ns.adobe.com/xap/1.0/t/pg/" rdf:parseType="Resource"/>'
        '<crs:LensBlur rdf:parseType="Resource"><crs:SampledArea>0 0 1 1</crs:SampledArea></crs:LensBlur>'
        "<crs:DepthMapInfo>D</crs:DepthMapInfo><exif:ImageHeight>24</exif:ImageHeight>"
    )
    photo = read_photo(file_with("PNG", xmp=packet("", elements)))
    assert "a depth map" in photo.warnings[0]
    part = cropped(photo, Box(0, 0, 12, 20))
    assert "the size of the page" in part.warnings[1] and "Camera Raw's crop and masks" in part.warnings[1]
    words = rewritten(part)
    assert b"<exif:ImageHeight>12<" in words
    assert not any(name in words for name in (b"MaxPageSize", b"LensBlur", b"DepthMapInfo"))
