"""PNG, WebP and TIFF as containers: what is not carried is named, animations of one frame are restored."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import conversion_warnings, ifd, read_photo
from defocusctl.photo.formats.raw import is_raw
from defocusctl.photo.targets import output_path
from tests.photo import extra_files as extra
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

RGB = files.scene()
LEFT_OUT = "left out, because the result cannot carry it: "
MP4 = b"\0\0\0\x18ftypmp42" + bytes(12)


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    return files.png(RGB, extra=b"".join(files.png_chunk(*chunk) for chunk in chunks))


def raw_profile(kind: bytes, block: bytes, trailer: bytes = b"", length: int | None = None) -> bytes:
    """The text of a PNG chunk with a profile as ImageMagick writes it."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    return b"\n%s\n%8d\n%s\n%s" % (kind, len(block) if length is None else length, lines, trailer)


def text_chunk(name: bytes, keyword: bytes, text: bytes) -> tuple[bytes, bytes]:
    head = {b"tEXt": b"", b"zTXt": b"\0", b"iTXt": b"\1\0\0\0"}[name]
    return name, keyword + b"\0" + head + (text if name == b"tEXt" else zlib.compress(text))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"sBIT", "significant bits (sBIT)"),
        (b"oFFs", "position on the page (oFFs)"),
        (b"caBX", "Content Credentials (caBX)"),
        (b"prVt", "the chunk (prVt)"),
    ],
)
def test_png_chunks_that_are_not_carried_are_named(name: bytes, words: str) -> None:
    photo = read_photo(png_with((name, b"\x08\x08\x08")))
    assert len(photo.warnings) == 1 and words in photo.warnings[0]
    assert read_photo(rewritten(photo)).warnings == ()


def test_png_calibration_is_carried() -> None:
    scale = b"\x01" + b"0.5\0" + b"0.5"
    photo = read_photo(png_with((b"sCAL", scale)))
    assert photo.warnings == () and files.png_chunk(b"sCAL", scale) in rewritten(photo)


@pytest.mark.parametrize(
    "data",
    [
        files.png(RGB),
        files.pillow(RGB, "WEBP", lossless=True),
        files.pillow(RGB, "BMP"),
        files.pillow(RGB, "PPM"),
        b"P4\n40 24\n" + bytes(120),
        files.pillow(RGB, "AVIF"),
        extra.heic(RGB),
        extra.jxl(RGB),
    ],
)
def test_bytes_after_the_end_are_named(data: bytes) -> None:
    plain = read_photo(data)
    photo = read_photo(data + MP4)
    assert plain.warnings == () and len(photo.warnings) == 1
    assert "video of a motion photo" in photo.warnings[0]
    np.testing.assert_array_equal(photo.pixels, plain.pixels)
    assert read_photo(data + bytes(500)).warnings == ()


@pytest.mark.parametrize("rest", [b" 1", b"\n1 0 1\n"])
@pytest.mark.parametrize("data", [b"P1 2 2 1 0 1 0", b"P2 2 2 255 1 2 3 4"])
def test_text_after_a_plain_picture_is_named(data: bytes, rest: bytes) -> None:
    commented = read_photo(data + b" # a comment\n").warnings
    assert commented == ("left out, because the result cannot carry it: its comments",)
    assert read_photo(data + rest).warnings == (
        "left out, because the result cannot carry it: text after the end of the picture",
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"jumb", "Content Credentials"),
        (b"jhgm", "gain map"),
        (b"mpvd", "video"),
        (b"abcd", "the box (abcd)"),
    ],
)
@pytest.mark.parametrize("data", [files.pillow(RGB, "AVIF"), extra.heic(RGB), extra.jxl(RGB)])
def test_boxes_that_are_not_carried_are_named(data: bytes, name: bytes, words: str) -> None:
    (warning,) = read_photo(data + extra.box(name, b"something")).warnings
    assert words in warning and f"({name.decode()})" in warning


