"""Photoshop's image resources (8BIM), wherever files embed them, without what no longer fits the picture.

Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from defocusctl.photo import embedded_pictures, ifd
from defocusctl.photo.formats import jpeg_segments
from defocusctl.photo.formats.png_text import edited_photoshop
from defocusctl.photo.model import Coding, JpegCoding, PngCoding, TiffCoding, TiffTag
from defocusctl.photo.reframing import Reframing

SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
HEADERS = (b"Photoshop 3.0\0", b"Adobe_Photoshop2.5:\0")
MAX_RESOURCES = 20_000
PREVIEWS = frozenset((0x0409, 0x040C))
IPTC = 0x0404
PHOTOSHOP_TAG, IPTC_TAG = 34377, 33723  # of TIFF
IPTC_MARK = 0x1C
IPTC_PREVIEW, IPTC_ORIENTATION = ((2, 200), (2, 201), (2, 202)), (2, 131)  # by record and number
EXIF, XMP = (0x0422, 0x0423), 0x0424
RESOLUTION, SIDE = 0x03ED, 8  # resolution and units along x, then along y
COORDINATES = {0x0408: "guides", 0x041A: "slices", **dict.fromkeys(range(0x07D0, 0x0BB8), "paths")}


@dataclass
class Removed:
    """What cleaning takes out: names for a warning, and the EXIF blocks and XMP packets, for other use."""

    names: list[str] = field(default_factory=list)
    exif: list[bytes] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)


class Resource(NamedTuple):
    """One resource: its number, the bytes before the length of its data, the data, and all bytes of it."""

    number: int
    head: bytes
    data: bytes
    whole: bytes


def cleaned(resources: bytes, reframing: Reframing | None, removed: Removed) -> bytes:
    """The resources without previews, EXIF and XMP; with ``reframing``, for the rotated or cropped picture.

    Coordinates are then left out. Their names and that of unreadable data are added to ``removed``.
    """
    kept = []
    found = list(islice(_resources(resources), MAX_RESOURCES))
    for resource in found:
        if resource.number in EXIF:
            removed.exif.append(resource.data)
        elif resource.number == XMP:
            removed.xmp.append(resource.data)
        elif reframing is not None and (name := COORDINATES.get(resource.number)):
            removed.names.append(f"Photoshop {name}")
        elif resource.number not in PREVIEWS:
            kept.append(_kept(resource, reframing, removed))
    if resources[sum(len(resource.whole) for resource in found) :].strip(b"\0"):
        most = len(found) == MAX_RESOURCES
        removed.names.append(
            f"Photoshop data beyond {MAX_RESOURCES:,} resources" if most else "broken Photoshop data"
        )
    return b"".join(kept)


def cleaned_coding(coding: Coding | None, reframing: Reframing | None, removed: Removed) -> Coding | None:
    """The coding with the Photoshop resources in it cleaned by ``cleaned``, and no other previews."""
    if isinstance(coding, JpegCoding):
        segments = coding.segments
        for head in HEADERS:
            segments = _resources_of_segments(segments, head, reframing, removed)
        return replace(coding, segments=segments)
    if isinstance(coding, TiffCoding):
        tags = []
        for tag in coding.tags:
            if tag.code in (PHOTOSHOP_TAG, IPTC_TAG):
                clean = cleaned if tag.code == PHOTOSHOP_TAG else cleaned_iptc
                content = clean(tag.value, reframing, removed)
                size = ifd.KIND_BYTES[tag.kind]  # the units of IPTC data may be several bytes
                content += bytes(-len(content) % size)
                tag = TiffTag(tag.code, tag.kind, len(content) // size, content)
            else:
                tag = replace(tag, value=embedded_pictures.blanked(tag.value))
            if tag.value:
                tags.append(tag)
        return replace(coding, tags=tuple(tags))
    if isinstance(coding, PngCoding):
        return _resources_of_chunks(coding, reframing, removed)
    return coding


def as_tags(coding: JpegCoding) -> dict[int, TiffTag]:
    """A JPEG's Photoshop resources, and the IPTC data among them, as tags of a TIFF by code."""
    resources = _joined(coding.segments, HEADERS[0])
    iptc = b"".join(each.data for each in _resources(resources) if each.number == IPTC)
    contents = {PHOTOSHOP_TAG: resources, IPTC_TAG: iptc}
    return {code: TiffTag(code, 1, len(content), content) for code, content in contents.items() if content}


