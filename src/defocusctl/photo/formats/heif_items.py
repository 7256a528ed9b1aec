"""The items of a HEIC or AVIF file (meta box of ISO/IEC 14496-12 and 23008-12) that results lack."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from defocusctl.errors import InputError
from defocusctl.photo.formats.boxes import Box, boxes
from defocusctl.photo.formats.left_out import printable

Links = dict[int, list[int]]
"""Item -> the items that it refers to."""

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
    """Refuse a file whose primary picture is not coded as ``codec``; the decoder gives no clear error.

    Raises:
        InputError: if so; names the codec.
    """
    items = _read(data)
    kinds = {items.kinds.get(item, b"") for item in _whole(items, items.primary)}
    others = [name for kind, name in CODECS.items() if kind in kinds and kind != codec]
    if others:
        raise InputError(
            f"a picture in {others[0]} within this kind of file is not supported",
            "convert it to PNG or TIFF first, for example with heif-convert or ImageMagick",
        )


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
        return next(known, f"the auxiliary picture '{printable(urn.rpartition(b':')[2])}'")
    return KNOWN.get(kind, f"the item '{printable(kind)}'")


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