def test_webp_chunks_that_are_not_carried_are_named() -> None:
    data = files.pillow(RGB, "WEBP", lossless=True, exif=b"Exif\0\0" + files.exif_block())
    data += b"C2PA\4\0\0\0abcd"
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    (warning,) = read_photo(data).warnings
    assert "C2PA" in warning


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("header", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("kind", [b"exif", b"APP1"])
def test_raw_exif_profiles_are_read(name: bytes, header: bytes, kind: bytes) -> None:
    block = files.exif_block()
    text = raw_profile(kind, header + block, trailer=b"4142 and more")
    photo = read_photo(png_with(text_chunk(name, b"Raw profile type " + kind, text)))
    assert photo.metadata.exif is not None and b"Camera" in photo.metadata.exif and photo.warnings == ()


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize(("kind", "header"), [(b"xmp", b""), (b"APP1", b"http://ns.adobe.com/xap/1.0/\0")])
def test_raw_xmp_profiles_are_read(name: bytes, kind: bytes, header: bytes) -> None:
    text = raw_profile(kind, header + files.XMP)
    photo = read_photo(png_with(text_chunk(name, b"Raw profile type " + kind, text)))
    assert photo.metadata.xmp is not None and b"moth" in photo.metadata.xmp and photo.warnings == ()


@pytest.mark.parametrize(("kind", "warning"), [(b"exif", "broken EXIF"), (b"xmp", "broken XMP")])
@pytest.mark.parametrize("broken", [b"no profile", raw_profile(b"x", b"II*\0", length=999), b"\nx\n 2\nzz\n"])
def test_broken_raw_profiles_cost_a_warning(kind: bytes, warning: str, broken: bytes) -> None:
    photo = read_photo(png_with(text_chunk(b"zTXt", b"Raw profile type " + kind, broken)))
    assert photo.warnings == (f"{warning} left out",)


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt"])
def test_xmp_in_any_text_chunk_is_read(name: bytes) -> None:
    photo = read_photo(png_with(text_chunk(name, b"XML:com.adobe.xmp", files.XMP)))
    assert photo.metadata.xmp is not None and b"moth" in photo.metadata.xmp and photo.warnings == ()
    assert rewritten(photo).count(b"XML:com.adobe.xmp") == 1


def test_two_raw_app1_profiles_are_both_read() -> None:
    profiles = [b"Exif\0\0" + files.exif_block(), b"http://ns.adobe.com/xap/1.0/\0" + files.XMP]
    chunks = [text_chunk(b"zTXt", b"Raw profile type APP1", raw_profile(b"APP1", each)) for each in profiles]
    for order in (chunks, chunks[::-1]):
        metadata = read_photo(png_with(*order)).metadata
        assert metadata.exif is not None and b"Camera" in metadata.exif
        assert metadata.xmp is not None and b"moth" in metadata.xmp


def test_second_blocks_are_named_where_they_differ() -> None:
    block, other = files.exif_block(), files.exif_block(3)
    raw = text_chunk(b"zTXt", b"Raw profile type exif", raw_profile(b"exif", b"Exif\0\0" + block))
    assert read_photo(png_with((b"eXIf", block), raw)).warnings == ()
    assert read_photo(png_with((b"eXIf", other), raw)).warnings == (LEFT_OUT + "a second EXIF block",)
    words = (b"moth", b"wasp")
    packets = [text_chunk(b"iTXt", b"XML:com.adobe.xmp", files.XMP.replace(b"moth", word)) for word in words]
    assert read_photo(png_with(*packets)).warnings == (LEFT_OUT + "a second XMP packet",)
    profiles = [(b"iCCP", b"name\0\0" + zlib.compress(files.ICC + end)) for end in (b"", b"x")]
    assert read_photo(png_with(*profiles)).warnings == (LEFT_OUT + "a second ICC profile",)
    data = files.pillow(RGB, "WEBP", lossless=True, exif=b"Exif\0\0" + block)
    data += b"EXIF" + struct.pack("<I", len(other)) + other + bytes(len(other) % 2)
    (warning,) = read_photo(data[:4] + struct.pack("<I", len(data) - 8) + data[8:]).warnings
    assert warning == LEFT_OUT + "a second chunk EXIF"
    boxes = [extra.box(b"Exif", bytes(4) + each) for each in (block, other)]
    assert read_photo(extra.jxl(RGB, *boxes)).warnings == (LEFT_OUT + "a second EXIF block",)
    packed = extra.box(b"brob", b"jumb" + bytes(imagecodecs.brotli_encode(b"something")))
    (warning,) = read_photo(extra.jxl(RGB, packed)).warnings
    assert warning == LEFT_OUT + "Content Credentials or other JUMBF data (jumb)"


def test_of_many_profiles_two_are_inflated() -> None:
    bomb = text_chunk(b"zTXt", b"Raw profile type exif", bytes(8 * 2**20))
    photo = read_photo(png_with(*[bomb] * 500))
    assert photo.warnings == (LEFT_OUT + "further profiles", "broken EXIF left out")


def still_apng() -> bytes:
    control = struct.pack(">IIIIIHHBB", 0, RGB.shape[1], RGB.shape[0], 0, 0, 1, 10, 0, 0)
    return png_with((b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", control))


def still_webp(x: int = 0) -> bytes:
    """An animated WebP of one frame, lossless, on a buffer of the scene's size."""
    inner = files.pillow(RGB[:, x:], "WEBP", lossless=True)[12:]
    height, width = RGB.shape[:2]

    def chunk(name: bytes, payload: bytes) -> bytes:
        return name + struct.pack("<I", len(payload)) + payload + bytes(len(payload) % 2)

    def three(number: int) -> bytes:
        return number.to_bytes(3, "little")

    frame = three(x // 2) + three(0) + three(width - x - 1) + three(height - 1) + three(100) + b"\0" + inner
    body = b"WEBP" + chunk(b"VP8X", b"\x12\0\0\0" + three(width - 1) + three(height - 1))
    body += chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", frame)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_stills_wrapped_as_animations_are_restored() -> None:
    for data in (still_apng(), still_webp()):
        photo = read_photo(data)
        np.testing.assert_array_equal(photo.pixels, RGB)
        assert photo.warnings == ()
        np.testing.assert_array_equal(read_photo(rewritten(photo)).pixels, RGB)
    part = read_photo(still_webp(x=8))
    assert part.alpha is not None and not part.alpha[:, :8].any() and part.alpha[:, 8:].all()
    np.testing.assert_array_equal(part.pixels[:, 8:], RGB[:, 8:])


def test_an_avif_sequence_of_one_frame_is_restored() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(
        buffer, "AVIF", save_all=True, append_images=[Image.fromarray(RGB[::-1])], quality=100, duration=100
    )
    data = bytearray(buffer.getvalue())
    for table, place in ((b"stts", 12), (b"stsz", 12), (b"stsc", 16)):  # one sample each instead of two
        count = data.index(table) + place
        assert struct.unpack_from(">I", data, count) == (2,)
        struct.pack_into(">I", data, count, 1)
    photo = read_photo(bytes(data))
    still = read_photo(files.pillow(RGB, "AVIF", quality=100))
    np.testing.assert_array_equal(photo.pixels, still.pixels)
    assert photo.warnings == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + files.png_chunk(b"CgBI", b"\x50\0\x20\2") + files.png(RGB)[8:], "CgBI"),
        (
            files.pillow(RGB, "BMP")[:30] + b"\4\0\0\0" + files.pillow(RGB, "BMP")[34:],
            "BMP file of this kind is not",
        ),
    ],
)
def test_valid_files_beyond_the_decoder_are_called_unsupported(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_photo(data)
    assert "damaged" not in str(caught.value) and "convert" in caught.value.remedy


def test_a_tiff_palette_with_alpha_is_read() -> None:
    indices = np.dstack([RGB[:, :, 0], RGB[:, :, 1]])
    colormap = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    data = bytearray(files.tiff(indices, photometric="minisblack", extrasamples=["unassalpha"]))
    directory = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, directory)[0]
    records = [bytes(data[directory + 2 + 12 * i : directory + 14 + 12 * i]) for i in range(count)]
    records = [struct.pack("<HHII", 262, 3, 1, 3) if record[:2] == b"\6\1" else record for record in records]
    records.append(struct.pack("<HHII", 320, 3, 768, len(data)))
    table = colormap.astype("<u2").tobytes()
    base = len(data) + len(table)
    ordered = sorted(records, key=lambda record: record[:2][::-1])
    struct.pack_into("<I", data, 4, base)
    photo = read_photo(bytes(data) + table + struct.pack("<H", len(ordered)) + b"".join(ordered) + bytes(4))
    np.testing.assert_array_equal(photo.pixels, (colormap.T >> 8)[indices[:, :, 0]])
    np.testing.assert_array_equal(photo.alpha, indices[:, :, 1])


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ((37724, 7, 8, b"8BIMLayr", True), "Photoshop layers"),
        ((65000, 1, 5 * 2**20, bytes(5 * 2**20), True), "tag 65000 of 5242880 bytes"),
    ],
)
def test_tiff_tags_that_are_not_carried_are_named(tag: tuple[object, ...], words: str) -> None:
    (warning,) = read_photo(files.tiff(RGB, photometric="rgb", extratags=[tag])).warnings
    assert words in warning


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tags_of_a_bigtiff_are_carried(order: str) -> None:
    given = [
        (271, 2, 0, "Camera", True),
        (274, 16, 1, 6, True),
        (65001, 16, 3, (1, 2, 3), True),
        (65002, 16, 2, (1, 2**40), True),
        (34666, 18, 1, 2**33 + 1, True),  # the pointer, which tifffile does not write
    ]
    data = bytearray(files.tiff(RGB, photometric="rgb", bigtiff=True, byteorder=order, extratags=given))
    place = data.index(struct.pack(order + "Q", 2**33 + 1))
    struct.pack_into(order + "HHQQ", data, place - 12, 34665, 18, 1, len(data))
    time = b"2024:05:06 07:08:09\0"
    entries = [(36867, 2, 20, struct.pack(order + "Q", len(data) + 48)), (40962, 4, 1, bytes(8))]
    data += struct.pack(order + "Q", 2)
    data += b"".join(struct.pack(order + "HHQ8s", *entry) for entry in entries) + time
    photo = read_photo(bytes(data))
    assert photo.size == (RGB.shape[1], RGB.shape[0])
    assert photo.warnings == (LEFT_OUT + "tag 65002, which cannot be read",)
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        assert image.tag_v2[271] == "Camera" and image.tag_v2[65001] == (1, 2, 3)
        assert 274 not in image.tag_v2 and 65002 not in image.tag_v2
        details = image.getexif().get_ifd(34665)
        assert details[36867] == "2024:05:06 07:08:09" and details[40962] == RGB.shape[0]


