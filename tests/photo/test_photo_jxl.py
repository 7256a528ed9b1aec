"""JPEG XL in and out: samples of every kind, profile, metadata, orientation; read back by another libjxl."""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pyjpegxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import Metadata, Photo, conversion_warnings, read_photo
from defocusctl.photo.formats.jxl_codestream import SIGNATURE, read_header, with_profile
from defocusctl.photo.reframing import upright
from tests.photo import extra_files as extra
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

with Image.open(files.DATA / "icc-exif.jpg") as image:
    LONG_PROFILE = image.info["icc_profile"]
GREY_PROFILE = files.ICC[:16] + b"GRAY" + files.ICC[20:]


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.integers(0, 2**32),
    st.sampled_from([None, "short", "long"]),
)
def test_any_small_picture_survives_with_its_profile(
    height: int, width: int, colours: int, alpha: bool, dtype: str, seed: int, profile: str | None
) -> None:
    noise = np.random.default_rng(seed).random((height, width, colours + 1))
    kind = np.dtype(dtype)
    stored = (noise * np.iinfo(kind).max).astype(kind) if kind.kind == "u" else noise.astype(kind)
    icc = {None: None, "short": files.ICC, "long": LONG_PROFILE}[profile]
    if icc and colours == 1:
        icc = icc[:16] + b"GRAY" + icc[20:]
    photo = Photo(
        stored[:, :, :colours],
        stored[:, :, -1] if alpha else None,
        "JPEG XL",
        Metadata(icc, files.exif_block()),
    )
    data = rewritten(photo)
    again = read_photo(data)
    assert again.warnings == () and again.pixels.dtype == kind
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert (again.alpha is None) is not alpha
    if alpha:
        np.testing.assert_array_equal(again.alpha, photo.alpha)
    found, samples = pyjpegxl.decode_to_numpy(data)
    np.testing.assert_array_equal(samples[:, :, :colours], photo.pixels)
    assert found.exif == bytes(4) + (again.metadata.exif or b"")
    if icc:
        assert again.metadata.icc == found.icc == icc


@pytest.mark.parametrize("icc", [files.ICC, LONG_PROFILE])
def test_profiles_are_read_as_libjxl_writes_them(icc: bytes) -> None:
    jpeg = files.pillow(files.scene(), "JPEG", quality=95, icc_profile=icc)
    photo = read_photo(bytes(imagecodecs.jpegxl_encode_jpeg(jpeg)))
    assert photo.metadata.icc == icc
    assert np.abs(photo.pixels.astype(int) - read_photo(jpeg).pixels).max() <= 3  # two decoders of one JPEG


@pytest.mark.parametrize("platform", [b"APPL", b"MSFT", b"SGI ", b"SUNW", b"\0\0\0\0", b"SOME"])
def test_profiles_of_all_platforms(platform: bytes) -> None:
    icc = files.ICC[:40] + platform + files.ICC[44:]
    photo = Photo(files.scene(), None, "JPEG XL", Metadata(icc))
    assert read_photo(rewritten(photo)).metadata.icc == icc


@pytest.mark.parametrize("length", [132, 200, 399, 400, 5000, 70000])
def test_profiles_of_all_lengths(length: int) -> None:
    tag = b"desc" + (144).to_bytes(4, "big") + max(length - 144, 0).to_bytes(4, "big")
    body = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    icc = (length.to_bytes(4, "big") + files.ICC[4:128] + (length > 144).to_bytes(4, "big") + tag + body)[
        :length
    ]
    stream = with_profile(extra.jxl_codestream(files.scene()), icc)
    assert read_photo(extra.JXL_CONTAINER + extra.box(b"jxlc", stream)).pixels.shape == (24, 40, 3)
    assert pyjpegxl.probe(stream).icc == icc


def test_lossy_headers_are_not_given_a_profile() -> None:
    lossy = extra.jxl_codestream(files.scene(), lossless=False, distance=1.0)
    with pytest.raises(ValueError, match="lossy"):
        with_profile(lossy, files.ICC)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_other_depths_are_scaled_to_sixteen_bits(bits: int) -> None:
    stored = files.scene(dtype="uint16") >> (16 - bits)
    data = bytes(imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits))
    photo = read_photo(data)
    top = 2**bits - 1
    np.testing.assert_array_equal(photo.pixels, np.rint(stored.astype(float) * 65535 / top))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_floats_keep_values_beyond_black_and_white(dtype: str) -> None:
    stored = (files.scene(dtype="float32") * 1.5 - 0.25).astype(dtype)
    photo = read_photo(bytes(imagecodecs.jpegxl_encode(stored, lossless=True)))
    assert photo.pixels.dtype == np.float32 and photo.full_scale == 1.0
    np.testing.assert_allclose(
        photo.pixels, stored.astype(np.float32), atol=1e-3 if dtype == "float16" else 1e-6
    )
    again = read_photo(rewritten(photo))
    np.testing.assert_allclose(again.pixels, photo.pixels, atol=1e-6)
    assert conversion_warnings(photo, Path("out.jxl")) == ()


