"""JPEG: pixels through libjpeg-turbo, metadata by segment, written with the source's own tables."""

import io
import struct
from typing import BinaryIO

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from defocusctl.errors import InputError
from defocusctl.photo import embedded_pictures, extended_xmp, photoshop
from defocusctl.photo.formats import jpeg_segments as jpeg
from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, damaged
from defocusctl.photo.model import Decoded, JpegCoding, Metadata, Resolution, Samples

EXIF = b"Exif\0\0"
BLOCK_STARTS = (b"II*\0", b"MM\0*")
XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC = b"ICC_PROFILE\0"
HIDDEN = ICC.lower()
JFIF = b"JFIF\0"
ADOBE = b"Adobe"
MULTI_PICTURE = b"MPF\0"
SILENT = (b"JFXX\0", MULTI_PICTURE)  # a preview of the original; pictures with a separate warning
CARRIED = {  # marker -> starts of payloads
    jpeg.APP1: (extended_xmp.HEADER,),
    jpeg.APP3: (b"Meta\0", b"META\0"),
    **dict.fromkeys((jpeg.APP12, jpeg.APP13, jpeg.COM), (b"",)),
}
KNOWN = {
    EXIF[:5]: "a second EXIF block",
    XMP: "a second XMP packet",
    b"FLIR\0": "thermal data",
    b"JP": "Content Credentials or other JUMBF data",
    b"FPXR\0": "FlashPix data",
    b"urn:iso:std:iso:ts:21496": "gain map data",
}

ICC_PART = jpeg.LARGEST_PAYLOAD - len(ICC) - 2
LARGEST_EXIF = jpeg.LARGEST_PAYLOAD - len(EXIF)
LARGEST_XMP = jpeg.LARGEST_PAYLOAD - len(XMP)
LARGEST_SIDE = 65500
DEFAULT_QUALITY = 95
SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
FILLER = bytes(range(1, 255)) * 4
END = bytes((0xFF, jpeg.EOI))
MAX_SCANS = 100
SMALLEST = 8  # libjpeg's largest divisor for scaled decoding
TURBO_JPEG = "tj"  # the start of TurboJPEG's own errors, such as for subsamplings that only libjpeg decodes
MISPLACED = "its compressed data are damaged (stray markers): parts of the picture may be grey or shifted"


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a baseline, extended or progressive JPEG of 8 bits, grey or in three colours.

    Raises:
        InputError: for CMYK and other kinds, or a file that is broken, truncated or above the limit.
    """
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
    metadata, further = _metadata(layout)
    if any(payload.startswith(MULTI_PICTURE) for marker, payload in layout.segments if marker == jpeg.APP2):
        warnings.append("only the first picture of the file is used; its other pictures are left out")
    return Decoded(pixels, None, metadata, warnings=(*warnings, *left_out.warning([*further, *lost])))


def encode(pixels: Samples, metadata: Metadata, quality: int | None, out: BinaryIO) -> None:
    """Write uint8 pixels (H, W, C) as a baseline JPEG with its metadata.

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
        tables = [list(table) for table in coding.tables[: pixels.shape[2]]]
        image.save(buffer, "JPEG", qtables=tables, subsampling=coding.subsampling, keep_rgb=coding.rgb)
    encoded = buffer.getbuffer()
    out.write(encoded[:2])
    body = 2
    if encoded[3] == jpeg.APP0:
        body = 4 + int.from_bytes(encoded[4:6], "big")
        out.write(_jfif_segment(metadata.resolution))
    for segment in _metadata_segments(metadata, coding):
        out.write(segment)
    out.write(encoded[body:])


