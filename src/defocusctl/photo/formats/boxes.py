"""Boxes of the ISO base media file format (ISO/IEC 14496-12), used by AVIF, HEIC, JPEG XL and CR3.

The meta box of AVIF and HEIC (also ISO/IEC 23008-12) lists items, such as pictures and EXIF blocks, and their
properties, such as size and colours.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, unsupported

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

XMP = b"application/rdf+xml"
METADATA = {b"Exif": "a second EXIF block", XMP: "a second XMP packet"}
ALPHA = (b"auxid:1", b"auxiliary:alpha")
AUXILIARY = {  # by a part of the URN
    **dict.fromkeys(ALPHA, "another alpha channel"),
    **dict.fromkeys((b"auxid:2", b"depth", b"disparity"), "a depth map"),
    b"gainmap": "a gain map",
}
HEVC, AV1 = b"hvc1", b"av01"
CODECS = {
    HEVC: "HEVC",
    AV1: "AV1",
    b"avc1": "AVC",
    b"vvc1": "VVC",
    b"jpeg": "JPEG",
    b"j2k1": "JPEG 2000",
    b"unci": "uncompressed pixels",
}
PICTURES = (*CODECS, b"grid", b"iovl", b"iden")
KNOWN = {b"tmap": "a gain map", **METADATA, **dict.fromkeys(PICTURES, "a further picture")}

Properties = list[tuple[bytes, bytes]]  # names and payloads of item properties
Links = dict[int, list[int]]  # item -> the items that it refers to


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
        length, name, content = _number(data, start, 4), data[start + 4 : start + 8], start + 8
        if length == 1:
            length, content = _number(data, content, 8), content + 8
        stop = limit if length == 0 else start + length
        if stop < content:
            return
        yield Box(name, content, min(stop, limit), stop <= limit)
        start = stop


def item_properties(data: bytes, max_megapixels: float) -> Properties:
    """The item properties (meta/iprp/ipco), whose sizes are checked; they are those before cropping."""
    properties: Properties = []
    level = [(0, len(data), False)]
    while level:
        start, end, inside = level.pop()
        for box in boxes(data, start, end):
            if box.name in PROPERTY_CONTAINERS:
                level.append((box.start + 4 * (box.name == b"meta"), box.end, box.name == b"ipco"))
            elif inside:
                properties.append((box.name, data[box.start : box.end]))
    for name, payload in properties:
        if name == b"ispe" and len(payload) >= 12:
            check_size(_number(payload, 4, 4), _number(payload, 8, 4), max_megapixels)
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


def properties_not_carried(properties: Properties, read: Collection[bytes]) -> list[str]:
    """Names for item properties that are not in ``read``; square pixels need no name."""
    return [
        f"{KNOWN_PROPERTIES.get(name, 'the property')} ({left_out.printable(name)})"
        for name, payload in properties
        if name not in READ_PROPERTIES
        and name not in read
        and not (name == ASPECT and payload[:4] == payload[4:])
    ]


def colour_codes(properties: Properties) -> tuple[int, int, int] | None:
    """Primaries, transfer and matrix (ITU-T H.273) of the first nclx colour description, if any."""
    for name, payload in properties:
        if name == b"colr" and payload[:4] == b"nclx" and len(payload) >= 10:
            return _number(payload, 4, 2), _number(payload, 6, 2), _number(payload, 8, 2)
    return None


def has_profile(properties: Properties) -> bool:
    """Whether the colour descriptions include an ICC profile."""
    return any(name == b"colr" and payload[:4] in (b"prof", b"rICC") for name, payload in properties)


def is_srgb(primaries: int, transfer: int) -> bool:
    """Whether colour codes mean sRGB or are unspecified (BT.709 is 1, BT.601 6, sRGB 13, unspecified 2)."""
    return primaries in (1, 2) and transfer in (1, 6, 13, 2)


@dataclass
class _Items:
    """The meta box: kinds of items (MIME types for MIME items), URNs of auxiliary items, links."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    auxiliary: dict[int, bytes] = field(default_factory=dict)
    made_of: Links = field(default_factory=lambda: defaultdict(list))
    belongs_to: Links = field(default_factory=lambda: defaultdict(list))
    thumbnails: set[int] = field(default_factory=set)


def refuse_other_codecs(data: bytes, codec: bytes) -> None:
    """Refuse a file whose primary picture is not coded as ``codec``; the decoder gives no clear error."""
    items = _read(data)
    kinds = {items.kinds.get(item, b"") for item in _whole(items, items.primary)}
    other = next((name for kind, name in CODECS.items() if kind in kinds and kind != codec), None)
    if other:
        remedy = "convert it to PNG or TIFF first, for example with heif-convert or ImageMagick"
        raise unsupported(f"a picture in {other} within this kind of file", remedy)


