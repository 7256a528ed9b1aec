"""Whatever is wrong with a file, there is one clear line about it; broken metadata never cost the photo."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import read_photo
from tests.photo import photo_files as files
from tests.photo.photo_files import rewritten

RGB = files.scene()
FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0%s"


def frames(kind: str) -> bytes:
    buffer = io.BytesIO()
    images = [Image.fromarray(np.roll(RGB, shift, axis=1)) for shift in (0, 5)]
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    return buffer.getvalue()


def stack(**options: object) -> bytes:
    """A TIFF of five pictures behind each other, of which its one directory names the first."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((5, 24, 40), np.uint8), truncate=True, **options)
    return buffer.getvalue()


def twelve_bits() -> bytes:
    """A grey TIFF of 24x40 samples of 12 bits, made of one of 8 bits: older packages write no other."""
    data = bytearray(files.tiff(files.scene(24, 60)[:, :, 0], photometric="minisblack"))
    directory = struct.unpack_from("<I", data, 4)[0]
    for position in range(directory + 2, directory + 2 + 12 * data[directory], 12):
        code = struct.unpack_from("<H", data, position)[0]
        if code in (256, 258):  # width, bits of a sample
            struct.pack_into("<HII", data, position + 2, 4, 1, 40 if code == 256 else 12)
    return bytes(data)


def deeper(avif: bytes) -> bytes:
    """The AVIF with a header that says more than 8 bits."""
    flags = avif.index(b"av1C") + 6
    return avif[:flags] + bytes((avif[flags] | 0x40,)) + avif[flags + 1 :]


