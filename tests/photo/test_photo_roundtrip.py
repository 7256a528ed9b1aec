"""What went in comes out: format, depth, colours, alpha, and metadata, read back by other programs."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image

from defocusctl.photo import Metadata, Photo, conversion_warnings, ifd, read_photo, write_photo
from defocusctl.photo.formats import bmp
from defocusctl.photo.model import JpegCoding, TiffCoding, TiffTag
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

RGB, GREY = files.scene(), files.scene(channels=1)
DEEP, DEEP_GREY = files.scene(dtype="uint16"), files.scene(channels=1, dtype="uint16")

EXACT = {
    "png-grey-1": (files.png(GREY >> 7, 1), (GREY >> 7) * 255, None),
    "png-grey-2": (files.png(GREY >> 6, 2), (GREY >> 6) * 85, None),
    "png-grey-4": (files.png(GREY >> 4, 4), (GREY >> 4) * 17, None),
    "png-grey-8": (files.png(GREY), GREY, None),
    "png-grey-16": (files.png(DEEP_GREY, 16), DEEP_GREY, None),
    "png-rgb-8": (files.png(RGB), RGB, None),
    "png-rgb-16": (files.png(DEEP, 16), DEEP, None),
    "png-interlaced-8": (
        files.interlaced_png(files.scene(13, 21, 4)[:, :, :3], 8),
        files.scene(13, 21),
        None,
    ),
    "png-interlaced-16": (files.interlaced_png(DEEP_GREY, 16), DEEP_GREY, None),
    "png-interlaced-1x1": (files.interlaced_png(RGB[:1, :1], 8), RGB[:1, :1], None),
    "tiff-8": (files.tiff(RGB, photometric="rgb"), RGB, None),
    "tiff-16-big-endian": (files.tiff(DEEP, photometric="rgb", byteorder=">"), DEEP, None),
    "tiff-grey-16": (files.tiff(DEEP_GREY[:, :, 0], photometric="minisblack"), DEEP_GREY, None),
    "tiff-min-is-white": (files.tiff(GREY[:, :, 0], photometric="miniswhite"), 255 - GREY, None),
    "tiff-tiles": (files.tiff(RGB, photometric="rgb", tile=(16, 16), compression="zstd"), RGB, None),
    "tiff-bigtiff": (files.tiff(RGB, photometric="rgb", bigtiff=True), RGB, None),
    "tiff-planar": (
        files.tiff(np.moveaxis(DEEP, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        DEEP,
        None,
    ),
    "webp-lossless": (files.pillow(RGB, "WEBP", lossless=True), RGB, None),
    "bmp-24": (files.pillow(RGB, "BMP"), RGB, None),
    "bmp-grey": (files.pillow(GREY, "BMP"), GREY, None),
    "ppm": (files.pillow(RGB, "PPM"), RGB, None),
    "ppm-16": (b"P6\n40 24\n65535\n" + DEEP.astype(">u2").tobytes(), DEEP, None),
    "pgm-plain": (b"P2 40 24 255 " + b" ".join(b"%d" % v for v in GREY.ravel()), GREY, None),
    "pbm": (
        b"P4 40 24\n" + np.packbits(GREY[:, :, 0] < 128, axis=1).tobytes(),
        (GREY > 127) * np.uint8(255),
        None,
    ),
}


def with_alpha(
    make: object, dtype: str, channels: int, **options: object
) -> tuple[bytes, np.ndarray, np.ndarray]:
    stored = files.scene(channels=channels, dtype=dtype)
    return make(stored, **options), stored[:, :, :-1], stored[:, :, -1]  # type: ignore[operator]


EXACT |= {
    "png-grey-alpha-16": with_alpha(files.png, "uint16", 2, bits=16),
    "png-rgba-8": with_alpha(files.png, "uint8", 4),
    "png-rgba-16": with_alpha(files.png, "uint16", 4, bits=16),
    "tiff-rgba-16": with_alpha(files.tiff, "uint16", 4, photometric="rgb", extrasamples=["unassalpha"]),
    "tiff-rgba-float": with_alpha(files.tiff, "float32", 4, photometric="rgb", extrasamples=["unassalpha"]),
    "webp-rgba-lossless": with_alpha(files.pillow, "uint8", 4, kind="WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_kinds_come_back_bit_for_bit(name: str) -> None:
    data, pixels, alpha = EXACT[name]
    photo = read_photo(data)
    assert photo.pixels.dtype == pixels.dtype and photo.full_scale == (
        1.0 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    )
    np.testing.assert_array_equal(photo.pixels, pixels)
    again = read_photo(rewritten(photo))
    assert again.format == photo.format
    np.testing.assert_array_equal(again.pixels, pixels)
    if alpha is None:
        assert photo.alpha is None and again.alpha is None
    else:
        np.testing.assert_array_equal(photo.alpha, alpha)
        np.testing.assert_array_equal(again.alpha, alpha)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_tiffs_keep_their_type_and_values_above_white(dtype: str) -> None:
    stored = files.scene(dtype=dtype) * 1.5 - 0.25
    photo = read_photo(files.tiff(stored.astype(dtype), photometric="rgb"))
    assert photo.pixels.dtype == np.float32 and photo.full_scale == 1.0
    again = tifffile.imread(io.BytesIO(rewritten(photo)))
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, stored.astype(dtype).astype(np.float32).astype(dtype))


@pytest.mark.parametrize("compression", ["none", "lzw", "adobe_deflate", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("predictor", [False, True])
def test_tiff_compression_is_kept(compression: str, predictor: bool) -> None:
    if predictor and compression in ("none", "packbits"):
        pytest.skip("no predictor there")
    photo = read_photo(files.tiff(DEEP, photometric="rgb", compression=compression, predictor=predictor))
    with tifffile.TiffFile(io.BytesIO(rewritten(photo))) as tiff:
        assert tiff.pages[0].compression.name.lower() == compression
        assert tiff.pages[0].predictor == (2 if predictor else 1)
        np.testing.assert_array_equal(tiff.asarray(), DEEP)


def test_tiff_alpha_kind_is_kept() -> None:
    stored = files.scene(channels=4)
    for kind, code in (("unspecified", 0), ("assocalpha", 1), ("unassalpha", 2)):
        photo = read_photo(files.tiff(stored, photometric="rgb", extrasamples=[kind]))
        with tifffile.TiffFile(io.BytesIO(rewritten(photo))) as tiff:
            assert tiff.pages[0].extrasamples == (code,)


def test_palettes_become_colours_or_stay_grey() -> None:
    indices = files.scene()[:, :, 0] >> 5
    coloured, grey = Image.fromarray(indices, "P"), Image.fromarray(indices, "P")
    table = np.arange(24, dtype=np.uint8).reshape(8, 3) * 10
    coloured.putpalette(table.tobytes())
    grey.putpalette(np.repeat(np.arange(8, dtype=np.uint8) * 36, 3).tobytes())
    for kind in ("PNG", "BMP"):
        buffers = [io.BytesIO(), io.BytesIO()]
        coloured.save(buffers[0], kind)
        grey.save(buffers[1], kind)
        photos = [read_photo(buffer.getvalue()) for buffer in buffers]
        np.testing.assert_array_equal(photos[0].pixels, table[indices])
        np.testing.assert_array_equal(photos[1].pixels, (indices * 36)[:, :, None])
    colormap = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    photo = read_photo(files.tiff(indices, photometric="palette", colormap=colormap))
    assert photo.pixels.dtype == np.uint8
    np.testing.assert_array_equal(photo.pixels, np.repeat(indices[:, :, None], 3, axis=2))


def test_transparent_colours_become_alpha() -> None:
    extra = files.png_chunk(b"tRNS", RGB[3, 5].astype(">u2").tobytes())
    photo = read_photo(files.png(RGB, extra=extra))
    np.testing.assert_array_equal(photo.alpha == 0, np.equal(RGB, RGB[3, 5]).all(axis=2))
    deep = DEEP_GREY.copy()
    deep[4, 4], deep[4, 5] = 12345, 12346
    extra = files.png_chunk(b"tRNS", (12345).to_bytes(2, "big"))
    photo = read_photo(files.png(deep, 16, extra))
    assert photo.alpha is not None and photo.alpha.dtype == np.uint16
    assert photo.alpha[4, 4] == 0 and photo.alpha[4, 5] == 65535


@pytest.mark.parametrize("name", ["basn0g16", "basn3p08", "basn4a16", "basn6a16", "tbbn3p08"])
def test_png_suite(name: str) -> None:
    data = (files.DATA / f"{name}.png").read_bytes()
    photo = read_photo(data)
    with Image.open(io.BytesIO(data)) as image:
        eight_bits = np.asarray(image.convert("RGBA"))
    reduced = photo.pixels if photo.pixels.dtype == np.uint8 else photo.pixels >> 8
    if name != "basn0g16":  # Pillow clips 16-bit grey instead of scaling it
        np.testing.assert_array_equal(np.broadcast_to(reduced, (32, 32, 3)), eight_bits[:, :, :3])
    again = rewritten(photo)
    with Image.open(io.BytesIO(again)) as image:
        assert image.info["gamma"] == 1.0
    assert again[24] == (16 if "16" in name else 8)  # the bit depth in IHDR


METADATA = {"exif": b"Exif\0\0" + files.exif_block(), "icc_profile": files.ICC, "xmp": files.XMP}
CARRIERS = {
    "JPEG": files.pillow(RGB, "JPEG", quality=90, dpi=(240, 240), **METADATA),
    "PNG": files.png(RGB, extra=files.png_metadata()),
    "WEBP": files.pillow(RGB, "WEBP", **METADATA),
    "AVIF": files.pillow(RGB, "AVIF", **METADATA),
    "TIFF": files.pillow(
        RGB, "TIFF", dpi=(240, 240), icc_profile=files.ICC, exif=b"Exif\0\0" + files.exif_block(1, files.XMP)
    ),
}


def pillow_metadata(data: bytes) -> dict[str, object]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        exif = image.getexif()
        details = exif.get_ifd(34665)
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or exif.get(700) or b""
        return {
            "icc": image.info.get("icc_profile"),
            "orientation": exif.get(274, 1),
            "camera": exif.get(271),
            "focal length": details.get(37386),
            "maker note": details.get(37500),
            "xmp": xmp.encode() if isinstance(xmp, str) else xmp,
        }


@pytest.mark.parametrize("target", CARRIERS)
@pytest.mark.parametrize("source", CARRIERS)
def test_metadata_survive_in_every_format_that_has_room(source: str, target: str, tmp_path: Path) -> None:
    photo = read_photo(CARRIERS[source])
    path = tmp_path / f"out.{target.lower()}"
    write_photo(photo, photo.pixels, path, provenance=files.PROVENANCE)
    found = pillow_metadata(path.read_bytes())
    assert found["icc"] == files.ICC
    assert (found["orientation"], found["camera"], found["focal length"]) == (1, "Camera", 50.0)
    assert found["maker note"] == b"maker note " * 5
    xmp = found["xmp"]
    assert isinstance(xmp, bytes)
    assert b"<rdf:li>moth</rdf:li>" in xmp and b'defocusctl:weights_sha256="abab' in xmp
    again = read_photo(path)
    assert again.warnings == () and again.format == target
    assert again.metadata.resolution is not None
    dots = again.metadata.resolution.per("inch")
    container = 200 if source == "PNG" else 240  # the PNG's EXIF says 240, too, but its pHYs counts
    assert dots == pytest.approx((container, container), rel=2e-3)


def test_resolution_goes_into_exif_where_there_is_no_other_place(tmp_path: Path) -> None:
    photo = read_photo(files.pillow(RGB, "PNG", dpi=(300, 150)))
    for name in ("out.webp", "out.avif"):
        write_photo(photo, photo.pixels, tmp_path / name, provenance=files.PROVENANCE)
        resolution = read_photo(tmp_path / name).metadata.resolution
        assert resolution is not None and resolution.per("inch") == pytest.approx((300, 150), rel=1e-3)


def test_png_text_and_gamma_are_kept() -> None:
    with Image.open(io.BytesIO(rewritten(read_photo(CARRIERS["PNG"])))) as image:
        image.load()
        assert image.info["Author"] == "somebody"
        assert image.info["gamma"] == pytest.approx(0.45455)
        assert image.info["dpi"] == pytest.approx((200, 200), rel=1e-3)


def test_further_tiff_tags_are_kept() -> None:
    data = files.tiff(
        RGB,
        photometric="rgb",
        description="a moth",
        software="camera firmware",
        resolution=(118.11, 118.11),
        resolutionunit="CENTIMETER",
        extratags=[
            (33723, 7, 5, b"IPTC.", True),
            (33432, 2, 3, b"me\0", True),
            (42113, 2, 5, b"-999\0", True),
        ],
    )
    with tifffile.TiffFile(io.BytesIO(rewritten(read_photo(data)))) as tiff:
        tags = tiff.pages[0].tags
        assert tags.valueof(270) == "a moth" and tags.valueof(305) == "camera firmware"
        assert tags.valueof(33432) == "me" and tags.valueof(42113) == "-999"
        assert bytes(tags.valueof(33723)) == b"IPTC."
        assert tags.valueof(282)[0] / tags.valueof(282)[1] == pytest.approx(118.11)
        assert tags.valueof(296) == 3


@pytest.mark.parametrize("description", ["a moth", None])
def test_of_two_descriptions_only_the_users_is_kept(description: str | None) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, RGB, photometric="rgb", description=description)
    with tifffile.TiffFile(io.BytesIO(stream.getvalue())) as tiff:
        assert any(tag.value == '{"shape": [24, 40, 3]}' for tag in tiff.pages[0].tags)
    with tifffile.TiffFile(io.BytesIO(rewritten(read_photo(stream.getvalue())))) as tiff:
        found = [tag.value for tag in tiff.pages[0].tags if tag.code == 270]
    assert found == ([description] if description else [])


@pytest.mark.parametrize("dots", [72, 1])
def test_a_tiff_resolution_without_a_unit_stays_without(dots: int) -> None:
    data = files.tiff(RGB, photometric="rgb", resolution=(dots, 2 * dots), resolutionunit="NONE")
    with tifffile.TiffFile(io.BytesIO(rewritten(read_photo(data)))) as tiff:
        tags = tiff.pages[0].tags
        assert (tags.valueof(282), tags.valueof(283)) == ((dots, 1), (2 * dots, 1))
        assert tags.valueof(296) == 1


def test_a_tiff_resolution_of_signed_fractions_is_read() -> None:
    data = bytearray(files.tiff(RGB, photometric="rgb", resolution=(300, 200), resolutionunit="INCH"))
    for code in (282, 283):
        tag = data.index(struct.pack("<HHI", code, ifd.RATIONAL, 1))
        data[tag + 2] = ifd.SRATIONAL
    with tifffile.TiffFile(io.BytesIO(rewritten(read_photo(bytes(data))))) as tiff:
        tags = tiff.pages[0].tags
        assert [tags.valueof(code) for code in (282, 283, 296)] == [(300, 1), (200, 1), 2]


def test_lossy_formats_stay_close_and_keep_alpha_exactly() -> None:
    stored = files.scene(48, 64, channels=4)
    for kind in ("WEBP", "AVIF"):
        photo = read_photo(files.pillow(stored, kind, quality=80, alpha_quality=100, exact=True))
        again = read_photo(rewritten(photo))
        np.testing.assert_array_equal(again.alpha, photo.alpha)
        assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 3
    assert not read_photo(files.pillow(stored, "WEBP")).metadata.coding.lossless


def detail() -> np.ndarray:
    """A part of a real photo, with grain."""
    with Image.open(files.DATA / "icc-exif.jpg") as image:
        part = np.asarray(image)[150:278, 200:328].astype(float)
    grain = np.random.default_rng(0).normal(0, 4, part.shape)
    return np.rint((part + grain).clip(0, 255)).astype(np.uint8)


@pytest.mark.parametrize(("kind", "largest", "mean"), [("WEBP", 13, 1.2), ("AVIF", 2, 0.6)])
def test_a_photo_of_the_finest_quality_loses_next_to_nothing_by_default(
    kind: str, largest: int, mean: float
) -> None:
    photo = read_photo(files.pillow(detail(), kind, quality=100))
    change = np.abs(read_photo(rewritten(photo)).pixels.astype(int) - photo.pixels)
    assert change.max() <= largest and change.mean() < mean


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_heeds_a_quality_with_alpha_too(channels: int) -> None:
    stored = files.scene(96, 128, channels)
    alpha = stored[:, :, -1] if channels in (2, 4) else None
    photo = Photo(stored[:, :, : 1 if channels < 3 else 3], alpha, "AVIF")
    sizes = []
    for quality in (30, None):
        sizes.append(len(rewritten(photo, quality=quality)))
    assert sizes[0] < sizes[1] / 2


def test_grey_avif_with_alpha_stays_grey_and_exact() -> None:
    stored = files.scene(channels=2)
    photo = Photo(stored[:, :, :1], stored[:, :, 1], "AVIF")
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    np.testing.assert_array_equal(again.alpha, photo.alpha)
    coloured = Photo(files.scene(), photo.alpha, "AVIF")
    assert read_photo(rewritten(coloured)).pixels.shape[2] == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_says_the_size_of_what_is_written(kind: str) -> None:
    photo = read_photo(CARRIERS[kind])
    part = replace(photo, pixels=np.ascontiguousarray(photo.pixels[:10, :16]))
    for written, size in ((photo, (40, 24)), (part, (16, 10))):
        with Image.open(io.BytesIO(rewritten(written))) as image:
            details = image.getexif().get_ifd(34665)
            assert (details[40962], details[40963]) == image.size == size
            assert details[37500] == b"maker note " * 5


@pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="this Pillow makes AVIF files in colour only"
)
def test_grey_avif_stays_grey() -> None:
    photo = read_photo(files.pillow(GREY, "AVIF", quality=100))
    assert photo.pixels.shape[2] == 1
    assert read_photo(rewritten(photo)).pixels.shape[2] == 1


def test_pnm_keeps_its_largest_value() -> None:
    data = b"P5 4 1 1023\n" + np.array([0, 1, 512, 1023], ">u2").tobytes()
    photo = read_photo(data)
    assert photo.pixels.ravel().tolist() == [0, 64, 32800, 65535]
    assert rewritten(photo) == b"P5\n4 1\n1023\n" + data[-8:]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "AVIF"])
def test_tiny_photos(kind: str, size: tuple[int, int]) -> None:
    photo = read_photo(files.pillow(files.scene(*size), kind))
    assert photo.size == size and read_photo(rewritten(photo)).size == size


def test_the_profile_of_a_bmp_is_read(tmp_path: Path) -> None:
    plain = files.pillow(RGB, "BMP")
    pixels = plain[54:]
    header = struct.pack("<I", 124) + plain[18:54] + bytes(16) + b"DEBM" + bytes(48)
    header += struct.pack("<IIII", 4, 124 + len(pixels), len(files.ICC), 0)
    assert len(header) == 124
    start = struct.pack("<2sIHHI", b"BM", 138 + len(pixels) + len(files.ICC), 0, 0, 138)
    photo = read_photo(start + header + pixels + files.ICC)
    assert photo.metadata.icc == files.ICC and photo.warnings == ()
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert conversion_warnings(photo, tmp_path / "out.bmp") == ("BMP cannot hold the photo's ICC profile",)
    assert conversion_warnings(photo, tmp_path / "out.png") == ()


def test_bmp_transparency_and_resolution() -> None:
    stored = files.scene(channels=4)
    photo = Photo(np.ascontiguousarray(stored[:, :, :3]), stored[:, :, 3], "BMP")
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(np.dstack([again.pixels, again.alpha]), stored)
    photo = read_photo(files.pillow(RGB, "BMP", dpi=(300, 300)))
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
        np.testing.assert_array_equal(np.asarray(image), RGB)


def test_jpeg_inside_tiff_becomes_lossless_and_says_so() -> None:
    photo = read_photo(files.tiff(RGB, photometric="ycbcr", compression="jpeg"))
    assert any("Deflate" in note for note in photo.warnings)
    again = read_photo(rewritten(photo))
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert isinstance(again.metadata.coding, TiffCoding) and again.metadata.coding.compression == 8


@pytest.mark.parametrize("target", ["WEBP", "AVIF", "TIF"])
@pytest.mark.parametrize("stated", [None, 72])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_jpegs_resolution_reaches_formats_that_keep_it_in_exif(
    target: str, stated: int | None, order: ifd.ByteOrder, tmp_path: Path
) -> None:
    number = struct.pack(order + "II", stated or 0, 1)
    sides = [TiffTag(code, 5, 1, number) for code in (282, 283)] if stated else []
    words = b"notes of the maker"
    details = {34665: [TiffTag(37500, 7, len(words), words)]}
    block = ifd.build(order, [TiffTag(271, 2, 7, b"Camera\0"), *sides], details)
    photo = read_photo(files.pillow(RGB, "JPEG", dpi=(300, 150), exif=b"Exif\0\0" + block))
    path = tmp_path / f"out.{target.lower()}"
    write_photo(photo, photo.pixels, path, provenance=files.PROVENANCE)
    written = read_photo(path)
    found = written.metadata.resolution
    expected = (stated, stated) if stated else (300, 150)  # EXIF's, else JFIF's
    assert found is not None and (found.x, found.y, found.unit) == (*expected, "inch")
    assert written.metadata.exif is not None and b"Camera\0" in written.metadata.exif
    assert target != "WEBP" or written.metadata.exif.find(words) == block.find(words)


def test_steps_of_16_bits_become_those_of_a_baseline_jpeg(capfd: pytest.CaptureFixture[str]) -> None:
    photo = read_photo(files.pillow(RGB, "JPEG", qtables=[[1] * 63 + [300]] * 2))
    capfd.readouterr()
    coding = read_photo(rewritten(photo)).metadata.coding
    assert isinstance(coding, JpegCoding) and max(coding.tables[0]) == 255
    assert capfd.readouterr().err == ""


def test_a_bmp_whose_alpha_is_0_everywhere_is_opaque() -> None:
    clear = files.scene(channels=4)
    clear[:, :, 3] = 0
    buffer = io.BytesIO()
    bmp.encode(clear[:, :, :3], clear[:, :, 3], Metadata(), buffer)
    photo = read_photo(buffer.getvalue())
    assert photo.alpha is None
    np.testing.assert_array_equal(photo.pixels, clear[:, :, :3])


def test_surplus_data_of_an_interlaced_png_are_passed_over() -> None:
    data = files.interlaced_png(RGB, 8)
    start = data.index(b"IDAT") + 4
    pixels = zlib.decompress(data[start:-16])
    longer = files.png_chunk(b"IDAT", zlib.compress(pixels + b"surplus"))
    photo = read_photo(data[: start - 8] + longer + data[-12:])
    np.testing.assert_array_equal(photo.pixels, RGB)