@pytest.mark.parametrize("kind", [2, 4])
def test_a_directory_of_a_tiff_that_cannot_be_read_is_named(kind: int) -> None:
    value = "abcde" if kind == 2 else 10**8
    data = files.tiff(RGB, photometric="rgb", extratags=[(34666, kind, 1, value, True)])
    record = struct.pack("<HH", 34666, kind)
    assert data.count(record) == 1
    photo = read_photo(data.replace(record, struct.pack("<HH", 34665, kind)))
    assert photo.warnings == ("its EXIF directory cannot be read",)


def test_one_sub_directory_named_a_million_times_is_read_once() -> None:
    offsets = [8] * 1_000_000
    stored = np.array(offsets, "<u4").tobytes()
    base = 8 + 2 + 12 + 4
    data = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 330, 4, len(offsets), base, 0) + stored
    assert not is_raw(data)


def test_a_chain_of_pages_without_end_is_refused() -> None:
    page = ifd.directory_bytes("<", [], {}, 0)[:2]
    assert page == b"\0\0"
    data = bytearray(files.tiff(RGB, photometric="rgb"))
    directory = struct.unpack_from("<I", data, 4)[0]
    link = directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0]
    record = bytes(data[directory + 2 : link])
    count = struct.pack("<H", len(record) // 12)
    for _ in range(150):
        struct.pack_into("<I", data, link, len(data))
        data += count + record
        link = len(data)
        data += bytes(4)
    with pytest.raises(InputError, match="101 or more pages"):
        read_photo(bytes(data))


def test_a_long_number_in_a_plain_ppm_does_not_fill_the_memory() -> None:
    data = b"P2 1000 1000 255 " + b"1" * 500_000 + b" 1" * 999_999
    with pytest.raises(InputError, match="a value is out of range"):
        read_photo(data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_opened_once(tmp_path: Path) -> None:
    pipe = tmp_path / "photo.png"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(files.png(RGB)), daemon=True)
    writer.start()
    assert output_path(pipe, tmp_path / "out.png") == tmp_path / "out.png"
    assert output_path(pipe, None).name == "photo_deblurred.png"
    np.testing.assert_array_equal(read_photo(pipe).pixels, RGB)
    writer.join()


def test_animations_are_still_refused() -> None:
    images = [Image.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 5)]
    for kind in ("PNG", "WEBP"):
        buffer = io.BytesIO()
        images[0].save(buffer, kind, save_all=True, append_images=images[1:])
        with pytest.raises(InputError, match="animated"):
            read_photo(buffer.getvalue())