def test_metadata_in_boxes_plain_and_compressed() -> None:
    exif, xmp = bytes(4) + files.exif_block(), files.XMP
    plain = extra.box(b"Exif", exif), extra.box(b"xml ", xmp)
    packed = [
        extra.box(b"brob", name + imagecodecs.brotli_encode(c))
        for name, c in ((b"Exif", exif), (b"xml ", xmp))
    ]
    for boxes in (plain, packed):
        photo = read_photo(extra.jxl(files.scene(), *boxes))
        assert photo.warnings == ()
        assert photo.metadata.exif is not None and b"maker note " * 5 in photo.metadata.exif
        again = read_photo(rewritten(photo))
        assert again.metadata.xmp is not None and b"<rdf:li>moth</rdf:li>" in again.metadata.xmp
        assert b'defocusctl:model="iniknet"' in again.metadata.xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_codestreams_orientation_is_applied_once(orientation: int) -> None:
    stored = files.scene()
    plain = read_photo(extra.jxl_codestream(stored, lossless=False, distance=0.1))
    exif = extra.box(b"Exif", bytes(4) + files.exif_block(6))
    turned = extra.JXL_CONTAINER + exif + extra.box(b"jxlc", extra.turned_jxl(stored, orientation))
    photo = read_photo(turned)
    change = np.abs(photo.pixels.astype(int) - upright(plain.pixels, orientation))
    assert change.max() <= 1  # libjxl dithers by the place in the output
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)


def test_parts_of_a_codestream_are_put_together() -> None:
    stream = extra.jxl_codestream(files.scene())
    pieces = [stream[:100], stream[100:]]
    numbers = [b"\0\0\0\0", b"\x80\0\0\1"]
    boxes = b"".join(
        extra.box(b"jxlp", number + piece) for number, piece in zip(numbers, pieces, strict=True)
    )
    np.testing.assert_array_equal(read_photo(extra.JXL_CONTAINER + boxes).pixels, files.scene())


def test_damage_bombs_and_animations() -> None:
    stored = files.scene()
    for data in (extra.jxl(stored), extra.jxl_codestream(stored)):
        assert read_photo(data).format == "JPEG XL"
        for cut in (1, 100, len(data) - 20):
            with pytest.raises(InputError, match="damaged"):
                read_photo(data[:-cut])
    huge = bytes(imagecodecs.jpegxl_encode(np.zeros((400, 500), np.uint8), lossless=True, effort=1))
    with pytest.raises(InputError, match=r"500x400 pixels.*--max-megapixels"):
        read_photo(huge[: len(huge) // 2], max_megapixels=0.1)
    frames = np.stack([files.scene(), files.scene()[::-1]])
    with pytest.raises(InputError, match="animated JPEG XL"):
        read_photo(bytes(imagecodecs.jpegxl_encode(frames, lossless=True)))


@pytest.mark.parametrize("further", [1, 2, 3])
def test_grey_with_channels_that_are_not_alpha_is_restored(further: int) -> None:
    stored = np.ascontiguousarray(np.moveaxis(files.scene(channels=1 + further), 2, 0))
    data = bytes(imagecodecs.jpegxl_encode(stored, lossless=True, planar=True, photometric="gray"))
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels[:, :, 0], stored[0])
    assert photo.alpha is None
    assert photo.warnings == ("its channels beside colour and alpha are left out",)


def header_with(*channels: str) -> bytes:
    """A codestream's beginning, 8 x 8 pixels, with extra channels whose bits are given, lowest first."""
    few = {1: "10", 2: "01" + "0000"}[len(channels)]
    bits = "1" + "00000" + "100" + "00" + "000" + "1" + few + "".join(channels) + "0" * 400
    return SIGNATURE + int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


NO_NAME = "000" + "00" + "00"  # 8 bits, full size
KIND = "0" + "01"  # not by default, one of 2 to 17
DEPTH, SPOT, BLACK = "0" + "10", KIND + "0000", KIND + "0100"
ASSOCIATED = "0" + "00" + NO_NAME + "1"


@pytest.mark.parametrize(
    ("channels", "alpha", "associated", "black"),
    [
        (("1", ASSOCIATED), 0, False, False),
        ((DEPTH + NO_NAME, ASSOCIATED), 1, True, False),
        ((SPOT + NO_NAME + "0" * 64, ASSOCIATED), 1, True, False),
        ((BLACK + NO_NAME,), None, False, True),
        (("1", BLACK + NO_NAME), 0, False, True),
    ],
)
def test_kinds_of_channels(
    channels: tuple[str, ...], alpha: int | None, associated: bool, black: bool
) -> None:
    header = read_header(header_with(*channels))
    assert (header.width, header.height, header.extra_channels) == (8, 8, len(channels))
    assert (header.alpha, header.alpha_associated, header.black) == (alpha, associated, black)


def test_cmyk_is_refused() -> None:
    with pytest.raises(InputError, match="CMYK is not supported"):
        read_photo(header_with(BLACK + NO_NAME))


def test_an_animation_of_one_frame_is_restored() -> None:
    # As cjxl makes it of a GIF: a lossless still of libjxl's with the fields of an animation put in by hand.
    stored = "ff0a41040188090804040078004b188b15c209e26d5ee417080160a97c2f687a1c0f0c0000000000000000"
    photo = read_photo(bytes.fromhex(stored))
    expected = np.full((8, 8, 3), (10, 160, 90), np.uint8)
    expected[:, :4] = (200, 30, 60)
    np.testing.assert_array_equal(photo.pixels, expected)
    assert photo.warnings == ()
    np.testing.assert_array_equal(read_photo(rewritten(photo)).pixels, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the system has other units")
def test_compressed_metadata_bombs_stay_small() -> None:
    import resource

    bomb = bytes(imagecodecs.brotli_encode(bytes(256 * 2**20), level=1))
    data = extra.jxl(files.scene(), extra.box(b"brob", b"Exif" + bomb), extra.box(b"brob", b"xml " + bomb))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_photo(data).warnings == ("broken EXIF left out", "broken XMP left out")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10


def test_bytes_after_the_end_of_a_container_are_named() -> None:
    (warning,) = read_photo(extra.jxl(files.scene()) + b"hello trailer data").warnings
    assert "18 bytes after the end" in warning
