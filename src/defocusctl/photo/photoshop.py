"""Photoshop's image resources (8BIM), as JPEG and TIFF carry them: without what shows the old picture.

Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")
HEADER = b"Photoshop 3.0\0"
MOST_RESOURCES = 20_000
PREVIEWS = frozenset((0x0409, 0x040C))
IPTC = 0x0404
IPTC_MARK, IPTC_PREVIEW = 0x1C, ((2, 200), (2, 201), (2, 202))  # by record and number
COPIES = frozenset((0x0422, 0x0423, 0x0424))  # EXIF and XMP, which the file itself has
PLACES = {
    0x0408: "guides",
    0x041A: "slices",
    **dict.fromkeys(range(0x07D0, 0x0BB8), "paths"),
}


class Resource(NamedTuple):
    """One resource: its number, where it and its data lie, and the length of those without padding."""

    number: int
    start: int
    end: int
    data: int
    length: int


def without(resources: bytes, *, places: bool) -> tuple[bytes, list[str]]:
    """The resources without previews, and with ``places`` without what names places in the picture.

    Answers also with the names of the latter; what cannot be followed is left out and named too.
    """
    kept, lost = [], []
    position = count = 0
    for resource in islice(_resources(resources), MOST_RESOURCES):
        position, count = resource.end, count + 1
        if resource.number in PREVIEWS | COPIES:
            continue
        if places and (name := PLACES.get(resource.number)):
            lost.append(f"Photoshop {name}")
            continue
        kept.append(_kept(resources, resource))
    if resources[position:].strip(b"\0"):
        most = count == MOST_RESOURCES
        lost.append(
            f"Photoshop data beyond {MOST_RESOURCES:,} resources" if most else "broken Photoshop data"
        )
    return b"".join(kept), list(dict.fromkeys(lost))


def iptc_without_preview(data: bytes) -> bytes:
    """IPTC data (IIM 4) without the preview in them; what follows a broken part stays as it is."""
    kept, position = [], 0
    while len(data) >= position + 5 and data[position] == IPTC_MARK:
        start, field = position, (data[position + 1], data[position + 2])
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        position += 5
        if length & 0x8000:  # the length of the length
            wide = length & 0x7FFF
            length = int.from_bytes(data[position : position + wide], "big")
            position += wide
        position += length
        if position > len(data):
            position = start
            break
        if field not in IPTC_PREVIEW:
            kept.append(data[start:position])
    return b"".join([*kept, data[position:]])


def _kept(resources: bytes, resource: Resource) -> bytes:
    """A resource as it is, but for IPTC's preview."""
    data = resources[resource.data : resource.data + resource.length]
    content = iptc_without_preview(data) if resource.number == IPTC else data
    if content == data:
        return resources[resource.start : resource.end]
    head = resources[resource.start : resource.data - 4]
    return head + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)


def _resources(resources: bytes) -> Iterator[Resource]:
    """The resources up to the first that is broken: signature, number, padded name, length, padded data."""
    position = 0
    while resources[position : position + 4] in SIGNATURES and position + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, position + 4)
        name = 1 + resources[position + 6]
        data = position + 6 + name + name % 2 + 4
        if data > len(resources):
            return
        (length,) = struct.unpack_from(">I", resources, data - 4)
        if data + length > len(resources):
            return
        end = min(data + length + length % 2, len(resources))
        yield Resource(number, position, end, data, length)
        position = end