def test_what_is_bound_to_its_format_is_named_when_that_changes(tmp_path: Path) -> None:
    png = read_photo(png_with((b"sCAL", b"\x011.0\x001.0")))
    jpeg = bytearray(files.pillow(RGB, "JPEG"))
    for marker, payload in ((0xE3, b"Meta\0\0"), (0xEC, b"Ducky\0")):
        jpeg[2:2] = struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
    for photo, parts in ((png, ["sCAL"]), (read_photo(bytes(jpeg)), ["Meta", "APP12"])):
        (warning,) = conversion_warnings(photo, tmp_path / "out.tif")
        assert all(part in warning for part in parts)
        assert conversion_warnings(photo, tmp_path / f"out.{photo.format.lower()}") == ()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "size"), [(1, 1), (2, 1), (4, 4), (6, 1), (7, 1)])
def test_xmp_and_profile_of_a_tiff_are_read_whatever_type_they_are_stored_in(
    order: str, kind: int, size: int
) -> None:
    packet, profile = (part + bytes(-len(part) % 4) for part in (files.XMP, files.ICC))
    given = [(700, 7, len(packet), packet, True), (34675, 7, len(profile), profile, True)]
    data = files.tiff(RGB, photometric="rgb", byteorder=order, extratags=given)
    for code, value in ((700, packet), (34675, profile)):
        record = struct.pack(order + "HHI", code, 7, len(value))
        assert data.count(record) == 1
        data = data.replace(record, struct.pack(order + "HHI", code, kind, len(value) // size))
    photo = read_photo(data)
    assert photo.warnings == () and photo.metadata.icc == profile
    assert photo.metadata.xmp is not None and b"moth" in photo.metadata.xmp


def test_an_xmp_packet_of_a_tiff_that_lies_outside_of_the_file_is_named() -> None:
    data = files.tiff(RGB, photometric="rgb", extratags=[(700, 7, len(files.XMP), files.XMP, True)])
    record = struct.pack("<HHI", 700, 7, len(files.XMP))
    photo = read_photo(data.replace(record, struct.pack("<HHI", 700, 7, 10**8)))
    assert photo.warnings == (LEFT_OUT + "tag 700, which cannot be read",) and photo.metadata.xmp is None


def test_page_number_and_ink_names_are_carried_and_sample_limits_named() -> None:
    given = [
        (280, 3, 3, (1, 2, 3), True),
        (281, 3, 3, (250, 251, 252), True),
        (297, 3, 2, (1, 4), True),
        (333, 2, 0, "red\0green\0blue", True),
    ]
    photo = read_photo(files.tiff(RGB, photometric="rgb", extratags=given))
    assert photo.warnings == (
        LEFT_OUT + "the smallest sample value (tag 280), the largest sample value (tag 281)",
    )
    with Image.open(io.BytesIO(rewritten(photo))) as image:
        assert image.tag_v2[297] == (1, 4) and "red" in str(image.tag_v2[333])
        assert not {280, 281} & set(image.tag_v2)
