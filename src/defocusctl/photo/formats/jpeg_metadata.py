"""Metadata of a JPEG by segment: JFIF, EXIF, XMP, ICC profile, and segments that are copied unchanged."""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from defocusctl.photo import embedded_pictures, exif, extended_xmp, photoshop, xmp
from defocusctl.photo.formats import jpeg_segments as jpeg
from defocusctl.photo.formats import left_out
from defocusctl.photo.model import JpegCoding, Metadata, Resolution, TiffCoding

BLOCK_STARTS = (b"II*\0", b"MM\0*")
ICC = b"ICC_PROFILE\0"
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
    exif.HEADER[:5]: "a second EXIF block",
    xmp.HEADER: "a second XMP packet",
    b"FLIR\0": "thermal data",
    b"JP": "Content Credentials or other JUMBF data",
    b"FPXR\0": "FlashPix data",
    b"urn:iso:std:iso:ts:21496": "gain map data",
}

ICC_PART = jpeg.LARGEST_PAYLOAD - len(ICC) - 2
LARGEST_ICC = 255 * ICC_PART
LARGEST_EXIF = jpeg.LARGEST_PAYLOAD - len(exif.HEADER)
LARGEST_XMP = jpeg.LARGEST_PAYLOAD - len(xmp.HEADER)
SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
UNITS = {"none": 0, "inch": 1, "m": 1, "cm": 2}


def read(layout: jpeg.JpegLayout) -> tuple[Metadata, list[str]]:
    """The metadata to keep, and the names of what is left out."""
    packet = resolution = None
    blocks: list[bytes] = []
    profile: list[bytes] = []
    kept, lost = [], []
    adobe_transform = None
    previews = _previews(layout.segments)
    for number, (marker, payload) in enumerate(layout.segments):
        if marker == jpeg.APP0 and payload.startswith(JFIF):
            resolution = _jfif_resolution(payload)
        elif marker == jpeg.APP1 and payload.startswith(exif.HEADER[:5]) and _continues(blocks, payload):
            blocks.append(payload[len(exif.HEADER) :])
        elif marker == jpeg.APP1 and payload.startswith(xmp.HEADER) and packet is None:
            packet = payload[len(xmp.HEADER) :]
        elif marker == jpeg.APP2 and payload.startswith(ICC) and len(payload) > len(ICC) + 2:
            profile.append(payload[len(ICC) :])
        elif marker == jpeg.APP14 and payload.startswith(ADOBE) and len(payload) >= 12:
            adobe_transform = payload[11]
        elif payload.startswith(CARRIED.get(marker, ())) and number not in previews:
            kept.append((marker, payload))
        elif marker != jpeg.DNL and not payload.startswith(SILENT):
            lost.append(_name(marker, payload, number in previews))
    if layout.further:
        lost.append(f"{layout.further:,} segments beyond the first {jpeg.MAX_SEGMENTS:,}")
    coding = _coding(layout, adobe_transform, tuple(kept))
    metadata = Metadata(
        icc=_joined(profile), exif=b"".join(blocks) or None, xmp=packet, resolution=resolution, coding=coding
    )
    return metadata, lost


def _previews(segments: Sequence[tuple[int, bytes]]) -> set[int]:
    """The numbers of the segments that hold a picture, most likely a preview, or a part of one.

    EXIF and Photoshop's resources are cleaned later.
    """
    found: set[int] = set()
    alike: dict[int, list[int]] = {}
    for number, (marker, payload) in enumerate(segments):
        if not payload.startswith((exif.HEADER[:5], *photoshop.HEADERS)):
            alike.setdefault(marker, []).append(number)
            if embedded_pictures.is_encoded(payload):
                found.add(number)
    for numbers in alike.values():
        payloads = [segments[number][1] for number in numbers]
        ends = list(accumulate(map(len, payloads)))
        for start, end in embedded_pictures.binary_spans(b"".join(payloads)):
            found.update(numbers[bisect_right(ends, start) : bisect_left(ends, end) + 1])
    return found


def _continues(blocks: list[bytes], payload: bytes) -> bool:
    """Whether a segment is the first part of the EXIF block, or a continuation of it."""
    return not blocks or payload[len(exif.HEADER) : len(exif.HEADER) + 4] not in BLOCK_STARTS


def _joined(parts: list[bytes]) -> bytes | None:
    """The ICC profile from its parts, in any order; each begins with its number and the count.

    Some programs write the profile twice. The first part determines the count.
    """
    numbered: dict[int, bytes] = {}
    for part in parts:
        if part[1] == parts[0][1]:
            numbered.setdefault(part[0], part[2:])
    return b"".join(numbered[number] for number in sorted(numbered)) or None


def _name(marker: int, payload: bytes, shows_preview: bool) -> str:
    """The name of a segment that is left out, for the warning."""
    segment = f"APP{marker - jpeg.APP0}" if marker < jpeg.APP0 + 16 else f"segment {marker:02X}"
    if marker == jpeg.COM:
        segment = "comment"
    known = next((words for head, words in KNOWN.items() if payload.startswith(head)), None)
    if known is None and shows_preview:
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


def jfif_segment(resolution: Resolution | None) -> bytes:
    """The segment that every JPEG in grey or YCbCr begins with."""
    unit, x, y = 0, 1, 1
    if resolution is not None:
        dots = resolution.per("inch") if resolution.unit == "m" else None
        sides = [round(side) for side in dots or (resolution.x, resolution.y)]
        if all(1 <= side <= 65535 for side in sides):
            unit, (x, y) = UNITS[resolution.unit], sides
    return jpeg.write_segment(jpeg.APP0, struct.pack(">5sHBHHBB", JFIF, 0x0102, unit, x, y, 0, 0))


def segments(metadata: Metadata) -> list[bytes]:
    """The segments that hold the metadata, and those to copy."""
    written = []
    block = metadata.exif or b""
    for start in range(0, len(block), LARGEST_EXIF):  # split as by ExifTool and Pillow
        written.append(jpeg.write_segment(jpeg.APP1, exif.HEADER + block[start : start + LARGEST_EXIF]))
    if metadata.xmp is not None:
        packet, extended = extended_xmp.fit(metadata.xmp, LARGEST_XMP)
        parts = [xmp.HEADER + packet, *extended_xmp.parts_of(extended or b"", jpeg.LARGEST_PAYLOAD)]
        written += [jpeg.write_segment(jpeg.APP1, part) for part in parts]
    icc = metadata.icc or b""
    profile = [icc[start : start + ICC_PART] for start in range(0, len(icc), ICC_PART)]
    for number, part in enumerate(profile, start=1):
        written.append(jpeg.write_segment(jpeg.APP2, ICC + bytes((number, len(profile))) + part))
    copied: tuple[tuple[int, bytes], ...] = ()
    if isinstance(metadata.coding, JpegCoding):
        copied = metadata.coding.segments
    elif isinstance(metadata.coding, TiffCoding):
        copied = photoshop.as_segments(metadata.coding)
    return written + [jpeg.write_segment(marker, payload) for marker, payload in copied]
