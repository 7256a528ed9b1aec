"""HEIC in and out: depth, chroma, colours, alpha, metadata, orientation, and what is left out."""

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defocusctl.errors import InputError, OutputError
from defocusctl.photo import Metadata, Photo, conversion_warnings, read_photo, write_photo
from defocusctl.photo.formats.boxes import items_not_carried
from defocusctl.photo.model import HeifCoding
from defocusctl.photo.reframing import upright
from tests.photo import extra_files as extra
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

TARGETS = ["out.jpg", "out.png", "out.tif", "out.webp", "out.avif", "out.heic", "out.jxl"]
LEFT_OUT = "left out, because the result cannot carry it: "
LOSSLESS = HeifCoding(8, 444, True, (1, 13), ())


def deep(bits: int, channels: int) -> np.ndarray:
    top = 2**bits - 1
    return np.rint(files.scene(channels=channels, dtype="float64") * top).astype(
        np.uint8 if bits == 8 else np.uint16
    )


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_lossless_files_come_back_bit_for_bit(bits: int, channels: int) -> None:
    stored = deep(bits, channels)
    photo = read_photo(extra.heic(stored, bits, lossless=True))
    assert photo.format == "HEIC" and photo.warnings == ()
    full = stored if bits == 8 else np.rint(stored * (65535 / (2**bits - 1))).astype(np.uint16)
    colours = channels - (channels in (2, 4))
    np.testing.assert_array_equal(photo.pixels, full[:, :, :colours])
    assert photo.full_scale == (255 if bits == 8 else 65535)
    again = rewritten(photo)
    opened = pillow_heif.open_heif(again, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    assert opened.info["bit_depth"] == bits
    seen = np.asarray(opened).reshape(*stored.shape[:2], -1)
    kept = [0, 3] if channels == 2 else slice(None)
    np.testing.assert_array_equal(seen[:, :, kept], stored)
    third = read_photo(rewritten(read_photo(again)))
    np.testing.assert_array_equal(third.pixels, photo.pixels)
    if photo.alpha is not None:
        np.testing.assert_array_equal(third.alpha, full[:, :, -1])


@pytest.mark.slow
@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.booleans(), st.integers(0, 2**32))
def test_any_small_picture_survives_without_loss(
    height: int, width: int, colours: int, alpha: bool, seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, colours + 1), dtype=np.uint8)
    clear = noise[:, :, -1] if alpha else None
    photo = Photo(noise[:, :, :colours], clear, "HEIC", Metadata(coding=LOSSLESS))
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert (again.alpha is None) is not alpha
    if alpha:
        np.testing.assert_array_equal(again.alpha, photo.alpha)


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_chroma_is_kept_and_the_finest_quality_loses_little(chroma: int) -> None:
    photo = read_photo(extra.heic(files.scene(48, 64), quality=80, chroma=chroma))
    data = rewritten(photo)
    assert pillow_heif.open_heif(data).info["chroma"] == chroma
    change = np.abs(read_photo(data).pixels.astype(int) - photo.pixels)
    assert change.mean() < 1.5 and change.max() < 20
    assert len(rewritten(photo, quality=30)) < 0.8 * len(data)


def test_metadata_and_provenance() -> None:
    data = extra.heic(
        files.scene(), exif=b"Exif\0\0" + files.exif_block(), xmp=files.XMP, icc_profile=files.ICC
    )
    info = pillow_heif.open_heif(rewritten(read_photo(data))).info
    assert info["icc_profile"] == files.ICC
    assert b"<rdf:li>moth</rdf:li>" in info["xmp"] and b'defocusctl:model="iniknet"' in info["xmp"]
    assert info["exif"].removeprefix(b"Exif\0\0") == read_photo(data).metadata.exif
    assert b"maker note " * 5 in info["exif"]
    resolution = read_photo(data).metadata.resolution
    assert resolution is not None and resolution.per("inch") == (240, 240)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", ["HEIC", "PNG"])
