"""JPEG files of unusual structure: restored where libjpeg decodes them, and nothing is dropped silently."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import ifd, read_photo
from defocusctl.photo.formats.jpeg_segments import read_layout, write_segment
from defocusctl.photo.model import TiffTag
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

NOISE = np.random.default_rng(3).integers(0, 256, (96, 128, 3)).astype(np.uint8)
DATA = files.pillow(NOISE, "JPEG", quality=90)
PROGRESSIVE = files.pillow(NOISE, "JPEG", quality=90, progressive=True)
FLAT = files.pillow(np.full((40, 40, 3), 90, np.uint8), "JPEG")
GREY = files.pillow(NOISE[:, :, 0], "JPEG", quality=90)
BARE = DATA[:-2]
MISSING_END = "its end marker is missing; the picture is whole"


def with_segments(*segments: tuple[int, bytes], data: bytes = DATA) -> bytes:
    return data[:2] + b"".join(write_segment(*segment) for segment in segments) + data[2:]


@pytest.mark.parametrize(
    ("marker", "payload", "words"),
    [
        (0xE1, b"FLIR\0\1\0\0rest", r"thermal data \(APP1\)"),
        (0xEB, b"JP\0\1\0\0\0\1jumb", r"JUMBF data \(APP11\)"),
        (0xE2, b"FPXR\0\1", r"FlashPix data \(APP2\)"),
        (0xE7, b"Qualcomm Camera Attributes\0", "APP7 data 'Qualcomm"),
        (0xE8, b"\1\2\3", "APP8 data 'unnamed'"),
        (0xE5, b"[/x] name\0", r"APP5 data '\[/x\]name'"),
    ],
)
def test_segments_that_are_not_carried_are_named(marker: int, payload: bytes, words: str) -> None:
    (warning,) = read_photo(with_segments((marker, payload))).warnings
    assert warning.startswith("left out") and re.search(words, warning)


def test_many_segments_make_one_warning() -> None:
    segments = [(0xE4, b"name%d\0" % number) for number in range(20)] * 2
    (warning,) = read_photo(with_segments(*segments)).warnings
    assert warning.count("APP4") == 8 and warning.endswith("12 more")


def test_makers_text_segments_are_carried() -> None:
    segments = [(0xE3, b"Meta\0\0II*\0"), (0xEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0"), (0xFE, b"a comment")]
    photo = read_photo(with_segments(*segments))
    assert photo.warnings == ()
    again = read_layout(rewritten(photo)).segments
    assert [segment for segment in again if segment in segments] == segments


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(40), "video of a motion photo (52 bytes"),
        (bytes(9) + DATA, "further pictures"),
        (b"image data SEFHe\0\0\0SEFT", "Samsung"),
        (b"x", "1 byte after the end"),
    ],
)
def test_bytes_after_the_end_are_named(rest: bytes, words: str) -> None:
    photo = read_photo(DATA + rest)
    assert len(photo.warnings) == 1 and words in photo.warnings[0]
    assert read_photo(rewritten(photo)).warnings == ()


@pytest.mark.parametrize("padding", [bytes(700), b"\xff" * 700, b"\r\n"])
def test_padding_after_the_end_is_not_worth_a_word(padding: bytes) -> None:
    assert read_photo(DATA + padding).warnings == ()


@pytest.mark.parametrize("data", [DATA, PROGRESSIVE, FLAT], ids=["baseline", "progressive", "flat"])
@pytest.mark.parametrize("rest", [b"", bytes(300), b"\xff" * 300])
def test_a_whole_picture_without_an_end_marker_is_restored(data: bytes, rest: bytes) -> None:
    photo = read_photo(data[:-2] + rest)
    assert photo.warnings == (MISSING_END,)
    np.testing.assert_array_equal(photo.pixels, read_photo(data).pixels)


@pytest.mark.parametrize("data", [DATA, PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize("rest", [b"", bytes(300), b"\xff" * 300, b"\xff" * 2**20])
def test_a_cut_picture_in_erased_memory_is_refused(data: bytes, rest: bytes) -> None:
    with pytest.raises(InputError, match="its last part is missing"):
        read_photo(data[: len(data) * 3 // 4] + rest)


def test_a_cut_picture_with_restart_markers_is_refused() -> None:
    data = files.pillow(NOISE, "JPEG", progressive=True, restart_marker_blocks=1)
    for missing in range(3, 200):
        with pytest.raises(InputError, match="its last part is missing"):
            read_photo(data[:-missing])


def test_a_progressive_picture_cut_between_its_scans_is_refused() -> None:
    last_scan = PROGRESSIVE.rindex(b"\xff\xda")
    with pytest.raises(InputError, match="its last part is missing"):
        read_photo(PROGRESSIVE[:last_scan])


@pytest.mark.parametrize("stray", [b"\xff\x3f\xff\xff", b"\xff\xe5\xff\xff", b"\xff\xfe\0\1", b"\xff\x01"])
def test_stray_markers_in_the_scan_cost_a_warning(stray: bytes) -> None:
    middle = (DATA.index(b"\xff\xda") + len(DATA)) // 2
    while b"\xff" in DATA[middle - 1 : middle + 1]:
        middle += 1
    photo = read_photo(DATA[:middle] + stray + DATA[middle:])
    assert photo.size == (96, 128)
    assert any("stray markers" in warning for warning in photo.warnings)


def test_a_stray_marker_behind_the_last_block_harms_nothing() -> None:
    photo = read_photo(BARE + b"\xff\x3f\xff\xff" + DATA[-2:])
    np.testing.assert_array_equal(photo.pixels, read_photo(DATA).pixels)
    assert len(photo.warnings) == 1


def test_bytes_between_segments_and_odd_lengths_are_passed_over() -> None:
    odd = DATA[:2] + b"\xff\xe9\0\0" + DATA[2:20] + b"stray" + DATA[20:]
    photo = read_photo(odd)
    np.testing.assert_array_equal(photo.pixels, read_photo(DATA).pixels)
    assert photo.warnings == (complaint("5 extraneous bytes before marker 0xdb"),)


def complaint(words: str) -> str:
    return f"libjpeg warns: Corrupt JPEG data: {words}; parts of the picture may be wrong"


def damaged_scan(data: bytes, size: int, replacement: bytes) -> bytes:
    """The JPEG with bytes in the middle of its scan replaced by others."""
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    while b"\xff" in data[middle - 1 : middle + size + 1]:
        middle += 1
    return data[:middle] + replacement + data[middle + size :]


@pytest.mark.parametrize("data", [DATA, GREY], ids=["colour", "grey"])
def test_what_libjpeg_says_of_damage_in_the_scan_is_a_warning(data: bytes) -> None:
    photo = read_photo(damaged_scan(data, 0, bytes(range(60, 120))))
    assert photo.size == (96, 128)
    (warning,) = photo.warnings
    assert re.fullmatch(complaint(r"\d+ extraneous bytes before marker 0xd9"), warning)


def test_a_subsampling_that_turbojpeg_does_not_decode_is_restored() -> None:
    data = bytearray(files.pillow(NOISE, "JPEG", subsampling=0))
    frame = data.index(b"\xff\xc0")
    data[frame + 11], data[frame + 14], data[frame + 17] = 0x11, 0x21, 0x21  # colours finer than light
    photo = read_photo(bytes(data) + bytes(9))
    assert photo.size == (96, 128)


def test_a_profile_written_twice_is_one_profile() -> None:
    halves = files.ICC[:300], files.ICC[300:]
    once = [(0xE2, b"ICC_PROFILE\0" + bytes((n, 2)) + half) for n, half in enumerate(halves, 1)]
    photo = read_photo(with_segments(*once, *once))
    assert photo.metadata.icc == files.ICC and photo.warnings == ()
    whole = (0xE2, b"ICC_PROFILE\0\1\1" + files.ICC)
    assert read_photo(with_segments(whole, *once[::-1])).metadata.icc == files.ICC
    assert read_photo(with_segments(*once[::-1], whole)).metadata.icc == files.ICC


def test_exif_in_several_segments_is_one_block() -> None:
    note = b"maker note " * 14_000
    block = ifd.build("<", [], {ifd.EXIF_IFD: [TiffTag(37500, 7, len(note), note)]})
    parts = [(0xE1, b"Exif\0\0" + block[start : start + 60_000]) for start in range(0, len(block), 60_000)]
    assert len(parts) == 3
    photo = read_photo(with_segments(*parts))
    assert photo.metadata.exif == block and photo.warnings == ()
    data = rewritten(photo)
    again = read_photo(data).metadata.exif
    assert again is not None and len(again) == len(block) and again.endswith(note)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["exif"] == b"Exif\0\0" + again
    (warning,) = read_photo(with_segments(*parts, (0xE1, b"Exif\0\0" + files.exif_block()))).warnings
    assert "a second EXIF block" in warning


def test_scan_bombs_are_refused() -> None:
    start, end = PROGRESSIVE.rindex(b"\xff\xda"), len(PROGRESSIVE) - 2
    with pytest.raises(InputError, match="scans is not supported"):
        read_photo(PROGRESSIVE[:start] + PROGRESSIVE[start:end] * 200 + PROGRESSIVE[end:])


def test_a_height_behind_the_pixels_is_called_unsupported() -> None:
    data = bytearray(BARE + write_segment(0xDC, b"\0\x60") + DATA[-2:])
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 2] = b"\0\0"
    with pytest.raises(InputError, match="height after its pixels is not supported"):
        read_photo(bytes(data))
