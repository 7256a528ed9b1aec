"""Camera RAW in, TIFF out: a real DNG developed by LibRaw, its colours, EXIF, orientation and damage."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from defocusctl.errors import InputError, OutputError
from defocusctl.photo import check_is_photo, check_writable_target, ifd, output_path, read_photo, write_photo
from defocusctl.photo.formats import raw
from defocusctl.photo.model import TiffTag
from defocusctl.photo.reframing import upright
from tests.photo import extra_files as extra
from tests.photo import photo_files as files

SCENE = extra.smooth_scene()
DNG = extra.dng(SCENE)


def test_a_dng_is_developed_to_the_colours_that_its_camera_saw() -> None:
    photo = read_photo(DNG)
    assert photo.format == "TIFF" and photo.pixels.dtype == np.uint16 and photo.warnings == ()
    error = np.abs(photo.pixels / 65535 - SCENE)[3:-3, 3:-3]
    assert error.max() < 0.02 and error.mean() < 0.003
    profile = ImageCms.ImageCmsProfile(io.BytesIO(photo.metadata.icc or b""))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert photo.metadata.icc == read_photo(DNG).metadata.icc


def test_dark_photos_stay_dark() -> None:
    photo = read_photo(extra.dng(SCENE * 0.3))
    assert np.abs(photo.pixels / 65535 - SCENE * 0.3)[3:-3, 3:-3].max() < 0.02


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, tmp_path: Path) -> None:
    photo = read_photo(extra.dng(SCENE, orientation))
    developed = read_photo(DNG).pixels
    np.testing.assert_array_equal(photo.pixels, upright(developed, orientation))
    write_photo(photo, photo.pixels, tmp_path / "out.tif", provenance=files.PROVENANCE)
    again = read_photo(tmp_path / "out.tif")
    np.testing.assert_array_equal(again.pixels, photo.pixels)


@pytest.mark.parametrize("name", ["out.tif", "out.png", "out.jpg", "out.avif"])
def test_the_cameras_exif_and_the_provenance(name: str, tmp_path: Path) -> None:
    photo = read_photo(DNG)
    write_photo(photo, photo.pixels, tmp_path / name, provenance=files.PROVENANCE)
    with Image.open(tmp_path / name) as image:
        exif = image.getexif()
        details = exif.get_ifd(34665)
        assert (exif[271], exif[272], exif.get(274, 1)) == ("Camera", "Camera One", 1)
        assert (details[36867], details[37386]) == ("2024:05:06 07:08:09", 50.0)
        assert 37500 not in details  # the maker note
    xmp = read_photo(tmp_path / name).metadata.xmp or b""
    assert b"<rdf:li>moth</rdf:li>" in xmp and b'defocusctl:model="iniknet"' in xmp
    if name == "out.tif":
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert tiff.pages[0].bitspersample == 16 and 50706 not in tiff.pages[0].tags


def test_names_of_outputs(tmp_path: Path) -> None:
    source = tmp_path / "photo.dng"
    source.write_bytes(DNG)
    check_is_photo(source)
    assert read_photo(source).warnings == ()
    assert output_path(source, None) == tmp_path / "photo_deblurred.tif"
    with pytest.raises(OutputError, match="never written"):
        check_writable_target(source, tmp_path / "out.dng", force=True)
    misnamed = tmp_path / "photo.jpg"
    misnamed.write_bytes(DNG)
    assert read_photo(misnamed).warnings == ("its name ends in .jpg but it is camera RAW",)
    ordinary = tmp_path / "ordinary.dng"
    ordinary.write_bytes(files.tiff(files.scene(), photometric="rgb"))
    assert read_photo(ordinary).warnings == ("its name ends in .dng but it is TIFF",)


def test_damage_and_bombs() -> None:
    for cut in (8, 2000, len(DNG) - 500):
        with pytest.raises(InputError, match=r"damaged|not supported"):
            read_photo(DNG[:-cut])
    strips_cut = bytearray(DNG)
    place = DNG.rindex(struct.pack("<HHI", 279, 4, 1)) + 8
    struct.pack_into("<I", strips_cut, place, 10**6)
    with pytest.raises(InputError, match="end of the file is missing"):
        read_photo(bytes(strips_cut))
    with pytest.raises(InputError, match=r"64x48 pixels.*--max-megapixels"):
        read_photo(DNG, max_megapixels=0.003)
    for head in (b"FUJIFILMCCD-RAW 0201".ljust(400, b"\0"), b"II*\0\x10\0\0\0CR\x02\0".ljust(400, b"\0")):
        with pytest.raises(InputError, match="camera RAW"):
            read_photo(head)
    preview = files.tiff(files.scene(), photometric="rgb", subfiletype=1)
    with pytest.raises(InputError, match=r"LibRaw cannot develop.*darktable"):
        read_photo(preview)


def test_a_preview_page_before_an_ordinary_one_does_not_make_a_camera_raw() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(files.scene(12, 20), photometric="rgb", subfiletype=1, metadata=None)
        writer.write(files.scene(), photometric="rgb", metadata=None)
    with pytest.raises(InputError, match=r"2 pages.*save each page as a separate TIFF"):
        read_photo(buffer.getvalue())


def test_whole_files_are_told_from_cut_ones() -> None:
    assert raw.is_whole(DNG) and not raw.is_whole(DNG.replace(b"II*\0", b"IIRO")[:2000])
    fuji = bytearray(b"FUJIFILMCCD-RAW 0201".ljust(200, b"\0"))
    struct.pack_into(">II", fuji, 84, 150, 50)
    assert raw.is_whole(bytes(fuji)) and not raw.is_whole(bytes(fuji[:199]))
    canon = extra.box(b"ftyp", b"crx \0\0\0\1crx ") + extra.box(b"mdat", bytes(100))
    assert raw.is_whole(canon) and not raw.is_whole(canon[:-1])


def test_exif_of_olympus_and_panasonic_directories() -> None:
    for magic in (b"IIRO", b"IIU\0"):
        found = raw.read_metadata(magic + DNG[4:], lambda: None)
        assert found.exif is not None and b"Camera One" in found.exif and b"maker note" not in found.exif


def test_exif_of_canon_boxes() -> None:
    def directory(code: int, value: bytes) -> bytes:
        record = struct.pack("<HHHII", 1, code, 2, len(value), 26)
        return b"II*\0\x08\0\0\0" + record + bytes(4) + value

    inner = (
        extra.box(b"CMT1", directory(272, b"Canon EOS R\0"))
        + extra.box(b"CMT2", directory(36867, b"2024:05:06 07:08:09\0"))
        + extra.box(b"CMT3", directory(1, b"maker note\0"))
        + extra.box(b"CMT4", directory(29, b"2024:05:06\0"))
    )
    uuid = extra.box(b"uuid", raw.CANON_BOX + inner)
    data = extra.box(b"ftyp", b"crx \0\0\0\1crx ") + extra.box(b"moov", uuid)
    found = raw.read_metadata(data, lambda: None).exif
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + (found or b""))
    assert exif[272] == "Canon EOS R"
    assert exif.get_ifd(34665)[36867] == "2024:05:06 07:08:09" and exif.get_ifd(34853)[29] == "2024:05:06"
    assert b"maker note" not in (found or b"")


def test_exif_of_the_preview_where_there_is_no_other() -> None:
    preview = files.pillow(files.scene(), "JPEG", exif=b"Exif\0\0" + files.exif_block(6))
    found = raw.read_metadata(b"FOVb" + bytes(100), lambda: preview).exif
    assert found is not None and b"Camera" in found and b"maker note" not in found
    assert raw.read_metadata(b"FOVb" + bytes(100), lambda: b"\xff\xd8 nonsense").exif is None


def test_a_developed_raw_does_not_claim_the_colours_of_the_raw() -> None:
    details = [
        TiffTag(40961, 3, 1, struct.pack("<H", 65535)),
        TiffTag(41730, 7, 8, b"\0\2\0\2\0\1\1\2"),
        TiffTag(41495, 3, 1, struct.pack("<H", 2)),
    ]
    main = [TiffTag(271, 2, 7, b"Camera\0"), TiffTag(319, 5, 6, bytes(48))]
    subs = {ifd.EXIF_IFD: details, ifd.INTEROP_IFD: [TiffTag(1, 2, 4, b"R03\0")]}
    words = files.XMP.replace(
        b'tiff:Orientation="1"',
        b'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:ColorSpace="65535" exif:Flash="0"',
    )
    block = ifd.build("<", [*main, TiffTag(700, 1, len(words), words)], subs)
    found = raw.read_metadata(block, lambda: None)
    assert found.exif is not None and b"R03" not in found.exif
    entries, _ = ifd.read_directory(found.exif, 8)
    assert [each.tag.code for each in entries] == [271, ifd.EXIF_IFD]
    kept = {each.tag.code: each.tag.value for each in ifd.sub_directories(found.exif, entries)[ifd.EXIF_IFD]}
    assert kept == {40961: b"\1\0", 41495: b"\2\0"}
    assert found.xmp is not None and b"ColorSpace" not in found.xmp and b"exif:Flash" in found.xmp