def items_not_carried(data: bytes) -> list[str]:
    """Names for everything beside the primary picture and its alpha, EXIF and XMP.

    Parts and attachments of other items are not listed separately.
    """
    items = _read(data)
    carried = _whole(items, items.primary)
    for item, urn in items.auxiliary.items():
        if urn.endswith(ALPHA) and carried.intersection(items.belongs_to[item]):
            carried |= _whole(items, item)
    for kind in METADATA:
        about = [item for item in items.kinds if items.kinds[item] == kind]
        carried.update([item for item in about if carried.intersection(items.belongs_to[item])][:1])
    others = [item for item in items.kinds if item not in carried]
    parts = {part for item in others for part in items.made_of[item]}
    return [
        _name(items, item)
        for item in others
        if item not in parts and (carried.intersection(items.belongs_to[item]) or not items.belongs_to[item])
    ]


def _whole(items: _Items, item: int) -> set[int]:
    """An item with everything it consists of, such as the tiles of a grid."""
    whole: set[int] = set()
    found = [item]
    while found:
        item = found.pop()
        if item not in whole:
            whole.add(item)
            found += items.made_of[item]
    return whole


def _name(items: _Items, item: int) -> str:
    kind, urn = items.kinds[item], items.auxiliary.get(item)
    if item in items.thumbnails:
        return "a thumbnail"
    if urn is not None:
        known = (words for part, words in AUXILIARY.items() if part in urn.lower())
        return next(known, f"the auxiliary picture '{left_out.printable(urn.rpartition(b':')[2])}'")
    return KNOWN.get(kind, f"the item '{left_out.printable(kind)}'")


def _read(data: bytes) -> _Items:
    items = _Items()
    meta = next((box for box in boxes(data) if box.name == b"meta"), Box(b"meta", 0, 0))
    for box in boxes(data, meta.start + 4, meta.end):
        version = _number(data, box.start, 1)
        match box.name:
            case b"pitm":
                items.primary = _number(data, box.start + 4, 4 if version else 2)
            case b"iinf":
                for entry in boxes(data, box.start + (8 if version else 6), box.end):
                    item, kind = _kind(data[entry.start : entry.end])
                    items.kinds[item] = kind
            case b"iref":
                for link in boxes(data, box.start + 4, box.end):
                    _add_links(items, data, link, 4 if version else 2)
            case b"iprp":
                items.auxiliary.update(_auxiliary(data, box))
    return items


def _kind(entry: bytes) -> tuple[int, bytes]:
    """An item's number and kind, from its entry (infe)."""
    wide = 4 if entry[:1] == b"\3" else 2
    item, start = _number(entry, 4, wide), 4 + wide + 2
    kind = entry[start : start + 4]
    if kind == b"mime":
        kind = entry[start + 4 :].partition(b"\0")[2].split(b"\0")[0]  # after its name
    return item, kind


def _add_links(items: _Items, data: bytes, link: Box, wide: int) -> None:
    item, count = _number(data, link.start, wide), _number(data, link.start + wide, 2)
    first = link.start + wide + 2
    targets = [_number(data, place, wide) for place in range(first, link.end, wide)][:count]
    if link.name == b"dimg":
        items.made_of[item] += targets
    else:
        items.belongs_to[item] += targets
    if link.name == b"thmb":
        items.thumbnails.add(item)


def _auxiliary(data: bytes, properties: Box) -> Iterator[tuple[int, bytes]]:
    """The items with an auxC property, and its URN."""
    parts = {box.name: box for box in boxes(data, properties.start, properties.end)}
    if not parts.keys() >= {b"ipco", b"ipma"}:
        return
    container, table = parts[b"ipco"], parts[b"ipma"]
    urns = {
        number: data[box.start + 4 : box.end].split(b"\0")[0]
        for number, box in enumerate(boxes(data, container.start, container.end), 1)
        if box.name == b"auxC"
    }
    wide = 4 if _number(data, table.start, 1) else 2
    step = 2 if _number(data, table.start + 3, 1) & 1 else 1
    place = table.start + 8
    while place + wide < table.end:
        item, count = _number(data, place, wide), data[place + wide]
        place += wide + 1
        for start in range(place, min(place + step * count, table.end), step):
            number = _number(data, start, step) & (0x7FFF if step == 2 else 0x7F)
            if number in urns:
                yield item, urns[number]
        place += step * count


def _number(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "big")
