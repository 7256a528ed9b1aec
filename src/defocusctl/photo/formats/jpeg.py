"""JPEG: pixels through libjpeg-turbo, metadata by segment, written with the source's own tables."""

import io
from typing import BinaryIO

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from defocusctl.photo.formats import jpeg_metadata, left_out
from defocusctl.photo.formats import jpeg_segments as jpeg
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Decoded, JpegCoding, Metadata, Samples

LARGEST_SIDE = 65500
HIDDEN = jpeg_metadata.ICC.lower()
DEFAULT_QUALITY = 95
LARGEST_STEP = 255  # of quantisation in a baseline JPEG
FILLER = bytes(range(1, 255)) * 4
MAX_SCANS = 100
SMALLEST = 8  # libjpeg's largest divisor for scaled decoding
MISPLACED = "its compressed data are damaged (stray markers): parts of the picture may be grey or shifted"


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a baseline, extended or progressive JPEG of 8 bits, grey or in three colours."""
    layout = jpeg.read_layout(data)
    frame = layout.frame
    _refuse_unsupported(layout)
    check_size(frame.width, frame.height, max_megapixels)
    lost = left_out.after_the_end(data, layout.after)
    data = _decodable(data, layout)
    pixels = imagecodecs.jpeg8_decode(data)
    if pixels.shape[:2] != (frame.height, frame.width):
        raise damaged("its header contradicts itself")
    warnings = _check_whole(data, layout, pixels)
    pixels = pixels.reshape(frame.height, frame.width, -1)
    metadata, further = jpeg_metadata.read(layout)
    indexed = any(
        marker == jpeg.APP2 and payload.startswith(jpeg_metadata.MULTI_PICTURE)
        for marker, payload in layout.segments
    )
    if indexed and not any(name.startswith(left_out.FURTHER_PICTURES) for name in lost):
        warnings.append("only the first picture of the file is used; its other pictures are left out")
    return Decoded(pixels, None, metadata, warnings=(*warnings, *left_out.warning([*further, *lost])))


def encode(pixels: Samples, metadata: Metadata, quality: int | None, out: BinaryIO) -> None:
    """Write uint8 pixels as a baseline JPEG with its metadata.

    Without a quality, a JPEG source keeps its quantisation tables and subsampling; other sources get quality
    95 and full colour resolution.
    """
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    coding = metadata.coding if isinstance(metadata.coding, JpegCoding) else None
    if coding is None:
        image.save(buffer, "JPEG", quality=quality or DEFAULT_QUALITY, subsampling=0)
    elif quality is not None:
        image.save(buffer, "JPEG", quality=quality, subsampling=coding.subsampling, keep_rgb=coding.rgb)
    else:
        tables = [[min(step, LARGEST_STEP) for step in table] for table in coding.tables[: pixels.shape[2]]]
        image.save(buffer, "JPEG", qtables=tables, subsampling=coding.subsampling, keep_rgb=coding.rgb)
    encoded = buffer.getvalue()
    out.write(encoded[:2])
    body = 2
    if encoded[3] == jpeg.APP0:
        body = 4 + int.from_bytes(encoded[4:6], "big")
        out.write(jpeg_metadata.jfif_segment(metadata.resolution))
    for segment in jpeg_metadata.segments(metadata):
        out.write(segment)
    out.write(encoded[body:])


def _refuse_unsupported(layout: jpeg.JpegLayout) -> None:
    frame = layout.frame
    if frame.height == 0 and any(marker == jpeg.DNL for marker, _ in layout.segments):
        raise unsupported("a JPEG that gives its height after its pixels", "convert it to PNG first")
    if layout.scans > MAX_SCANS:  # each scan costs as much as the whole picture
        raise unsupported(f"a JPEG of {layout.scans} scans", "convert it to PNG first")
    if frame.marker not in (jpeg.BASELINE, jpeg.EXTENDED, jpeg.PROGRESSIVE):
        raise unsupported("lossless or arithmetic-coded JPEG", "convert it to PNG or TIFF first")
    if len(frame.components) == 4:
        raise unsupported("CMYK", "convert the photo to RGB first")
    if len(frame.components) not in (1, 3):
        raise unsupported(f"a JPEG with {len(frame.components)} colour channels", "convert it to RGB first")
    if frame.precision != 8:
        raise unsupported(f"{frame.precision}-bit JPEG", "convert it to 16-bit PNG or TIFF first")


def _decodable(data: bytes, layout: jpeg.JpegLayout) -> bytes:
    """The file in a form that libjpeg decodes: with an end marker, and without stray markers.

    At a stray marker, libjpeg would drop the rest of the picture; most likely it is a damaged 0xFF 0x00.
    """
    if layout.closing is None:
        data = data[: layout.end] + bytes((0xFF, jpeg.EOI))
    if layout.strays:
        repaired = bytearray(data)
        for position in layout.strays:
            if position + 1 < layout.end:
                repaired[position + 1] = 0
        data = bytes(repaired)
    return data


def _check_whole(data: bytes, layout: jpeg.JpegLayout, pixels: Samples) -> list[str]:
    """Refuse a truncated picture; returns warnings for other damage.

    libjpeg fills missing parts with grey. Decoding a complete picture never reads past its last block, so
    bytes added there must not change it, except where libjpeg expects a restart marker. This needs a second
    decoding, and only if libjpeg complains.
    """
    complaint = _complaint(data)
    reads_on = False
    if complaint is not None:
        stuffed = data[: layout.end] + FILLER + data[layout.end :]
        reads_on = not np.array_equal(pixels, imagecodecs.jpeg8_decode(stuffed))
    missing = layout.closing is None and (complaint or not layout.complete)
    if missing or (reads_on and layout.closing in (None, jpeg.EOI)):
        raise damaged("its last part is missing")
    warnings = ["its end marker is missing; the picture is whole"] if layout.closing is None else []
    if layout.strays or reads_on:
        warnings.append(MISPLACED)
    elif complaint:
        warnings.append(f"libjpeg warns: {complaint}; parts of the picture may be wrong")
    return warnings


def _complaint(data: bytes) -> str | None:
    """libjpeg's last warning about the data, if any; empty if TurboJPEG cannot say.

    Decodes the smallest grey picture, which still reads all of the compressed data, without ICC profiles,
    because it warns about those too.
    """
    try:
        simplejpeg.decode_jpeg(data.replace(jpeg_metadata.ICC, HIDDEN), "GRAY", min_factor=SMALLEST)
    except ValueError as error:  # "tj..." for subsamplings and the like that only libjpeg decodes
        return "" if str(error).startswith("tj") else str(error)
    return None
