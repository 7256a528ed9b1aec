"""Which TIFF files are refused before their pixels are decoded: several pages, rare kinds, damage, bombs.

Pages are tifffile's ``TiffPage``; the numbers are those of TIFF 6.0 and its registered extensions.
"""

import math
import re
import struct
from typing import Any

from defocusctl.errors import InputError
from defocusctl.photo import ifd
from defocusctl.photo.formats import tiff_tags as tags
from defocusctl.photo.formats.jpeg_segments import read_layout
from defocusctl.photo.header import damaged, unsupported

REDUCED_PAGE = 1
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, tags.YCBCR
UNSUPPORTED_COLOURS = {5: "CMYK", 8: "CIE L*a*b* colour"}
UNCOMPRESSED, LZW, JPEG, DEFLATE, PACKBITS, LZMA, ZSTD, WEBP = 1, 5, 7, 8, 32773, 34925, 50000, 50001
OLD_DEFLATE = 32946
KEPT_COMPRESSIONS = {
    OLD_DEFLATE: DEFLATE,
    **{kind: kind for kind in (UNCOMPRESSED, LZW, DEFLATE, PACKBITS, LZMA, ZSTD)},
}
LARGEST_SEGMENT = 64 * 2**20
MAX_PAGES = 100
LARGEST_OVERLAP = 4  # how many times a JPEG strip's bytes and the page's area may be used
READABLE_TYPES = ("uint8", "uint16", "float16", "float32", "float64")
IMAGEJ_STACK = re.compile(r"(?:ImageJ|SCIFIO)=[^\0]*?\nimages=(\d{1,9})")
SHAPE = re.compile(r'\{"shape": ?\[((?:\d{1,9}, ?)*\d{1,9})\]')


def refuse_overlapping_tags(data: bytes) -> None:
    """Refuse directories whose values overlap so much that reading them all far exceeds the file's size.

    tifffile reads every value in full, even if one tag is repeated a thousand times.
    """
    budget = ifd.ReadBudget(data)
    try:
        for _ in ifd.chain(data, budget, MAX_PAGES + 1):
            if budget.left < 0:
                raise damaged("its tags overlap")
    except ifd.CircleError as error:
        raise damaged(str(error)) from error
    except (ifd.BrokenExifError, struct.error):  # tifffile reports it
        return


def refuse_several_pages(data: bytes, tiff: Any) -> list[str]:
    """Refuse files with several pages, except previews; returns a warning about those."""
    further = []
    for index in range(1, MAX_PAGES + 1):  # counting all pages could mean reading an endless chain
        try:
            further.append(tiff.pages[index])
        except IndexError:
            break
    slices, endless = _slices(data, tiff.pages[0]), len(further) == MAX_PAGES
    if slices > 1 or endless or any(not getattr(p, "subfiletype", 0) & REDUCED_PAGE for p in further):
        count = f"{max(slices, len(further) + 1)}{' or more' if endless else ''}"
        cause = f"it has {count} pages, which is not supported"
        raise InputError(cause, "save each page as a separate TIFF first")
    return ["the preview pages of the file are left out"] if further else []


def _slices(data: bytes, page: Any) -> int:
    """How many pictures follow each other in the data of one directory, as ImageJ and tifffile say.

    What they say is stale if the file does not hold as many.
    """
    slices = 1
    for text in (page.description, page.description1):
        if found := IMAGEJ_STACK.match(text):
            slices = int(found[1])
        elif found := SHAPE.match(text):
            slices = math.prod(int(number) for number in found[1].split(",")) // page.size
    if slices == 1 or page.compression != UNCOMPRESSED:
        return 1
    return slices if page.dataoffsets[0] + slices * page.nbytes <= len(data) else 1


def refuse_unsupported(page: Any) -> None:
    """Refuse unsupported colour models, compressions, depths and channels."""
    if name := UNSUPPORTED_COLOURS.get(page.photometric):
        raise unsupported(name, "convert the photo to RGB first")
    undecodable = page.photometric == YCBCR and page.compression != JPEG
    if undecodable or page.photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR):
        raise unsupported("a TIFF of this kind of colour", "convert the photo to RGB first")
    if page.compression not in (*KEPT_COMPRESSIONS, JPEG, WEBP):
        cause = f"a TIFF with compression {int(page.compression)}"
        raise unsupported(cause, "save it with LZW or Deflate first")
    dtype = None if page.dtype is None else page.dtype.name
    packed_depths = (1,) if page.compression == LZW else (1, 2, 4)
    packed = page.bitspersample in packed_depths and page.photometric != RGB
    if not isinstance(page.bitspersample, int):
        raise unsupported("a TIFF whose channels differ in depth", "convert it to 8 or 16 bits first")
    whole = dtype in READABLE_TYPES and page.bitspersample == 8 * page.dtype.itemsize
    if not (whole or packed):
        cause = f"a TIFF with {page.bitspersample}-bit samples of this type"
        raise unsupported(cause, "convert it to 8 or 16 bits or floating point first")
    colours = 3 if page.photometric in (RGB, YCBCR) else 1
    if page.imagedepth != 1 or page.samplesperpixel not in (colours, colours + 1):
        cause = f"a TIFF with {page.samplesperpixel} channels"
        raise unsupported(cause, "save the photo as RGB or grey with at most one alpha channel first")
    if page.photometric == PALETTE and (page.colormap is None or dtype not in ("bool", "uint8", "uint16")):
        raise damaged("its palette is missing")


def refuse_oversized(data: bytes, page: Any) -> None:
    """Refuse tiles far larger than the page, missing strips, and JPEG strips with excessive sizes.

    The header of a JPEG strip determines how much memory its decoding takes.
    """
    if page.is_tiled and page.tilewidth * page.tilelength > LARGEST_SEGMENT:
        raise damaged(f"its tiles claim {page.tilewidth}x{page.tilelength} pixels")
    if len(page.dataoffsets) < math.prod(page.chunked) or 0 in page.databytecounts:
        raise damaged("parts of the picture are missing")
    if page.compression != JPEG:
        return
    largest = max(page.imagewidth * page.imagelength, page.chunks[0] * page.chunks[1])
    strips = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if sum(length for _, length in strips) > LARGEST_OVERLAP * len(data):
        raise damaged("its strips overlap")
    claimed = 0
    for offset, length in strips:
        frame = read_layout(data[offset : offset + length]).frame
        if frame.width * frame.height > largest:
            raise damaged(f"one of its strips claims {frame.width}x{frame.height} pixels")
        claimed += frame.width * frame.height
    if claimed > LARGEST_OVERLAP * max(largest, math.prod(page.chunked) * page.chunks[0] * page.chunks[1]):
        raise damaged("its strips claim more than the picture")