VIDEO = r"videos are out of scope.*ffmpeg -i FILE frame_%05d\.png"
REFUSED = {
    "empty": (b"", "the file is empty"),
    "text": (b"This is a shopping list: milk, bread.\n" * 200, "text file"),
    "text like a BMP": (b"BMW and PFAFF\n", "text file"),
    "text like a PFM": (b"PFAFF\n", "text file"),
    "unicode text": ("Größe: 5 µm\n".encode() * 1000, "text file"),
    "unknown": (bytes(range(128, 256)) * 4, "not a photo of a known format"),
    "gif": (files.pillow(RGB, "GIF"), "GIF is not supported.*ffmpeg"),
    "animated gif": (frames("GIF"), "GIF is not supported.*ffmpeg"),
    "mp4": (FTYP % (b"isom", b"isomiso2"), VIDEO),
    "mov": (FTYP % (b"qt  ", b"qt  \0\0\0\0"), VIDEO),
    "old mov": (b"\0\0\0\x08wide\0\0\1\0mdat", VIDEO),
    "mkv": (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01", VIDEO),
    "avi": (b"RIFF\0\0\1\0AVI LIST", VIDEO),
    "mpeg": (b"\0\0\x01\xba\x44\0", VIDEO),
    "mpeg transport stream": (2 * (b"\x47" + bytes(187)), VIDEO),
    "wmv": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), VIDEO),
    "sound": (b"RIFF\0\0\1\0WAVEfmt ", "RIFF file is not supported"),
    "heic sequence": (FTYP % (b"hevc", b"msf1hevc"), "sequence is not supported.*ffmpeg"),
    "heic cut after its brands": (FTYP % (b"heic", b"mif1heic"), "end of the file is missing"),
    "cut heic": (FTYP % (b"heic", b"mif1heic") + b"\0\0\1\0meta", "damaged"),
    "cr3": (FTYP % (b"crx ", b"crx isom"), "camera RAW"),
    "raf": (b"FUJIFILMCCD-RAW 0201", "camera RAW"),
    "cr2": (b"II*\0\x10\0\0\0CR\x02\0", "damaged"),
    "preview page": (files.tiff(RGB, photometric="rgb", subfiletype=1), "camera RAW.*darktable"),
    "apng": (frames("PNG"), "animated PNG"),
    "animated webp": (frames("WEBP"), "animated WebP"),
    "animated avif": (frames("AVIF"), "animated AVIF"),
    "pages": (frames("TIFF"), "2 pages"),
    "stack of tifffile": (stack(), "5 pages"),
    "stack of ImageJ": (stack(imagej=True), "5 pages"),
    "cmyk tiff": (files.tiff(files.scene(channels=4), photometric="separated"), "CMYK"),
    "lab tiff": (files.tiff(RGB, photometric="cielab"), "L\\*a\\*b\\*"),
    "int16 tiff": (files.tiff(RGB.astype(np.int16), photometric="rgb"), "of this type"),
    "12-bit tiff": (twelve_bits(), "12-bit samples"),
    "5 channels": (files.tiff(files.scene(channels=5), photometric="rgb"), "5 channels"),
    "jpeg 2000 in tiff": (files.tiff(RGB, photometric="rgb", compression="jpeg2000"), "compression 34712"),
    "several ppm": (files.pillow(RGB, "PPM") * 2, "several pictures"),
    "pam": (b"P7\nWIDTH 1\n", "PAM"),
    "jpeg-ls": (bytes(imagecodecs.jpegls_encode(RGB[:, :, 0])), "lossless .* JPEG is not supported"),
    "no IEND": (files.png(RGB)[:-12], "end of the file"),
    "half a png": (files.png(RGB)[:400], "end of the file"),
    "half a tiff": (files.tiff(RGB, photometric="rgb", compression="lzw")[:-600], "damaged"),
    "half a webp": (files.pillow(RGB, "WEBP")[:-50], "end of the file"),
    "half a bmp": (files.pillow(RGB, "BMP")[:-50], "damaged"),
    "ppm cut after its variant": (b"P6", "header cannot be read"),
    "half a ppm": (files.pillow(RGB, "PPM")[:-1], "end of the file"),
    "ppm with an endless header": (b"P3\n" + b" " * 8_000_000 + b"1 1 255 1 2 3", "header cannot be read"),
    "half a plain ppm": (b"P3 2 2 255 1 2 3 4", "end of the file"),
    "half an avif": (files.pillow(RGB, "AVIF")[:-50], "damaged"),
    "ten-bit avif": (deeper(files.pillow(RGB, "AVIF")), "10 or 12 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_cause_and_remedy(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(InputError, match=reason) as caught:
        read_photo(data)
    assert caught.value.cause and caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.posix
def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(InputError, match=r"it is a folder: give its photos, such as dir/\*\.jpg"):
        read_photo(tmp_path)
    with pytest.raises(InputError, match="a device"):
        read_photo(Path("/dev/null"))
    with pytest.raises(InputError, match="cannot be read"):
        read_photo(tmp_path / ("n" * 300))
    with pytest.raises(InputError, match="cannot be read"):
        read_photo(tmp_path / "nul\0byte")
    locked = tmp_path / "locked.png"
    locked.write_bytes(files.png(RGB))
    locked.chmod(0)
    if not os.access(locked, os.R_OK):
        with pytest.raises(InputError, match="not permitted"):
            read_photo(locked)


def claimed(width: int, height: int) -> dict[str, bytes]:
    """Files whose headers claim a size that their few bytes do not hold."""
    png_header = files.png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    bmp = bytearray(files.pillow(RGB, "BMP"))
    struct.pack_into("<ii", bmp, 18, width, height)
    tiff = bytearray(files.tiff(RGB, photometric="rgb"))
    directory = struct.unpack_from("<I", tiff, 4)[0]
    for index in range(struct.unpack_from("<H", tiff, directory)[0]):
        position = directory + 2 + 12 * index
        code = struct.unpack_from("<H", tiff, position)[0]
        if code in (256, 257):
            struct.pack_into("<HHII", tiff, position, code, 4, 1, width if code == 256 else height)
    jpeg = bytearray(files.pillow(RGB, "JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, min(height, 65535), min(width, 65535))
    return {
        "png": files.png(RGB)[:8] + png_header + files.png(RGB)[33:],
        "bmp": bytes(bmp),
        "tiff": bytes(tiff),
        "jpeg": bytes(jpeg),
        "ppm": b"P6 %d %d 255\n" % (width, height),
    }


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "jpeg", "ppm"])
def test_absurd_sizes_are_refused_from_the_header(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="--max-megapixels"):
            read_photo(claimed(60000, 60000)[kind])
        with pytest.raises(InputError, match=r"size of 0x5|damaged"):
            read_photo(claimed(0, 5)[kind])


def test_the_limit_is_the_callers() -> None:
    data = files.png(RGB)
    with pytest.raises(InputError, match=r"above the limit of 0\.0005"):
        read_photo(data, max_megapixels=0.0005)
    assert read_photo(data, max_megapixels=RGB.shape[0] * RGB.shape[1] / 1e6).size == (24, 40)


def test_bombs_inside_metadata_stay_small() -> None:
    bomb = zlib.compress(bytes(64 * 2**20), 9)
    photo = read_photo(files.png(RGB, extra=files.png_chunk(b"iCCP", b"x\0\0" + bomb)))
    assert photo.warnings == ("broken ICC profile left out",) and photo.metadata.icc is None


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"exif": b"Exif\0\0II*\0\xff\xff\xff\x7f"}, "broken EXIF left out"),
        ({"exif": b"Exif\0\0nonsense"}, "broken EXIF left out"),
        ({"icc_profile": b"not a profile"}, "broken ICC profile left out"),
        ({"xmp": b"<x:xmpmeta"}, "broken XMP left out"),
        ({"xmp": b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}, "broken XMP left out"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_broken_metadata_cost_a_warning_only(kind: str, options: dict[str, bytes], warning: str) -> None:
    photo = read_photo(files.pillow(RGB, kind, **options))
    assert photo.warnings == (warning,)
    assert read_photo(rewritten(photo)).warnings == ()


def test_damaged_side_chunks_cost_a_warning_only() -> None:
    data = bytearray(files.png(RGB, extra=files.png_chunk(b"tEXt", b"Author\0me")))
    data[data.index(b"Author")] ^= 1
    assert read_photo(bytes(data)).warnings == ("a damaged PNG chunk is left out",)


def test_a_tiff_with_missing_strips_is_refused() -> None:
    data = bytearray(files.tiff(RGB, photometric="rgb", rowsperstrip=4, compression="lzw"))
    counts = struct.unpack_from("<I", data, data.index(struct.pack("<HH", 279, 3)) + 8)[0]
    struct.pack_into("<H", data, counts + 2, 0)
    with pytest.raises(InputError, match="parts of the picture are missing"):
        read_photo(bytes(data))


def test_what_a_tiff_no_longer_holds_is_no_page() -> None:
    assert read_photo(stack()[: -4 * RGB[:, :, 0].size]).size == (24, 40)


@pytest.mark.parametrize("bits", [1, 8])
def test_an_uncompressed_strip_of_length_0_is_as_long_as_the_picture(bits: int) -> None:
    pixels = RGB[:, :, 0] if bits == 8 else RGB[:, :, 0] > 127
    data = bytearray(files.tiff(pixels, photometric="minisblack"))
    struct.pack_into("<I", data, data.index(struct.pack("<HH", 279, 4)) + 8, 0)
    expected = pixels * np.uint8(255 if bits == 1 else 1)
    np.testing.assert_array_equal(read_photo(bytes(data)).pixels[:, :, 0], expected)


def deflate_strip_bomb() -> bytes:
    """A TIFF of 24x40 pixels whose one strip inflates to half a gigabyte."""
    stream = zlib.compressobj(1)
    bomb = b"".join(stream.compress(bytes(2**20)) for _ in range(512)) + stream.flush()
    data = bytearray(files.tiff(RGB, photometric="rgb", compression="adobe_deflate"))
    directory = struct.unpack_from("<I", data, 4)[0]
    for index in range(struct.unpack_from("<H", data, directory)[0]):
        position = directory + 2 + 12 * index
        code = struct.unpack_from("<H", data, position)[0]
        if code in (273, 279):
            struct.pack_into("<HHII", data, position, code, 4, 1, len(data) if code == 273 else len(bomb))
    return bytes(data) + bomb


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the system has other units")
def test_strip_bombs_stay_small() -> None:
    import resource

    bomb = deflate_strip_bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="damaged"):
        read_photo(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10


def test_a_jpeg_larger_than_its_tiff_is_refused() -> None:
    data = bytearray(files.tiff(RGB, photometric="rgb", compression="jpeg"))
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, 60000, 60000)
    with pytest.raises(InputError, match="strips claims 60000x60000"):
        read_photo(bytes(data))


def test_reading_does_not_import_torch() -> None:
    heavy = "('torch', 'cv2', 'tifffile')"
    code = f"import sys, defocusctl.photo; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