def test_metadata_cross_formats(source: str, target: str, tmp_path: Path) -> None:
    data = files.png(files.scene(), extra=files.png_metadata())
    if source == "HEIC":
        options = {"exif": b"Exif\0\0" + files.exif_block(), "xmp": files.XMP, "icc_profile": files.ICC}
        data = extra.heic(files.scene(), **options)
    photo = read_photo(data)
    write_photo(photo, photo.pixels, tmp_path / target, provenance=files.PROVENANCE)
    again = read_photo(tmp_path / target)
    assert again.warnings == () and again.metadata.icc == files.ICC
    assert again.metadata.exif is not None and b"maker note" in again.metadata.exif
    assert again.metadata.xmp is not None and b"moth" in again.metadata.xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_containers_orientation_is_applied_once(orientation: int) -> None:
    stored = files.scene()
    exif = b"Exif\0\0" + files.exif_block(orientation)
    data = extra.heic(stored, lossless=True, exif=exif)
    assert (b"irot" in data or b"imir" in data) is (orientation != 1)
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, upright(stored, orientation))
    again = rewritten(photo)
    assert b"irot" not in again and b"imir" not in again
    np.testing.assert_array_equal(read_photo(again).pixels, photo.pixels)


def test_the_exif_orientation_alone_does_not_count() -> None:
    stored = files.scene()
    data = extra.heic(stored, lossless=True, exif=b"Exif\0\0" + files.exif_block(1))
    entry = b"\x01\x12\0\x03\0\0\0\x01\0"
    patched = data.replace(entry + b"\x01", entry + b"\x06")
    assert patched != data and b"irot" not in patched
    photo = read_photo(patched)
    np.testing.assert_array_equal(photo.pixels, stored)
    assert photo.metadata.exif is not None and entry + b"\x06" not in photo.metadata.exif


def test_colour_codes_are_kept_and_said_to_be_lost() -> None:
    codes = {"color_primaries": 12, "transfer_characteristics": 16, "matrix_coefficients": 6}
    light = {"content_light_level": {"max_content_light_level": 1000, "max_pic_average_light_level": 200}}
    photo = read_photo(extra.heic(deep(10, 3), 10, full_range_flag=1, **codes, **light))
    info = pillow_heif.open_heif(rewritten(photo)).info
    profile = info["nclx_profile"]
    assert (profile["color_primaries"], profile["transfer_characteristics"]) == (12, 16)
    assert info["content_light_level"] == light["content_light_level"]
    lost = conversion_warnings(photo, Path("out.png"))[-1]
    assert lost.endswith("colour description (nclx), HDR light levels")
    plain = read_photo(extra.heic(files.scene()))
    assert conversion_warnings(plain, Path("out.png")) == ()


def test_only_the_primary_picture_is_used_and_said() -> None:
    opened = pillow_heif.HeifFile()
    for shift in (0, 7):
        opened.add_frombytes("RGB", (40, 24), np.roll(files.scene(), shift, axis=1).tobytes())
    buffer = io.BytesIO()
    opened.save(buffer, quality=-1, chroma=444, matrix_coefficients=0, primary_index=1)
    photo = read_photo(buffer.getvalue())
    assert photo.warnings == (f"{LEFT_OUT}a further picture",)
    np.testing.assert_array_equal(photo.pixels, np.roll(files.scene(), 7, axis=1))


@pytest.mark.parametrize(
    ("original", "instead", "named"),
    [
        (b"", b"", "a thumbnail"),
        (b"hevc:2015:auxid:1", b"hevc:2015:auxid:2", "a depth map, a thumbnail"),
        (b"mpeg:hevc:2015:auxid:1", b"com:an:aux:hdrgainmap_", "a gain map, a thumbnail"),
        (
            b"mpeg:hevc:2015:auxid:1",
            b"com:an:aux:skin/matte_",
            "the auxiliary picture 'skin/matte_', a thumbnail",
        ),
        (b"application/rdf+xml", b"application/x-other", "the item 'application/x-other', a thumbnail"),
        (b"Exif\0", b"abcd\0", "the item 'abcd', a thumbnail"),
    ],
)
def test_further_items_are_named_and_what_belongs_to_them_goes_with_them(
    original: bytes, instead: bytes, named: str
) -> None:
    picture = pillow_heif.from_bytes("RGBA", (64, 64), files.scene(64, 64, channels=4).tobytes())
    buffer = io.BytesIO()
    picture.info["exif"], picture.info["xmp"] = b"Exif\0\0" + files.exif_block(1), files.XMP
    picture.save(buffer, thumbnails=[32])  # which has alpha of its own
    (warning,) = read_photo(buffer.getvalue().replace(original, instead)).warnings
    assert warning == LEFT_OUT + named


