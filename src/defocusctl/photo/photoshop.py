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
COPIES = frozenset((0x0422, 0x0423, 0x0424))  # EXIF and XMP, which the file itself has
PLACES = {
    0x0408: "guides",
    0x041A: "slices",
    **dict.fromkeys(range(0x07D0, 0x0BB8), "paths"),
}


class Resource(NamedTuple):
    """One resource: its number and where it lies."""

    number: int
    start: int
    end: int


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
        kept.append(resources[resource.start : resource.end])
    if resources[position:].strip(b"\0"):
        most = count == MOST_RESOURCES
        lost.append(
            f"Photoshop data beyond {MOST_RESOURCES:,} resources" if most else "broken Photoshop data"
        )
    return b"".join(kept), list(dict.fromkeys(lost))


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
        yield Resource(number, position, end)
        position = end
