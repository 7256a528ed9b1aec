"""PPM, PGM and PBM (netpbm P1 to P6), 8 and 16 bits; read here because Pillow reduces 16-bit colour to 8."""

import re
from typing import BinaryIO

import numpy as np

from defocusctl.errors import InputError
from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, damaged
from defocusctl.photo.model import Decoded, Metadata, PnmCoding, Samples, rescaled

LONGEST_HEADER = 64 * 2**10
SPACE = rb"(?:[ \t\r\n\v\f]+|#[^\r\n]*+[\r\n])++"
HEADER = re.compile(rb"P([1-6])" + SPACE + rb"(\d{1,9})" + SPACE + rb"(\d{1,9})")
MAXVAL = re.compile(SPACE + rb"(\d{1,6})")
COMMENT = re.compile(rb"#[^\r\n]*")
BLANK = re.compile(rb"\s")
TEXT_BLOCK = 2**20
LONGEST_NUMBER = 18


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read plain or raw PBM, PGM or PPM; values are scaled to the full range of 8 or 16 bits."""
    header = HEADER.match(data, 0, LONGEST_HEADER)
    if header is None:
        raise damaged("its header cannot be read")
    kind, width, height = (int(number) for number in header.groups())
    check_size(width, height, max_megapixels)
    maxval, position = 1, header.end()
    if kind not in (1, 4):
        limit = MAXVAL.match(data, position, LONGEST_HEADER)
        if limit is None or not 1 <= int(limit[1]) <= 65535:
            raise damaged("its header has no valid maximum value")
        maxval, position = int(limit[1]), limit.end()
    colours = 3 if kind in (3, 6) else 1
    commented = COMMENT.search(data, 0, len(data) if kind <= 3 else position) is not None
    if kind <= 3:
        values, surplus = _plain(data[position:], height * width * colours, kind == 1)
        lost = ["text after the end of the picture"] if surplus else []
    else:
        values, end = _raw(data, position + 1, (height, width, colours), maxval, kind == 4)
        lost = left_out.after_the_end(data, end)
    lost += ["its comments"] if commented else []
    if kind in (1, 4):
        values = 1 - values
    if values.size and int(values.max()) > maxval:
        raise damaged("a value is above the largest")
    pixels = _scaled(values.reshape(height, width, colours), maxval, 255 if maxval <= 255 else 65535)
    metadata = Metadata(coding=PnmCoding(255 if maxval == 1 else maxval))
    return Decoded(pixels, None, metadata, warnings=left_out.warning(lost))


def encode(pixels: Samples, metadata: Metadata, out: BinaryIO) -> None:
    """Write uint8 or uint16 pixels as raw PGM or PPM with the source's maximum value."""
    full = int(np.iinfo(pixels.dtype).max)
    source = metadata.coding.maxval if isinstance(metadata.coding, PnmCoding) else full
    maxval = source if (source > 255) == (full > 255) else full
    height, width, colours = pixels.shape
    values = _scaled(pixels, full, maxval)
    if maxval > 255:
        values = values.astype(">u2")
    out.write(f"P{6 if colours == 3 else 5}\n{width} {height}\n{maxval}\n".encode())
    out.write(np.ascontiguousarray(values).data)


def _scaled(values: Samples, maxval: int, wanted: int) -> Samples:
    """Like ``rescaled``, by a table to save memory."""
    table = rescaled(np.arange(maxval + 1), maxval, wanted)
    scaled: Samples = values.astype(table.dtype) if maxval == wanted else table[values]
    return scaled


def _raw(
    data: bytes, start: int, shape: tuple[int, int, int], maxval: int, bitmap: bool
) -> tuple[Samples, int]:
    """The binary samples after the header, and their end; each row of a bitmap starts a new byte."""
    height, width, colours = shape
    dtype = np.dtype(">u2" if maxval > 255 else np.uint8)
    length = height * (-(-width // 8)) if bitmap else height * width * colours * dtype.itemsize
    end = start + length
    if end > len(data):
        raise damaged("the end of the file is missing")
    stored = np.frombuffer(data, np.uint8, length, start)
    if data[end : end + 2] in (b"P4", b"P5", b"P6"):
        cause = "it holds several pictures, which is not supported"
        raise InputError(cause, "split it into separate files first")
    if bitmap:
        return np.unpackbits(stored.reshape(height, -1), axis=1, count=width), end
    return stored.view(dtype), end


def _plain(text: bytes, count: int, bitmap: bool) -> tuple[Samples, bool]:
    """The samples of a plain (text) file, and whether more text follows.

    The digits of bitmaps need no space between them.
    """
    text = COMMENT.sub(b"", text)
    if bitmap:
        digits = np.frombuffer(b"".join(text.split()), np.uint8)
        values = digits[:count] - np.uint8(ord("0"))
        if values.size < count or np.any(values > 1):
            raise damaged("its pixels are not zeros and ones, or too few")
        return values, digits.size > count
    values = np.empty(count, np.uint16)
    filled = position = 0
    surplus = False
    while filled < count and position < len(text):
        blank = BLANK.search(text, position + TEXT_BLOCK)
        end = blank.start() if blank else len(text)
        words = text[position:end].split()
        surplus = len(words) > count - filled
        words = words[: count - filled]
        if any(len(word) > LONGEST_NUMBER for word in words):  # arrays pad all to the longest
            raise damaged("a value is out of range")
        numbers = np.array(words).astype(np.int64)
        if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) <= 65535:
            raise damaged("a value is out of range")
        values[filled : filled + numbers.size] = numbers
        filled, position = filled + numbers.size, end
    if filled < count:
        raise damaged("the end of the file is missing")
    return values, surplus or bool(text[position:].strip())
