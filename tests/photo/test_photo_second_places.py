"""Metadata in unusual places: Photoshop's resources, further directories, beside a maker note, in texts."""

import base64
import struct
import zlib
from pathlib import Path

import pytest

from defocusctl.photo import cropped, ifd, read_photo
from defocusctl.photo.geometry import Box
from defocusctl.photo.model import TiffTag
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

EXIF = ifd.build("<", [TiffTag(315, 2, 8, b"Artist!\0")], {})
OTHER = ifd.build("<", [TiffTag(315, 2, 8, b"Another\0")], {})
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
LEFT_OUT = "left out, because the result cannot carry it: "
PREVIEWS = {kind: files.pillow(files.scene(12, 20), kind, quality=60) for kind in ("JPEG", "PNG", "WEBP")}


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    plain = files.pillow(files.scene(), "JPEG")
    written = [bytes((0xFF, m)) + struct.pack(">H", len(p) + 2) + p for m, p in segments]
    return plain[:2] + b"".join(written) + plain[2:]


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def with_resources(kind: str, resources: bytes) -> bytes:
    if kind == "JPEG":
        return jpeg((0xED, b"Photoshop 3.0\0" + resources))
    if kind == "PNG":
        text = b"\n8bim\n%8d\n%s\n" % (len(resources), resources.hex().encode())
        return files.png(files.scene(), extra=files.png_chunk(b"tEXt", b"Raw profile type 8bim\0" + text))
    tag = (34377, 7, len(resources), resources, True)
    return files.tiff(files.scene(), photometric="rgb", extratags=[tag], resolution=None, software=False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_metadata_that_only_photoshop_resources_hold_are_the_photos(kind: str) -> None:
    photo = read_photo(with_resources(kind, resource(0x0424, files.XMP) + resource(0x0422, EXIF)))
    written = rewritten(photo)
    assert b"moth" in written
    # every TIFF has an EXIF of its own, be it only the resolution
    assert (photo.warnings == () and b"Artist!" in written) or photo.warnings == (
        LEFT_OUT + "a second EXIF block",
    )
    assert kind == "TIFF" or photo.warnings == ()


def test_an_orientation_in_photoshop_resources_turns_nothing() -> None:
    photo = read_photo(with_resources("JPEG", resource(0x0422, files.exif_block(6))))
    assert photo.size == (24, 40) and read_photo(rewritten(photo)).size == (24, 40)
    assert photo.metadata.exif is not None and b"maker note" in photo.metadata.exif


def test_second_blocks_in_places_of_another_kind_are_named() -> None:
    other = files.XMP.replace(b"moth", b"wasp")
    within = ifd.build("<", [TiffTag(700, 1, len(other), other)], {})
    main = (0xE1, XMP_HEAD + files.XMP)
    for second in (
        (0xE1, b"Exif\0\0" + within),
        (0xED, b"Photoshop 3.0\0" + resource(0x0424, other)),
    ):
        photo = read_photo(jpeg(main, second))
        assert photo.warnings == (LEFT_OUT + "a second XMP packet",)
        assert b"moth" in rewritten(photo) and b"wasp" not in rewritten(photo)
    assert read_photo(jpeg(main, (0xED, b"Photoshop 3.0\0" + resource(0x0424, files.XMP)))).warnings == ()
    photo = read_photo(jpeg((0xE1, b"Exif\0\0" + EXIF), (0xED, b"Photoshop 3.0\0" + resource(0x0423, OTHER))))
    assert photo.warnings == (LEFT_OUT + "a second EXIF block",) and b"Artist!" in rewritten(photo)


def test_the_resolution_in_photoshop_resources_turns_with_the_picture() -> None:
    sides = [struct.pack(">IHH", number << 16, 1, 1) for number in (300, 150)]
    data = jpeg(
        (0xE1, b"Exif\0\0" + files.exif_block(6)),
        (0xED, b"Photoshop 3.0\0" + resource(0x03ED, b"".join(sides))),
    )
    assert resource(0x03ED, sides[1] + sides[0]) in rewritten(read_photo(data))


def with_directory(code: int, kind: int) -> bytes:
    """An EXIF block with a tag that points to a directory of its own after all else."""
    size = len(ifd.build("<", [TiffTag(271, 2, 6, b"Kodak\0"), TiffTag(code, kind, 1, bytes(4))], {}))
    pointer = TiffTag(code, kind, 1, struct.pack("<I", size))
    block = ifd.build("<", [TiffTag(271, 2, 6, b"Kodak\0"), pointer], {})
    return block + ifd.directory_bytes("<", [TiffTag(1, 2, 20, b"K" * 19 + b"\0")], {}, size)


@pytest.mark.parametrize(("code", "kind"), [(33424, 4), (65024, 4), (400, 4), (65001, 13)])
def test_directories_of_other_kinds_are_named_and_not_pointed_to(code: int, kind: int) -> None:
    photo = read_photo(jpeg((0xE1, b"Exif\0\0" + with_directory(code, kind))))
    assert photo.warnings == (f"left out of its EXIF: the directory of tag {code}",)
    assert photo.metadata.exif is not None and b"Kodak" in photo.metadata.exif
    entries, _ = ifd.read_directory(photo.metadata.exif, 8)
    assert code not in {entry.tag.code for entry in entries}


@pytest.mark.parametrize("big", [False, True])
def test_directories_of_other_kinds_in_a_tiff_are_named(big: bool) -> None:
    first = 16 if big else 8
    tag = (65001, 13, 1, first, True)
    photo = read_photo(files.tiff(files.scene(), photometric="rgb", bigtiff=big, extratags=[tag]))
    assert photo.warnings == (LEFT_OUT + "the directory of tag 65001",)
    assert read_photo(rewritten(photo)).warnings == ()


def with_maker_note(text: bytes, *, relative: bool) -> bytes:
    """A block with a maker note whose only value is inside it (relative to it) or at the block's end."""
    note = b"OLYMP\0\1\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x200, 2, len(text), 0) + bytes(4)
    note += text if relative else b""
    details = {ifd.EXIF_IFD: [TiffTag(37500, 7, len(note), note)]}
    block = ifd.build("<", [TiffTag(271, 2, 6, b"Maker\0")], details)
    place = note.index(text) if relative else len(block)
    record = struct.pack("<HHII", 0x200, 2, len(text), place)
    return block.replace(struct.pack("<HHII", 0x200, 2, len(text), 0), record) + (b"" if relative else text)


def test_values_beside_a_maker_note_are_named() -> None:
    def warnings(block: bytes) -> tuple[str, ...]:
        return read_photo(files.png(files.scene(), extra=files.png_chunk(b"eXIf", block))).warnings

    text = b"M" * 59 + b"\0"
    assert warnings(with_maker_note(text, relative=False)) == (
        "left out of its EXIF: values outside of its maker note",
    )
    assert warnings(with_maker_note(bytes(60), relative=False)) == ()
    assert warnings(with_maker_note(PREVIEWS["JPEG"], relative=False)) == ()
    block = with_maker_note(text, relative=True)
    assert warnings(block) == () and warnings(block + text) == ()


@pytest.mark.parametrize("preview", PREVIEWS.values(), ids=PREVIEWS)
def test_no_preview_of_any_kind_is_left_in_private_tags(preview: bytes) -> None:
    for content in (preview, b"Start" + preview + b"kept", base64.b64encode(preview)):
        block = ifd.build("<", [TiffTag(65000, 7, len(content), content), TiffTag(271, 2, 6, b"Maker\0")], {})
        tag = (65000, 7, len(content), content, True)
        for data in (
            jpeg((0xE1, b"Exif\0\0" + block)),
            files.tiff(files.scene(), photometric="rgb", extratags=[tag]),
        ):
            photo = cropped(read_photo(data), Box(0, 0, 12, 20))
            written = rewritten(photo)
            assert photo.warnings == () and content[60:100] not in written
            assert (b"kept" in content) == (b"kept" in written.replace(b"kept</", b""))


@pytest.mark.parametrize("preview", PREVIEWS.values(), ids=PREVIEWS)
@pytest.mark.parametrize("prefix", ["", "data:image/any;base64,", "\n "])
def test_no_preview_is_left_in_texts(preview: bytes, prefix: str) -> None:
    encoded = prefix.encode() + base64.b64encode(preview)
    xmp = files.XMP.replace(b"moth", encoded)
    chunks = files.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    chunks += files.png_chunk(b"tEXt", b"one\0" + encoded)
    chunks += files.png_chunk(b"zTXt", b"two\0\0" + zlib.compress(encoded))
    chunks += files.png_chunk(b"iTXt", b"three\0\1\0\0\0" + zlib.compress(encoded))
    chunks += files.png_chunk(b"tEXt", b"four\0words")
    photo = read_photo(files.png(files.scene(), extra=chunks))
    written = rewritten(photo)
    named = ", ".join(f"a preview (text '{name}')" for name in ("one", "two", "three"))
    assert photo.warnings == (LEFT_OUT + named,)
    assert encoded[60:90] not in written and b"three" not in written and b"four\0words" in written


def test_a_picture_in_a_raw_profile_of_any_name_is_left_out() -> None:
    preview = PREVIEWS["JPEG"]
    text = zlib.compress(b"\nxyz\n%8d\n%s\n" % (len(preview), preview.hex().encode()))
    photo = read_photo(
        files.png(files.scene(), extra=files.png_chunk(b"zTXt", b"Raw profile type xyz\0\0" + text))
    )
    assert "a preview (text 'Raw" in photo.warnings[0] and b"Raw profile" not in rewritten(photo)


@pytest.mark.parametrize(
    "link",
    [
        "<p:provenance>urn:c2pa:1234</p:provenance>",
        "<p:provenance><rdf:Bag><rdf:li>self#jumbf=/c2pa/x</rdf:li></rdf:Bag></p:provenance>",
        '<p:provenance><rdf:Bag><rdf:li rdf:resource="https://example.org/a.c2pa"/></rdf:Bag></p:provenance>',
    ],
)
def test_links_to_credentials_go_however_they_are_written(link: str) -> None:
    space = '<rdf:Description xmlns:p="http://purl.org/dc/terms/">' + link + "</rdf:Description></rdf:RDF>"
    photo = read_photo(jpeg((0xE1, XMP_HEAD + files.XMP.replace(b"</rdf:RDF>", space.encode()))))
    assert "Content Credentials" in photo.warnings[0] and b"c2pa" not in rewritten(photo)


def test_tags_of_a_tiff_that_results_lack_are_named(tmp_path: Path) -> None:
    tags = [
        (340, 3, 3, (0, 0, 0), True),
        (341, 3, 3, (255, 255, 255), True),
        (532, 5, 6, (0, 1, 255, 1) * 3, True),
        (291, 3, 256, tuple(range(256)), True),
        (337, 2, 6, "proof", True),
    ]
    photo = read_photo(files.tiff(files.scene(), photometric="rgb", extratags=tags))
    (warning,) = photo.warnings
    assert all(str(code) in warning for code in (340, 341, 532, 291)) and "337" not in warning
    assert b"proof" in rewritten(photo)
    assert read_photo(files.tiff(files.scene(), photometric="rgb", compression="jpeg")).warnings == (
        "its compression is replaced by lossless Deflate",
    )
