"""Small HEIC, JPEG XL and camera RAW files for the tests of the formats that need a further package."""

import io
import struct

import imagecodecs
import numpy as np
import pillow_heif
import tifffile

from tests.photo import photo_files as files

JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
BLACK, WHITE = 512, 16383
NEUTRAL = np.array([0.5, 1.0, 0.625])
XYZ_TO_SRGB = np.array(
    [[3.24045, -1.53714, -0.49853], [-0.96927, 1.87601, 0.04156], [0.05564, -0.20403, 1.05723]]
)


def heic(array: np.ndarray, bits: int = 8, *, lossless: bool = False, **options: object) -> bytes:
    """A HEIC of an array (H, W, C) whose values use ``bits`` bits."""
    height, width, channels = array.shape
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels] + ("" if bits == 8 else f";{bits}")
    settings: dict[str, object] = {"quality": 90, "chroma": 444, "bit_depth": bits}
    if lossless:
        settings |= {"quality": -1, "matrix_coefficients": 0, "full_range_flag": 1}
        settings |= {"color_primaries": 1, "transfer_characteristics": 13}
    buffer = io.BytesIO()
    pillow_heif.encode(mode, (width, height), array.tobytes(), buffer, **settings | options)
    return buffer.getvalue()


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def jxl_codestream(array: np.ndarray, **options: object) -> bytes:
    """A bare codestream of 8 bits, as an encoder other than the one under test writes it."""
    squeezed = array[:, :, 0] if array.shape[-1] == 1 else array
    settings: dict[str, object] = {"usecontainer": False, "lossless": True}
    return bytes(imagecodecs.jpegxl_encode(squeezed, **settings | options))


def jxl(array: np.ndarray, *metadata: bytes, **options: object) -> bytes:
    """A JPEG XL container with boxes of metadata before the codestream."""
    return JXL_CONTAINER + b"".join(metadata) + box(b"jxlc", jxl_codestream(array, **options))


def turned_jxl(array: np.ndarray, orientation: int) -> bytes:
    """A lossy JPEG XL (RGB, 8 bits) whose codestream names an orientation, which the encoder cannot write."""
    stream = jxl_codestream(array, lossless=False, distance=0.1)
    bits = "".join(f"{byte:08b}"[::-1] for byte in stream[2:])
    small = bits[0] == "1"
    width_given = 6 if small else 0
    if not small:
        height = 3 + (9, 13, 18, 30)[int(bits[2] + bits[1], 2)]
        place = height
        width_given = place
    ratio = int(bits[width_given : width_given + 3][::-1], 2)
    end = width_given + 3
    if ratio == 0:
        end += 5 if small else 2 + (9, 13, 18, 30)[int(bits[end + 1] + bits[end], 2)]
    assert bits[end : end + 2] == "11"  # all metadata and the colour transform as by default
    body = bits[-(-(end + 2) // 8) * 8 :]
    number = f"{orientation - 1:03b}"[::-1]
    # not default, further fields, orientation, no size, preview, animation; 8-bit integers in 16-bit
    # buffers; no further channels; XYB; default colours, tone mapping; no extensions; default transform
    header = bits[:end] + "01" + number + "000" + "0" + "00" + "1" + "00" + "1" + "1" + "1" + "00" + "1"
    header = header.ljust(-(-len(header) // 8) * 8, "0") + body
    octets = bytes(int(header[i : i + 8][::-1], 2) for i in range(0, len(header), 8))
    return stream[:2] + octets


def linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def smooth_scene(height: int = 48, width: int = 64) -> np.ndarray:
    """A soft sRGB picture in floating point, away from black and white, that demosaicing hardly changes."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / (11 + c) + c) * np.cos(rows / (9 + c)) for c in range(3)]
    return 0.5 + 0.25 * np.stack(waves, axis=-1)


def dng(scene: np.ndarray, orientation: int = 1, **options: object) -> bytes:
    """A DNG 1.4 of a Bayer sensor (RGGB, 14 bits) that sees ``scene`` under light that is not white to it."""
    seen = linear(scene) * NEUTRAL
    mosaic = seen[:, :, 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = seen[0::2, 0::2, 0], seen[1::2, 1::2, 2]
    stored = np.rint(BLACK + mosaic * (WHITE - BLACK)).astype(np.uint16)

    def fractions(values: np.ndarray) -> list[int]:
        return [number for value in values.ravel() for number in (round(value * 10000), 10000)]

    tags = [
        (271, 2, 0, "Camera", True),
        (272, 2, 0, "Camera One", True),
        (274, 3, 1, orientation, True),
        (700, 1, len(files.XMP), files.XMP, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes((0, 1, 1, 2)), True),
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50707, 1, 4, bytes((1, 1, 0, 0)), True),
        (50708, 2, 0, "Camera One", True),
        (50714, 3, 1, BLACK, True),
        (50717, 3, 1, WHITE, True),
        (50721, 10, 9, fractions(NEUTRAL[:, None] * XYZ_TO_SRGB), True),
        (50728, 5, 3, fractions(NEUTRAL), True),
        (50778, 3, 1, 21, True),
    ]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        stored,
        photometric="cfa",
        metadata=None,
        extratags=tags,
        subfiletype=0,
        software=False,
        **options,
    )
    return with_exif(buffer.getvalue())


def with_exif(tiff: bytes) -> bytes:
    """The TIFF with an EXIF directory: focal length, time, a maker note."""
    note = b"maker note " * 5
    time = b"2024:05:06 07:08:09\0"
    offset = struct.unpack_from("<I", tiff, 4)[0]
    (count,) = struct.unpack_from("<H", tiff, offset)
    records = tiff[offset + 2 : offset + 2 + 12 * count]
    details = len(tiff) + len(tiff) % 2
    values = details + 2 + 3 * 12 + 4
    directory = (
        struct.pack("<HHHII", 3, 36867, 2, len(time), values)
        + struct.pack("<HHII", 37386, 5, 1, values + len(time))
        + struct.pack("<HHII", 37500, 7, len(note), values + len(time) + 8)
        + bytes(4)
        + time
        + struct.pack("<II", 50, 1)
        + note
        + b"\0"
    )
    first = details + len(directory)
    entries = [records[i : i + 12] for i in range(0, len(records), 12)]
    entries.append(struct.pack("<HHII", 34665, 4, 1, details))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    main = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return tiff[:4] + struct.pack("<I", first) + tiff[8:].ljust(details - 8, b"\0") + directory + main