def test_the_light_levels_of_an_avif_are_named() -> None:
    data = files.pillow(files.scene(), "AVIF")
    start = data.index(b"pixi") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    assert length == 16  # as long as clli with its version, which has none
    other = data[:start] + extra.box(b"clli", bytes(length - 8)) + data[start + length :]
    assert read_photo(other).warnings == (LEFT_OUT + "HDR light levels",)


def test_items_of_an_avif_are_named() -> None:
    data = files.pillow(files.scene(channels=4), "AVIF")
    assert read_photo(data).warnings == ()
    photo = read_photo(data.replace(b"systems:auxiliary:alpha", b"systems:auxiliary:depth"))
    assert photo.alpha is None and photo.warnings == (LEFT_OUT + "a depth map",)


@pytest.mark.parametrize(
    ("codec", "name"), [(b"vvc1", "VVC"), (b"avc1", "AVC"), (b"jpeg", "JPEG"), (b"unci", "uncompressed")]
)
def test_other_codecs_are_called_unsupported(codec: bytes, name: str) -> None:
    rgb = files.scene(70, 100)
    for data in (extra.heic(rgb), extra.heic(rgb, tile_size=64)):
        with pytest.raises(InputError, match=f"a picture in {name}.* is not supported"):
            read_photo(data.replace(b"hvc1", codec))
    with pytest.raises(InputError, match=f"a picture in {name}.* is not supported"):
        read_photo(files.pillow(rgb, "AVIF").replace(b"av01", codec))


@pytest.mark.parametrize("name", [b"meta", b"iref", b"infe", b"iprp", b"ipma", b"pitm", b"iinf"])
def test_odd_and_cut_boxes_do_not_stop_the_reader_of_items(name: bytes) -> None:
    data = files.pillow(files.scene(channels=4), "AVIF")
    start = data.index(name)
    for end in range(start - 4, start + 12):
        items_not_carried(data[:end])
        items_not_carried(data[:end] + b"\xff" + data[end + 1 :])


def test_photos_that_fit_one_frame_are_written_without_tiles() -> None:
    photo = read_photo(extra.heic(files.scene(70, 100), tile_size=64))
    assert photo.size == (70, 100)
    again = pillow_heif.open_heif(rewritten(photo))
    assert "tiling" not in again.info and again.size == (100, 70)


def test_sixteen_bits_become_ten_with_a_warning(tmp_path: Path) -> None:
    stored = files.scene(dtype="uint16")
    photo = read_photo(files.png(stored, 16))
    assert "10 bits" in conversion_warnings(photo, Path("out.heic"))[0]
    write_photo(photo, photo.pixels, tmp_path / "out.heic", provenance=files.PROVENANCE)
    again = read_photo(tmp_path / "out.heic")
    assert again.pixels.dtype == np.uint16
    assert np.abs(again.pixels.astype(int) - stored).mean() < 600
    assert conversion_warnings(again, Path("again.heic")) == ()


def test_alpha_of_quality_100_is_within_one_level() -> None:
    stored = files.scene(channels=4)
    photo = Photo(stored[:, :, :3], stored[:, :, 3], "HEIC")
    again = read_photo(rewritten(photo))
    assert np.abs(again.alpha.astype(int) - photo.alpha).max() <= 1


def claiming(data: bytes, width: int, height: int) -> bytes:
    place = data.index(b"ispe") + 8
    return data[:place] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[place + 8 :]


def test_damage_and_bombs() -> None:
    data = extra.heic(files.scene())
    with pytest.raises(InputError, match="--max-megapixels"):
        read_photo(claiming(data, 30000, 30000))
    with pytest.raises(InputError, match=r"damaged|contradicts"):
        read_photo(claiming(data, 16, 16))
    for cut in (1, 100, len(data) // 2):
        with pytest.raises(InputError, match="damaged"):
            read_photo(data[:-cut])
    sequence = b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc" + extra.box(b"moov", bytes(100))
    with pytest.raises(InputError, match=r"sequence is not supported.*ffmpeg"):
        read_photo(sequence)


def test_sides_have_a_limit() -> None:
    long = Photo(np.zeros((1, 40000, 1), np.uint8), None, "PNG")
    with pytest.raises(OutputError, match="HEIC allows at most 32768"):
        conversion_warnings(long, Path("out.heic"))