def _refuse_unsupported(layout: jpeg.JpegLayout) -> None:
    frame = layout.frame
    if frame.height == 0 and any(marker == jpeg.DNL for marker, _ in layout.segments):
        raise InputError(
            "a JPEG that gives its height after its pixels is not supported", "convert it to PNG first"
        )
    if layout.scans > MAX_SCANS:  # each scan costs as much as the whole picture
        raise InputError(f"a JPEG of {layout.scans} scans is not supported", "convert it to PNG first")
    if frame.marker not in (jpeg.BASELINE, jpeg.EXTENDED, jpeg.PROGRESSIVE):
        raise InputError(
            "lossless or arithmetic-coded JPEG is not supported", "convert it to PNG or TIFF first"
        )
    if len(frame.components) == 4:
        raise InputError("CMYK is not supported", "convert the photo to RGB first")
    if len(frame.components) not in (1, 3):
        raise InputError(
            f"a JPEG with {len(frame.components)} colour channels is not supported", "convert it to RGB first"
        )
    if frame.precision != 8:
        raise InputError(
            f"{frame.precision}-bit JPEG is not supported", "convert it to 16-bit PNG or TIFF first"
        )


def _decodable(data: bytes, layout: jpeg.JpegLayout) -> bytes:
    """The file in a form that libjpeg decodes: with an end marker, and without stray markers.

    At a stray marker, libjpeg would drop the rest of the picture; most likely it is a damaged 0xFF 0x00.
    """
    if layout.closing is None:
        data = data[: layout.end] + END
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
    bytes added there must not change it. This needs a second decoding, and only if libjpeg complains.
    """
    complaint = _complaint(data)
    reads_on = False
    if complaint is not None:
        stuffed = data[: layout.end] + FILLER + data[layout.end :]
        reads_on = not np.array_equal(pixels, imagecodecs.jpeg8_decode(stuffed))
    missing = layout.closing is None and not layout.complete
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
        simplejpeg.decode_jpeg(data.replace(ICC, HIDDEN), "GRAY", min_factor=SMALLEST)
    except ValueError as error:
        return "" if str(error).startswith(TURBO_JPEG) else str(error)
    return None


def _metadata(layout: jpeg.JpegLayout) -> tuple[Metadata, list[str]]:
    """The metadata to keep, and the names of what is left out."""
    xmp = resolution = None
    exif: list[bytes] = []
    profile: list[bytes] = []
    kept, lost = [], []
    adobe_transform = None
    for marker, payload in layout.segments:
        if marker == jpeg.APP0 and payload.startswith(JFIF):
            resolution = _jfif_resolution(payload)
        elif marker == jpeg.APP1 and payload.startswith(EXIF[:5]) and _continues(exif, payload):
            exif.append(payload[len(EXIF) :])
        elif marker == jpeg.APP1 and payload.startswith(XMP) and xmp is None:
            xmp = payload[len(XMP) :]
        elif marker == jpeg.APP2 and payload.startswith(ICC) and len(payload) > len(ICC) + 2:
            profile.append(payload[len(ICC) :])
        elif marker == jpeg.APP14 and payload.startswith(ADOBE) and len(payload) >= 12:
            adobe_transform = payload[11]
        elif payload.startswith(CARRIED.get(marker, ())) and not _shows_old_picture(marker, payload):
            kept.append((marker, payload))
        elif marker != jpeg.DNL and not payload.startswith(SILENT):
            lost.append(_name(marker, payload))
    if layout.further:
        lost.append(f"{layout.further:,} segments beyond the first {jpeg.MAX_SEGMENTS:,}")
    coding = _coding(layout, adobe_transform, tuple(kept))
    metadata = Metadata(
        icc=_joined(profile), exif=b"".join(exif) or None, xmp=xmp, resolution=resolution, coding=coding
    )
    return metadata, lost


def _shows_old_picture(marker: int, payload: bytes) -> bool:
    """Whether a segment holds a picture, most likely a preview; Photoshop's resources are cleaned later."""
    resources = marker == jpeg.APP13 and payload.startswith(photoshop.HEADERS)
    return not resources and bool(embedded_pictures.spans(payload))


def _continues(exif: list[bytes], payload: bytes) -> bool:
    """Whether a segment is the first part of the EXIF block, or a continuation of it."""
    return not exif or payload[len(EXIF) : len(EXIF) + 4] not in BLOCK_STARTS


