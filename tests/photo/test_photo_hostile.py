"""Files made to keep a reader busy: long runs, many small parts, parts that overlap or point to each other.

Each is so long that a reader with quadratic work would run into the time limit.
"""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from defocusctl.errors import InputError
from defocusctl.photo import read_photo
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

pytestmark = pytest.mark.timeout(30)

RGB = files.scene()
JPEG = files.pillow(RGB, "JPEG")
PNG = files.png(RGB)
TIFF_HEAD = b"II*\0\x08\0\0\0"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def segments(marker: int, *payloads: bytes) -> bytes:
    parts = (struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for payload in payloads)
    return JPEG[:2] + b"".join(parts) + JPEG[2:]


def entry(code: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", code, kind, count, value)


def directory(*entries: bytes, following: int = 0) -> bytes:
    return struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)


def png_with_exif(block: bytes) -> bytes:
    return files.png(RGB, extra=files.png_chunk(b"eXIf", block))


def png_with_xmp(inside: str) -> bytes:
    packet = f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:a="urn:a#">{inside}</rdf:RDF>'.encode()
    return files.png(RGB, extra=files.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))


def resources(count: int) -> bytes:
    return (b"8BIM" + struct.pack(">HHI", 1000, 0, 0)) * count


def subjects(place: int) -> bytes:
    """An EXIF block of 16 MB that turns the picture and names its subject 4,000 times."""
    first = directory(entry(274, 3, 1, 3), entry(34665, 4, 1, 38))
    return (TIFF_HEAD + first + directory(*[entry(37396, 3, 2, place)] * 4000)).ljust(16_000_000, b"\0")


def tiff_with_sub_directories() -> bytes:
    """A TIFF whose SubIFD tag names a million places."""
    plain = files.tiff(RGB, photometric="rgb", extratags=[(65000, 4, 1, 0, True)])
    record = plain.index(struct.pack("<HHI", 65000, 4, 1))
    count = 1_000_000
    places = np.arange(8, 8 + 2 * count, 2, dtype="<u4").tobytes()
    return plain[:record] + entry(330, 4, count, len(plain)) + plain[record + 12 :] + places


