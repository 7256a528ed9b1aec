"""TIFF 6.0 through tifffile: single pictures of 1 to 16 bits or floating point.

Pages are tifffile's ``TiffPage``; the numbers are those of TIFF 6.0 and its registered extensions.
"""

import io
import logging
import math
import re
import struct
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from defocusctl.errors import InputError
from defocusctl.photo import ifd
from defocusctl.photo.formats import tiff_tags as tags
from defocusctl.photo.formats.jpeg_segments import read_layout
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import (
    ASSOCIATED_ALPHA,
    UNASSOCIATED_ALPHA,
    UNSPECIFIED_ALPHA,
    Decoded,
    Metadata,
    Resolution,
    Samples,
    TiffCoding,
    full_scale,
)

REDUCED_PAGE = 1
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, tags.YCBCR
UNSUPPORTED_COLOURS = {
    4: "a transparency mask",
    5: "CMYK",
    8: "CIE L*a*b* colour",
    9: "ICC L*a*b* colour",
    10: "ITU L*a*b* colour",
    32844: "LogL",
    32845: "LogLuv colour",
}
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
ALPHA_KINDS = (UNSPECIFIED_ALPHA, ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)
PREDICTABLE = (LZW, DEFLATE, LZMA, ZSTD)
UNIT_CODES = {"none": 1, "inch": 2, "cm": 3}
UNITS = {1: "none", 2: "inch", 3: "cm"}
READ_BUFFER = 16 * 2**20
IMAGEJ_STACK = re.compile(r"(?:ImageJ|SCIFIO)=[^\0]*?\nimages=(\d{1,9})")
SHAPE = re.compile(r'\{"shape": ?\[((?:\d{1,9}, ?)*\d{1,9})\]')

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # without a handler, it writes to stderr


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a TIFF with one picture, in strips or tiles, interleaved or planar.

    Raises:
        InputError: for several pages, CMYK and other colour models, unusual depths, or a file that is broken,
            truncated or above the limit.
    """
    import tifffile

    _refuse_overlapping_tags(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength, max_megapixels)
        warnings = _refuse_several_pages(data, tiff)
        _refuse_unsupported(page)
        _refuse_oversized(data, page)
        stored = _stored(data, page)
        directory = tags.read(data, page)
        samples = _palette_colours(stored, page) if page.photometric == PALETTE else _full_range(stored, page)
        alpha_code = int(page.extrasamples[0]) if page.extrasamples else UNSPECIFIED_ALPHA
        coding = TiffCoding(
            byte_order="<" if tiff.byteorder == "<" else ">",
            compression=int(page.compression),
            predictor=int(page.predictor),
            dtype=samples.dtype.name,
            alpha=alpha_code if alpha_code in ALPHA_KINDS else UNSPECIFIED_ALPHA,
            tags=directory.other,
        )
        resolution = _resolution(page)
        colours_count = 1 if page.photometric in (MIN_IS_WHITE, MIN_IS_BLACK) else 3
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32)
    alpha = samples[:, :, colours_count] if samples.shape[2] > colours_count else None
    metadata = Metadata(directory.icc, directory.exif, directory.xmp, resolution, coding)
    if coding.compression not in KEPT_COMPRESSIONS:
        warnings.append("its compression is replaced by lossless Deflate")
    pixels, notes = samples[:, :, :colours_count], (*warnings, *directory.warnings)
    associated = coding.alpha == ASSOCIATED_ALPHA
    return Decoded(pixels, alpha, metadata, directory.orientation, notes, associated)


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write pixels (H, W, C) and alpha (H, W) with the compression and sample type of a TIFF source.

    Other sources get Deflate. ``out`` must be seekable and readable.
    """
    import tifffile

    coding = metadata.coding if isinstance(metadata.coding, TiffCoding) else None
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    if coding is not None and np.dtype(coding.dtype).kind == samples.dtype.kind == "f":
        samples = samples.astype(coding.dtype)
    grey = pixels.shape[2] == 1
    compression = KEPT_COMPRESSIONS.get(coding.compression, DEFLATE) if coding else DEFLATE
    predictor = compression in PREDICTABLE and (coding is None or coding.predictor != 1)
    if samples.dtype == np.float64:
        predictor = False
    carried = tags.Carried.of(metadata)
    resolution = metadata.resolution
    if resolution is not None and resolution.unit == "m":
        resolution = Resolution(resolution.x / 100, resolution.y / 100, "cm")
    with tifffile.TiffWriter(out, byteorder=carried.byte_order) as writer:
        writer.write(
            samples[:, :, 0] if samples.shape[2] == 1 else samples,
            photometric="minisblack" if grey else "rgb",
            planarconfig=None if samples.shape[2] == 1 else "contig",
            extrasamples=None if alpha is None else [coding.alpha if coding else UNASSOCIATED_ALPHA],
            compression=compression,
            predictor=predictor,
            metadata=None,
            software=False,
            resolution=(resolution.x, resolution.y) if resolution else None,
            resolutionunit=UNIT_CODES[resolution.unit] if resolution else None,
            iccprofile=metadata.icc,
            extratags=[(tags.XMP, 1, len(metadata.xmp), metadata.xmp, True)] if metadata.xmp else (),
            maxworkers=1,
        )
    carried.append_to(out)


