"""TIFF 6.0 through tifffile: single pictures of 1 to 16 bits or floating point.

Pages are tifffile's ``TiffPage``; the numbers are those of TIFF 6.0 and its registered extensions.
"""

import io
import logging
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from defocusctl.photo.formats import tiff_checks as checks
from defocusctl.photo.formats import tiff_tags as tags
from defocusctl.photo.header import check_size
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

ALPHA_KINDS = (UNSPECIFIED_ALPHA, ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)
PREDICTABLE = (checks.LZW, checks.DEFLATE, checks.LZMA, checks.ZSTD)
UNIT_CODES = {"none": 1, "inch": 2, "cm": 3}
READ_BUFFER = 16 * 2**20

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # without a handler, it writes to stderr


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a TIFF with one picture, in strips or tiles, interleaved or planar."""
    import tifffile

    checks.refuse_overlapping_tags(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength, max_megapixels)
        warnings = checks.refuse_several_pages(data, tiff)
        checks.refuse_unsupported(page)
        if page.compression == checks.UNCOMPRESSED and page.databytecounts == (0,):  # some leave it at 0
            row = -(-page.imagewidth * page.samplesperpixel * page.bitspersample // 8)
            page.databytecounts = (row * page.imagelength,)
        checks.refuse_oversized(data, page)
        stored = _stored(data, page)
        directory = tags.read(data, page)
        indexed = page.photometric == checks.PALETTE
        samples = _palette_colours(stored, page) if indexed else _full_range(stored, page)
        alpha_code = int(page.extrasamples[0]) if page.extrasamples else UNSPECIFIED_ALPHA
        coding = TiffCoding(
            byte_order="<" if tiff.byteorder == "<" else ">",
            compression=int(page.compression),
            predictor=int(page.predictor),
            dtype=samples.dtype.name,
            alpha=alpha_code if alpha_code in ALPHA_KINDS else UNSPECIFIED_ALPHA,
            tags=directory.other,
        )
        colours_count = 1 if page.photometric in (checks.MIN_IS_WHITE, checks.MIN_IS_BLACK) else 3
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32)
    alpha = samples[:, :, colours_count] if samples.shape[2] > colours_count else None
    metadata = Metadata(directory.icc, directory.exif, directory.xmp, coding=coding)
    if coding.compression not in checks.KEPT_COMPRESSIONS:
        warnings.append("its compression is replaced by lossless Deflate")
    pixels, notes = samples[:, :, :colours_count], (*warnings, *directory.warnings)
    associated = coding.alpha == ASSOCIATED_ALPHA
    return Decoded(pixels, alpha, metadata, directory.orientation, notes, associated)


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write pixels with the compression and sample type of a TIFF source.

    Other sources get Deflate. ``out`` must be seekable and readable.
    """
    import tifffile

    coding = metadata.coding if isinstance(metadata.coding, TiffCoding) else None
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    if coding is not None and np.dtype(coding.dtype).kind == samples.dtype.kind == "f":
        samples = samples.astype(coding.dtype)
    grey = pixels.shape[2] == 1
    stored_as = coding.compression if coding else checks.DEFLATE
    compression = checks.KEPT_COMPRESSIONS.get(stored_as, checks.DEFLATE)
    predictor = compression in PREDICTABLE and (coding is None or coding.predictor != 1)
    if samples.dtype == np.float64:
        predictor = False
    byte_order, main, subs = tags.carried(metadata)
    resolution = metadata.resolution
    if resolution is not None and resolution.unit == "m":
        resolution = Resolution(resolution.x / 100, resolution.y / 100, "cm")
    with tifffile.TiffWriter(out, byteorder=byte_order) as writer:
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
    tags.append(out, byte_order, main, subs)


def _stored(data: bytes, page: Any) -> Samples:
    """The samples as stored, (H, W, samples per pixel).

    LZW is decoded by libtiff: tifffile's decoder reads outside its tables on damaged data and can crash the
    program.
    """
    stored: Samples
    if page.compression == checks.LZW:
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
    if page.photometric == checks.MIN_IS_WHITE:
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