FULL = "left out, because the result cannot carry it: "
NAMES = "XMP left out: it has more than 50,000 elements and attributes, or 100 levels"
MANY: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "jpeg segments": (
        lambda: segments(0xE5, *[b"x"] * 200_000),
        (FULL + "APP5 data 'x', 190,001 segments beyond the first 10,000",),
    ),
    "jpeg stray markers": (
        lambda: JPEG[:-2] + b"\xff\xc0" * 200_000 + JPEG[-2:],
        ("its compressed data are damaged (stray markers): parts of the picture may be grey or shifted",),
    ),
    "jpeg fill bytes": (lambda: JPEG[:-2] + b"\xff" * 2_000_000 + JPEG[-1:], ()),
    "jpeg bytes after the end": (lambda: JPEG + b"\xff" * 2_000_000, ()),
    "photoshop resources": (
        lambda: segments(0xED, *[b"Photoshop 3.0\0" + resources(5000)] * 20),
        ("left out: Photoshop data beyond 20,000 resources",),
    ),
    "photoshop resources of a tiff": (
        lambda: files.tiff(
            RGB, photometric="rgb", extratags=[(34377, 1, 1_200_000, resources(100_000), True)]
        ),
        ("left out: Photoshop data beyond 20,000 resources",),
    ),
    "png chunks": (lambda: PNG[:33] + files.png_chunk(b"hIST", b"") * 100_000 + PNG[33:], ()),
    "broken png chunks": (
        lambda: PNG[:33] + b"\0\0\0\0tEXtabcd" * 100_000 + PNG[33:],
        ("damaged PNG chunks are left out",),
    ),
    "inflating photoshop profiles": (
        lambda: files.png(
            RGB,
            extra=files.png_chunk(b"zTXt", b"Raw profile type 8bim\0\0" + zlib.compress(bytes(15_000_000)))
            * 300,
        ),
        (FULL + "a second Photoshop profile", "left out: broken Photoshop data"),
    ),
    "elements": (
        lambda: png_with_xmp("<rdf:Description><a:b>" + "<a:c/>" * 300_000 + "</a:b></rdf:Description>"),
        (NAMES,),
    ),
    "attributes": (
        lambda: png_with_xmp(
            "<rdf:Description" + "".join(f" a:b{number}='x'" for number in range(100_000)) + "/>"
        ),
        (NAMES,),
    ),
    "levels": (lambda: png_with_xmp("<a:b>" * 100_000 + "</a:b>" * 100_000), (NAMES,)),
    "tags": (
        lambda: png_with_exif(TIFF_HEAD + directory(*[entry(274, 2, 4, 8)] * 65_000)),
        ("broken EXIF left out",),
    ),
    "orientations": (
        lambda: png_with_exif(TIFF_HEAD + directory(*[entry(274, 2, 4, 8)] * 4000)),
        ("the orientation in its EXIF cannot be read",),
    ),
    "subjects": (lambda: png_with_exif(subjects(0x00050005)), ()),
    "subjects outside of the picture": (
        lambda: png_with_exif(subjects(0x0FFF0FFF)),
        ("left out, because the picture is rotated: the subject's position",),
    ),
    "beginnings of pictures": (lambda: png_with_exif(files.exif_block() + b"\xff\xd8\xff\xe0" * 100_000), ()),
    "beginnings that lead far": (
        lambda: png_with_exif(
            files.exif_block()
            + b"".join(b"\xff\xd8\xff\xe0" + struct.pack(">H", 8000 - 6 * n + 2) for n in range(1000)) * 2
            + b"\xff\xda\0\2"
            + bytes(4_000_000)
            + b"\xff\xc0"
        ),
        (),
    ),
    "sub-directories": (tiff_with_sub_directories, (FULL + "the further pictures of its sub-directories",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_many_parts_take_time_in_proportion(name: str) -> None:
    build, warnings = MANY[name]
    photo = read_photo(build())
    assert photo.warnings == warnings
    again = read_photo(rewritten(photo))
    assert again.size == photo.size and again.warnings in ((), warnings)


def test_scan_headers_that_name_many_components_count_for_nothing() -> None:
    header = b"\xff" + bytes(510) + b"\0\x3f\0"
    with pytest.raises(InputError, match="5001 scans"):
        read_photo(
            JPEG[:2]
            + JPEG[JPEG.index(b"\xff\xdb") : JPEG.index(b"\xff\xda")]
            + segments(0xDA, *[header] * 5000)[2:]
        )


def test_directories_that_overlap_are_not_read_over_and_over() -> None:
    """32 directories with 16 below each, all of 4,000 entries and all in the same place."""
    count = 4000
    subs = struct.pack("<16I", *range(8, 40, 2))
    body = bytearray(entry(330, 4, 16, 8) * (count + 100))
    data = b"II*\0" + struct.pack("<I", 80) + subs + bytes(8) + directory(*[bytes(body[:12])] * count)
    with pytest.raises(InputError):
        read_photo(data)


def test_a_value_of_many_directories_is_not_copied_for_each() -> None:
    """500 previews in a chain, each with the whole block as a value."""
    length = 8_000_000
    chain = [directory(entry(40000, 7, length, 0), following=8 + 18 * (n + 1)) for n in range(500)]
    photo = read_photo(png_with_exif(TIFF_HEAD + b"".join(chain).ljust(length, b"\0")))
    assert photo.warnings == () and photo.metadata.exif is not None


@pytest.mark.parametrize("big", [False, True])
def test_a_tag_given_a_thousand_times_is_not_read_each_time(big: bool) -> None:
    """tifffile takes 20 s for this one."""
    length, count = 2_000_000, 1000
    entries = b"".join(struct.pack("<HHQQ" if big else "<HHII", 270, 2, length, 16) for _ in range(count))
    base = 16 + length
    if big:
        data = b"II+\0\x08\0\0\0" + struct.pack("<Q", base) + bytes(length) + struct.pack("<Q", count)
    else:
        data = b"II*\0" + struct.pack("<I8x", base) + bytes(length) + struct.pack("<H", count)
    with pytest.raises(InputError, match="its tags overlap"):
        read_photo(data + entries + bytes(8))