def _refuse_overlapping_tags(data: bytes) -> None:
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


def _refuse_several_pages(data: bytes, tiff: Any) -> list[str]:
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
        raise InputError(
            f"it has {count} pages, which is not supported", "save each page as a separate TIFF first"
        )
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


def _refuse_unsupported(page: Any) -> None:
    """Refuse unsupported colour models, compressions, depths and channels."""
    if name := UNSUPPORTED_COLOURS.get(page.photometric):
        raise unsupported(name, "convert the photo to RGB first")
    if page.compression not in (*KEPT_COMPRESSIONS, JPEG, WEBP):
        raise unsupported(
            f"a TIFF with compression {int(page.compression)}", "save it with LZW or Deflate first"
        )
    if page.photometric == YCBCR and page.compression != JPEG:
        raise unsupported("a TIFF with YCbCr colour", "convert the photo to RGB first")
    if page.photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR):
        raise unsupported("a TIFF of this kind of colour", "convert the photo to RGB first")
    dtype = None if page.dtype is None else page.dtype.name
    packed_depths = (1,) if page.compression == LZW else (1, 2, 4)
    packed = page.bitspersample in packed_depths and page.photometric != RGB
    if not isinstance(page.bitspersample, int):
        raise unsupported("a TIFF whose channels differ in depth", "convert it to 8 or 16 bits first")
    whole = dtype in READABLE_TYPES and page.bitspersample == 8 * page.dtype.itemsize
    if not (whole or packed):
        raise unsupported(
            f"a TIFF with {page.bitspersample}-bit samples of this type",
            "convert it to 8 or 16 bits or floating point first",
        )
    colours = 3 if page.photometric in (RGB, YCBCR) else 1
    if page.imagedepth != 1 or page.samplesperpixel not in (colours, colours + 1):
        raise unsupported(
            f"a TIFF with {page.samplesperpixel} channels",
            "save the photo as RGB or grey with at most one alpha channel first",
        )
    if page.photometric == PALETTE and (page.colormap is None or dtype not in ("bool", "uint8", "uint16")):
        raise damaged("its palette is missing")


def _refuse_oversized(data: bytes, page: Any) -> None:
    """Refuse tiles far larger than the page, missing strips, and JPEG strips with excessive sizes.

    The header of a JPEG strip determines how much memory its decoding takes. Some programs leave the length
    of a single uncompressed strip at 0.
    """
    if page.compression == UNCOMPRESSED and page.databytecounts == (0,):
        row = -(-page.imagewidth * page.samplesperpixel * page.bitspersample // 8)
        page.databytecounts = (row * page.imagelength,)
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


def _stored(data: bytes, page: Any) -> Samples:
    """The samples as stored, (H, W, samples per pixel).

    LZW is decoded by libtiff: tifffile's decoder reads outside its tables on damaged data and can crash the
    program.
    """
    stored: Samples
    if page.compression == LZW:
        stored = imagecodecs.tiff_decode(data).reshape(page.shaped)
    else:
        stored = page.asarray(squeeze=False, maxworkers=1, buffersize=READ_BUFFER)
    planes, _, height, width, count = stored.shape
    return stored[:, 0].transpose(1, 2, 0, 3).reshape(height, width, planes * count)


def _full_range(samples: Samples, page: Any) -> Samples:
    """The samples in native byte order, white at full scale, black at 0."""
    if page.bitspersample in (1, 2, 4):
        samples = samples.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if page.photometric == MIN_IS_WHITE:
        inverted = samples.copy()
        inverted[:, :, 0] = full_scale(samples.dtype) - samples[:, :, 0]
        return inverted
    return samples


def _palette_colours(indices: Samples, page: Any) -> Samples:
    """The colours and, if any, the alpha of a palette picture as (H, W, C).

    They have 8 bits if that is enough for the palette.
    """
    table = np.ascontiguousarray(page.colormap.T).astype(np.uint16)
    if not (table & 0xFF).any() or not (table % 257).any():
        table = (table >> 8).astype(np.uint8)
    colours: Samples = table[indices[:, :, 0].astype(np.intp)]
    if indices.shape[2] == 1:
        return colours
    share = full_scale(table.dtype) / (2**page.bitspersample - 1)
    return np.dstack([colours, np.rint(indices[:, :, 1] * share).astype(table.dtype)])


def _resolution(page: Any) -> Resolution | None:
    sides = []
    for code in (282, 283):
        value = page.tags.valueof(code)
        if not isinstance(value, tuple) or len(value) != 2 or 0 in value:
            return None
        sides.append(value[0] / value[1])
    unit = UNITS.get(page.tags.valueof(296), "inch")
    if unit == "none" and sides == [1.0, 1.0]:
        return None
    return Resolution(sides[0], sides[1], unit)  # type: ignore[arg-type]