def as_segments(coding: TiffCoding) -> tuple[tuple[int, bytes], ...]:
    """A TIFF's Photoshop resources as segments of a JPEG, with its IPTC data unless they hold some."""
    contents = {tag.code: tag.value for tag in coding.tags}
    resources, iptc = contents.get(PHOTOSHOP_TAG, b""), contents.get(IPTC_TAG, b"")
    if iptc and not any(each.number == IPTC for each in _resources(resources)):
        head = SIGNATURES[0] + struct.pack(">HHI", IPTC, 0, len(iptc))
        resources += head + iptc + bytes(len(iptc) % 2)
    return tuple((jpeg_segments.APP13, part) for part in _split(resources, HEADERS[0]))


def cleaned_iptc(data: bytes, reframing: Reframing | None, removed: Removed) -> bytes:
    """IPTC data (IIM 4) without their preview; everything after a broken part is unchanged.

    With ``reframing``, they are without their orientation too (portrait, landscape or square).
    """
    kept, position = [], 0
    while len(data) >= position + 5 and data[position] == IPTC_MARK:
        start, field = position, (data[position + 1], data[position + 2])
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        position += 5
        if length & 0x8000:  # extended: the length of the length
            wide = length & 0x7FFF
            length = int.from_bytes(data[position : position + wide], "big")
            position += wide
        position += length
        if position > len(data):
            position = start
            break
        if field == IPTC_ORIENTATION and reframing is not None:
            removed.names.append("IPTC's orientation")
        elif field not in IPTC_PREVIEW:
            kept.append(data[start:position])
    return b"".join([*kept, data[position:]])


def _kept(resource: Resource, reframing: Reframing | None, removed: Removed) -> bytes:
    """A resource, unchanged except for pictures in it, IPTC data and the sides of a resolution."""
    data = resource.data
    if resource.number == IPTC:
        data = cleaned_iptc(data, reframing, removed)
    data = embedded_pictures.blanked(data)
    if resource.number == RESOLUTION and reframing is not None and reframing.swaps_sides:
        data = data[SIDE : 2 * SIDE] + data[:SIDE] + data[2 * SIDE :]
    if data == resource.data:
        return resource.whole
    return resource.head + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


def _resources(resources: bytes) -> Iterator[Resource]:
    """The resources up to the first broken one: signature, number, padded name, length, padded data."""
    position = 0
    while resources[position : position + 4] in SIGNATURES and position + 12 <= len(resources):
        number = int.from_bytes(resources[position + 4 : position + 6], "big")
        name = 1 + resources[position + 6]
        start = position + 6 + name + name % 2
        length = int.from_bytes(resources[start : start + 4], "big")
        end = start + 4 + length
        if end > len(resources):
            return
        whole = resources[position : end + length % 2]
        yield Resource(number, resources[position:start], resources[start + 4 : end], whole)
        position += len(whole)


def _resources_of_chunks(coding: PngCoding, reframing: Reframing | None, removed: Removed) -> PngCoding:
    """Clean the Photoshop resources in a PNG's text chunks, as ImageMagick writes them."""

    def clean(resources: bytes) -> bytes:
        if resources[:1] == bytes([IPTC_MARK]):  # bare IPTC data, not inside Photoshop resources
            return cleaned_iptc(resources, reframing, removed)
        if not resources:
            removed.names.append("broken Photoshop data")
        return cleaned(resources, reframing, removed)

    chunks = [edited_photoshop(chunk, clean) for chunk in coding.chunks]
    return PngCoding(tuple(chunk for chunk in chunks if chunk is not None))


def _resources_of_segments(
    segments: tuple[tuple[int, bytes], ...], head: bytes, reframing: Reframing | None, removed: Removed
) -> tuple[tuple[int, bytes], ...]:
    """Clean the Photoshop resources after ``head`` in a JPEG's segments, in which they may continue."""
    resources = _joined(segments, head)
    content = cleaned(resources, reframing, removed)
    if content == resources:
        return segments
    parts = _split(content, head)
    edited: list[tuple[int, bytes]] = []
    for marker, payload in segments:
        if not payload.startswith(head):
            edited.append((marker, payload))
        else:  # all go where the first segment was
            edited += [(marker, part) for part in parts]
            parts = []
    return tuple(edited)


def _joined(segments: tuple[tuple[int, bytes], ...], head: bytes) -> bytes:
    """The Photoshop resources after ``head`` in a JPEG's segments."""
    return b"".join(payload[len(head) :] for _, payload in segments if payload.startswith(head))


def _split(resources: bytes, head: bytes) -> list[bytes]:
    """Photoshop resources as the contents of a JPEG's segments, each with ``head``."""
    room = jpeg_segments.LARGEST_PAYLOAD - len(head)
    return [head + resources[start : start + room] for start in range(0, len(resources), room)]
