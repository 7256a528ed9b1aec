"""Reads BMP through Pillow; writes 8-bit grey, 24-bit RGB or 32-bit RGB with alpha."""

import io
import struct
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, Image

from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Decoded, Metadata, Resolution, Samples

FILE_HEADER = 14
INFO_HEADER = 40
SHORTEST = FILE_HEADER + 12
V4_HEADER, V5_HEADER = 108, 124
BITFIELDS = 3
SRGB, EMBEDDED, LINKED, CALIBRATED = 0x73524742, 0x4D424544, 0x4C494E4B, 0


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a BMP of 1 to 32 bits per pixel; palettes become RGB (or grey if all their colours are grey).

    Raises:
        InputError: if the file is broken, truncated or above the limit.
    """
    if len(data) < SHORTEST:
        raise damaged("its header is cut short")
    image: Image.Image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size(*image.size, max_megapixels)
    if image.mode == "P":
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB", "RGBA"):
        raise unsupported(f"BMP with pixels of the kind {image.mode}", "save it as PNG first")
    samples = np.asarray(image)
    samples = samples.reshape(*samples.shape[:2], -1)
    alpha = samples[:, :, 3] if samples.shape[2] == 4 and samples[:, :, 3].any() else None  # some leave it 0
    pixels = samples[:, :, :3]
    if 0 < _bits(data) <= 8 and np.array_equal(pixels, np.broadcast_to(pixels[:, :, :1], pixels.shape)):
        pixels = pixels[:, :, :1]
    metadata = Metadata(icc=_profile(data), resolution=_resolution(data))
    warnings = left_out.warning([*_colours_not_carried(data), *left_out.after_the_end(data, _end(data))])
    return Decoded(pixels, alpha, metadata, warnings=warnings)


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write uint8 pixels (H, W, C) and alpha (H, W), rows from the bottom up, as the format requires."""
    height, width, colours = pixels.shape
    samples = pixels[::-1, :, ::-1]
    palette = b""
    if alpha is not None:
        samples = np.dstack([np.broadcast_to(samples, (height, width, 3)), alpha[::-1]])
    elif colours == 1:
        palette = b"".join(bytes((level, level, level, 0)) for level in range(256))
    bits = 8 * samples.shape[2]
    row = np.ascontiguousarray(samples).reshape(height, -1)
    padded = np.pad(row, ((0, 0), (0, -row.shape[1] % 4)))
    header = INFO_HEADER if alpha is None else V4_HEADER
    dots = metadata.resolution.per("m") if metadata.resolution else None
    x_dots, y_dots = (min(round(side), 2**31 - 1) for side in dots or (0, 0))
    offset = FILE_HEADER + header + len(palette)
    out.write(struct.pack("<2sIHHI", b"BM", min(offset + padded.size, 2**32 - 1), 0, 0, offset))
    out.write(
        struct.pack(
            "<IiiHHIIiiII",
            *(header, width, height, 1, bits),
            *(0 if alpha is None else BITFIELDS, min(padded.size, 2**32 - 1)),
            *(x_dots, y_dots, len(palette) // 4, 0),
        )
    )
    if alpha is not None:
        masks = struct.pack("<IIII", 0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
        out.write((masks + struct.pack("<I", SRGB)).ljust(V4_HEADER - INFO_HEADER, b"\0"))
    out.write(palette)
    out.write(padded.data)


def _header_length(data: bytes) -> int:
    """The length of the header after the file's, which Pillow has read in full."""
    return int.from_bytes(data[14:18], "little")


def _profile(data: bytes) -> bytes | None:
    """The ICC profile, which only the longest header (124 bytes) can point to."""
    if _header_length(data) < V5_HEADER:
        return None
    kind, start, length = (int.from_bytes(data[place : place + 4], "little") for place in (70, 126, 130))
    return data[FILE_HEADER + start : FILE_HEADER + start + length] if kind == EMBEDDED else None


def _colours_not_carried(data: bytes) -> list[str]:
    """Names for descriptions of the colours that only the longer headers can hold, and no profile."""
    if _header_length(data) < V4_HEADER:
        return []
    kind = int.from_bytes(data[70:74], "little")
    calibrated = kind == CALIBRATED and any(data[74 : FILE_HEADER + V4_HEADER])
    names = ["its colour description (primaries and gamma)"] if calibrated else []
    return ["a link to its ICC profile"] if kind == LINKED else names


def _end(data: bytes) -> int:
    """The file's end according to its header; some writers omit that number or get it wrong."""
    (length,) = struct.unpack_from("<I", data, 2)
    return length if FILE_HEADER < length < len(data) else len(data)


def _bits(data: bytes) -> int:
    """Bits per pixel; the oldest header (12 bytes) stores them elsewhere."""
    place = 24 if data[14:18] == b"\x0c\0\0\0" else 28
    return int.from_bytes(data[place : place + 2], "little")


def _resolution(data: bytes) -> Resolution | None:
    if _header_length(data) < INFO_HEADER:
        return None
    x, y = struct.unpack_from("<ii", data, 38)
    return Resolution(x, y, "m") if x > 0 and y > 0 else None
