"""Reads BMP through Pillow; writes 8-bit grey, 24-bit RGB or 32-bit RGB with alpha."""

import io
import struct
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, Image

from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, damaged
from defocusctl.photo.model import Decoded, Metadata, Resolution, Samples

FILE_HEADER = 14
INFO_HEADER = 40
SHORTEST = FILE_HEADER + 12
V4_HEADER, V5_HEADER = 108, 124
BITFIELDS = 3
SRGB, EMBEDDED, LINKED, CALIBRATED = 0x73524742, 0x4D424544, 0x4C494E4B, 0


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a BMP of 1 to 32 bits per pixel; palettes become RGB (or grey if all their colours are grey)."""
    if len(data) < SHORTEST:
        raise damaged("its header is cut short")
    image: Image.Image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size(*image.size, max_megapixels)
    indexed = image.mode == "P"
    if image.mode in ("P", "1"):
        image = image.convert("RGB" if indexed else "L")
    samples = np.asarray(image)
    samples = samples.reshape(*samples.shape[:2], -1)
    alpha = samples[:, :, 3] if samples.shape[2] == 4 and samples[:, :, 3].any() else None  # some leave it 0
    pixels = samples[:, :, :3]
    if indexed and np.array_equal(pixels, np.broadcast_to(pixels[:, :, :1], pixels.shape)):
        pixels = pixels[:, :, :1]
    header = int.from_bytes(data[14:18], "little")  # the length of the second one, which Pillow has read
    profile, lost = _colours(data, header)
    (length,) = struct.unpack_from("<I", data, 2)  # some writers omit it or get it wrong
    lost += left_out.after_the_end(data, length) if length > FILE_HEADER else []
    x, y = struct.unpack_from("<ii", data, 38) if header >= INFO_HEADER else (0, 0)
    metadata = Metadata(icc=profile, resolution=Resolution(x, y, "m") if x > 0 and y > 0 else None)
    return Decoded(pixels, alpha, metadata, warnings=left_out.warning(lost))


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write uint8 pixels, rows from the bottom up, as the format requires."""
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


def _colours(data: bytes, header: int) -> tuple[bytes | None, list[str]]:
    """The ICC profile, and names for other descriptions of the colours; only the longer headers have them."""
    kind = int.from_bytes(data[70:74], "little") if header >= V4_HEADER else None
    if kind == EMBEDDED and header >= V5_HEADER:
        start, length = struct.unpack_from("<II", data, 126)
        return data[FILE_HEADER + start : FILE_HEADER + start + length], []
    if kind == CALIBRATED and any(data[74 : FILE_HEADER + V4_HEADER]):
        return None, ["its colour description (primaries and gamma)"]
    return None, ["a link to its ICC profile"] if kind == LINKED else []