def _joined(parts: list[bytes]) -> bytes | None:
    """The ICC profile from its parts, in any order; each begins with its number and the count.

    Some programs write the profile twice. The first part determines the count.
    """
    numbered: dict[int, bytes] = {}
    for part in parts:
        if part[1] == parts[0][1]:
            numbered.setdefault(part[0], part[2:])
    return b"".join(numbered[number] for number in sorted(numbered)) or None


def _name(marker: int, payload: bytes) -> str:
    """The name of a segment that is left out, for the warning."""
    segment = f"APP{marker - jpeg.APP0}" if marker < jpeg.APP0 + 16 else f"segment {marker:02X}"
    if marker == jpeg.COM:
        segment = "comment"
    known = next((words for head, words in KNOWN.items() if payload.startswith(head)), None)
    if known is None and embedded_pictures.spans(payload):
        known = "a preview"
    return f"{known} ({segment})" if known else f"{segment} data '{left_out.printable(payload)}'"


def _coding(
    layout: jpeg.JpegLayout, adobe_transform: int | None, segments: tuple[tuple[int, bytes], ...]
) -> JpegCoding | None:
    components = layout.frame.components
    if any(component.table not in layout.tables for component in components):
        return None
    tables = [layout.tables[component.table] for component in components]
    if any(min(table) < 1 for table in tables):
        return None
    identifiers = bytes(component.identifier for component in components)
    rgb = len(components) == 3 and (adobe_transform == 0 or identifiers == b"RGB")
    sampling = {(component.horizontal, component.vertical) for component in components[1:]}
    luma = (components[0].horizontal, components[0].vertical)
    subsampling = SUBSAMPLING.get(luma, 0) if sampling == {(1, 1)} and not rgb else 0
    return JpegCoding(tuple(tables), subsampling, rgb, segments)


def _jfif_resolution(payload: bytes) -> Resolution | None:
    if len(payload) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", payload, 7)
    names = {1: "inch", 2: "cm"}
    if not (x and y) or (unit not in names and x == y):
        return None
    return Resolution(x, y, names.get(unit, "none"))  # type: ignore[arg-type]


def _jfif_segment(resolution: Resolution | None) -> bytes:
    unit, x, y = 0, 1, 1
    if resolution is not None:
        dots = resolution.per("inch")
        if resolution.unit == "cm":
            unit, dots = 2, (resolution.x, resolution.y)
        elif dots is not None:
            unit = 1
        sides = [round(side) for side in (dots or (resolution.x, resolution.y))]
        if all(1 <= side <= 65535 for side in sides):
            x, y = sides
        else:
            unit = 0
    return jpeg.write_segment(jpeg.APP0, struct.pack(">5sHBHHBB", JFIF, 0x0102, unit, x, y, 0, 0))


def _metadata_segments(metadata: Metadata, coding: JpegCoding | None) -> list[bytes]:
    segments = []
    exif = metadata.exif or b""
    for start in range(0, len(exif), LARGEST_EXIF):  # split as by ExifTool and Pillow
        segments.append(jpeg.write_segment(jpeg.APP1, EXIF + exif[start : start + LARGEST_EXIF]))
    if metadata.xmp is not None:
        packet, extended = extended_xmp.fit(metadata.xmp, LARGEST_XMP)
        parts = [XMP + packet, *extended_xmp.parts_of(extended or b"", jpeg.LARGEST_PAYLOAD)]
        segments += [jpeg.write_segment(jpeg.APP1, part) for part in parts]
    icc = metadata.icc or b""
    profile = [icc[start : start + ICC_PART] for start in range(0, len(icc), ICC_PART)]
    for number, part in enumerate(profile, start=1):
        segments.append(jpeg.write_segment(jpeg.APP2, ICC + bytes((number, len(profile))) + part))
    if coding is not None:
        segments += [jpeg.write_segment(marker, payload) for marker, payload in coding.segments]
    return segments
