"""Boxes of the ISO base media file format (ISO/IEC 14496-12), used by AVIF, HEIC, JPEG XL and CR3."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from defocusctl.photo.formats import left_out

PROPERTY_CONTAINERS = (b"meta", b"iprp", b"ipco")


KNOWN_BOXES = {
    b"mpvd": "the video of a motion photo",
    b"moov": "a video or sequence",
    b"jumb": "Content Credentials or other JUMBF data",
    bytes.fromhex("d8fec3d61b0e483c92975828877ec481"): "Content Credentials",
    b"jhgm": "a gain map",
    b"sefd": "data of a Samsung phone",
}
ASPECT = b"pasp"
KNOWN_PROPERTIES = {
    ASPECT: "the shape of its pixels",
    b"clap": "a crop",
    b"udes": "a description",
    b"crtt": "the time of creation",
    b"mdft": "the time of the last change",
}
READ_PROPERTIES = frozenset((b"ispe", b"pixi", b"colr", b"irot", b"imir", b"auxC", b"free", b"skip"))
SILENT_BOXES = frozenset((b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide"))


class Box(NamedTuple):
    """A box and the position of its content; ``whole`` is False if the file ends inside it."""

    name: bytes
    start: int
    end: int
    whole: bool = True


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The consecutive boxes from ``start`` on, up to the first invalid one."""
    limit = len(data) if end is None else end
    while start + 8 <= limit:
        length = int.from_bytes(data[start : start + 4], "big")
        name, content = data[start + 4 : start + 8], start + 8
        if length == 1:
            length, content = int.from_bytes(data[content : content + 8], "big"), content + 8
        stop = limit if length == 0 else start + length
        if stop < content:
            return
        yield Box(name, content, min(stop, limit), stop <= limit)
        start = stop


def item_properties(data: bytes) -> list[tuple[bytes, bytes]]:
    """The names and payloads of the item properties (meta/iprp/ipco of ISO/IEC 23008-12)."""
    properties: list[tuple[bytes, bytes]] = []
    level = [(0, len(data), False)]
    while level:
        start, end, inside = level.pop()
        for box in boxes(data, start, end):
            if box.name in PROPERTY_CONTAINERS:
                level.append((box.start + 4 * (box.name == b"meta"), box.end, box.name == b"ipco"))
            elif inside:
                properties.append((box.name, data[box.start : box.end]))
    return properties


def not_carried(data: bytes, read: Collection[bytes] = SILENT_BOXES) -> list[str]:
    """Names for the file's boxes that are not in ``read``, and for any data after the last box."""
    names, begun, end = [], False, 0
    for box in boxes(data):
        another_file = begun and box.name == b"ftyp"
        if another_file or not (box.whole and box.name.isascii() and box.name.decode().isprintable()):
            break
        begun = begun or box.name == b"ftyp"
        end = box.end
        if box.name not in read and box.name not in SILENT_BOXES:
            key = data[box.start : box.start + 16] if box.name == b"uuid" else box.name
            names.append(f"{KNOWN_BOXES.get(key, 'the box')} ({left_out.printable(box.name)})")
    return [*names, *left_out.after_the_end(data, end)]


def properties_not_carried(properties: list[tuple[bytes, bytes]], read: Collection[bytes]) -> list[str]:
    """Names for item properties that are not in ``read``; square pixels need no name."""
    others = [
        (name, payload) for name, payload in properties if name not in READ_PROPERTIES and name not in read
    ]
    return [
        f"{KNOWN_PROPERTIES.get(name, 'the property')} ({left_out.printable(name)})"
        for name, payload in others
        if not (name == ASPECT and payload[:4] == payload[4:])
    ]


def colour_codes(properties: list[tuple[bytes, bytes]]) -> tuple[int, int, int] | None:
    """Primaries, transfer and matrix (ITU-T H.273) of the first nclx colour description, if any."""
    for name, payload in properties:
        if name == b"colr" and payload[:4] == b"nclx" and len(payload) >= 10:
            primaries, transfer, matrix = (int.from_bytes(payload[i : i + 2], "big") for i in (4, 6, 8))
            return primaries, transfer, matrix
    return None


def has_profile(properties: list[tuple[bytes, bytes]]) -> bool:
    """Whether the colour descriptions include an ICC profile."""
    return any(name == b"colr" and payload[:4] in (b"prof", b"rICC") for name, payload in properties)


def is_srgb(primaries: int, transfer: int) -> bool:
    """Whether colour codes mean sRGB or are unspecified (BT.709 is 1, BT.601 6, sRGB 13, unspecified 2)."""
    return primaries in (1, 2) and transfer in (1, 6, 13, 2)
