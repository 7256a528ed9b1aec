"""What a result cannot carry is named, and colours and transparency are taken as they are meant."""

import struct

import numpy as np
import pytest

from defocusctl.errors import InputError
from defocusctl.photo import read_photo
from defocusctl.photo.targets import is_passed_over
from tests.photo import photo_files as files


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
