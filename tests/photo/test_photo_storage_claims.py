"""EXIF and XMP do not claim a storage that the result does not have."""

import struct
from pathlib import Path

import pytest

from defocusctl.photo import ifd, read_photo, write_photo
from defocusctl.photo.model import TiffTag
from tests.photo import photo_files as files
from tests.photo.test_photo_description import block, file_with, packet, tag, xmp_of

DC = "http://purl.org/dc/elements/1.1/"
CLAIMS = f'xmlns:dc="{DC}" dc:format="image/tiff" tiff:Compression="5" tiff:Make="Canon"'
SEQUENCE = (
    "<tiff:BitsPerSample><rdf:Seq><rdf:li>16</rdf:li><rdf:li>16</rdf:li></rdf:Seq></tiff:BitsPerSample>"
)


def stored(bits: int = 16) -> bytes:
    xmp = packet(CLAIMS, SEQUENCE.replace("16", str(bits)))
    return files.tiff(
        files.scene(dtype=f"uint{bits}"), photometric="rgb", extratags=[(700, 1, len(xmp), xmp, True)]
    )


@pytest.mark.parametrize("suffix", ["jpeg", "png", "webp", "avif", "tiff"])
def test_xmp_about_storage_fits_the_format(suffix: str, tmp_path: Path) -> None:
    photo = read_photo(stored())
    target = tmp_path / f"out.{suffix}"
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    words = xmp_of(read_photo(target))
    assert f'dc:format="image/{suffix}"' in words and 'tiff:Make="Canon"' in words
    assert ("tiff:Compression" in words) == ("tiff:BitsPerSample" in words) == (suffix == "tiff")


@pytest.mark.parametrize(("bits", "compression", "kept"), [(16, 5, []), (8, 6, [258, 259])])
def test_a_jpeg_does_not_claim_the_storage_of_a_tiff(
    bits: int, compression: int, kept: list[int], tmp_path: Path
) -> None:
    claims = (tag(258, 3, bits, bits, bits), tag(259, 3, compression), tag(273, 4, 8), tag(279, 4, 100))
    photo = read_photo(file_with("JPEG", exif_block=block(tag(271, 1, 65, 0), *claims)))
    for suffix, expected in (("jpg", kept), ("png", [])):
        target = tmp_path / f"out.{suffix}"
        write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
        written = read_photo(target).metadata.exif
        assert written is not None
        entries, _ = ifd.read_directory(written, ifd.first_directory(written))
        assert [each.tag.code for each in entries] == [*expected, 271]


@pytest.mark.parametrize(("suffix", "kept"), [("jpg", [37121]), ("png", []), ("tif", [])])
def test_claims_in_the_exif_directory_go_too(suffix: str, kept: list[int], tmp_path: Path) -> None:
    details = [TiffTag(37121, 7, 4, b"\1\2\3\0"), TiffTag(37122, 5, 1, struct.pack("<II", 2, 1))]
    words = packet('exif:CompressedBitsPerPixel="2/1" exif:Flash="kept"')
    data = files.pillow(
        files.scene(),
        "JPEG",
        exif=b"Exif\0\0" + block(tag(271, 1, 65, 0), exif=[*details, tag(41495, 3, 2)]),
        xmp=words,
    )
    photo = read_photo(data)
    target = tmp_path / f"out.{suffix}"
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    written = read_photo(target)
    assert written.metadata.exif is not None and "BitsPerPixel" not in xmp_of(written)
    assert "Flash" in xmp_of(written)
    entries, _ = ifd.read_directory(written.metadata.exif, 8)
    found = ifd.sub_directories(written.metadata.exif, entries)[ifd.EXIF_IFD]
    assert [each.tag.code for each in found] == [*kept, 41495]


@pytest.mark.parametrize("suffix", ["jpeg", "png"])
@pytest.mark.parametrize(
    "inside",
    [
        f"<rdf:Bag>{'<rdf:li>a</rdf:li>' * 49_970}</rdf:Bag>",
        "z" * (16 * 2**20 - 1250),
    ],
    ids=["names", "length"],
)
def test_xmp_near_its_limits_is_written(suffix: str, inside: str, tmp_path: Path) -> None:
    photo = read_photo(file_with("PNG", xmp=packet("", f"<tiff:Make>{inside}</tiff:Make>")))
    assert photo.warnings == ()
    target = tmp_path / f"out.{suffix}"
    write_photo(photo, photo.pixels, target, provenance=files.PROVENANCE)
    assert files.PROVENANCE.software.encode() in target.read_bytes()


def test_xmp_that_is_too_long_as_utf8_is_left_out() -> None:
    words = ("\ufeff" + packet("", f"<tiff:Make>{'写' * 6 * 2**20}</tiff:Make>").decode()).encode("utf-16-le")
    data = files.tiff(files.scene(), photometric="rgb", extratags=[(700, 1, len(words), words, True)])
    assert read_photo(data).warnings == ("XMP left out: it is longer than 16 MiB",)
