"""XMP packets longer than a JPEG segment: split into a main and an extended packet, and joined again.

XMP Specification part 3, 1.1.3.1: the main packet refers to the extended one by its MD5 sum; the latter is
split into segments that each begin with that sum, the total length and their offset.
"""

import hashlib
import re
import struct
from collections.abc import Sequence

from defocusctl.photo.xmp import EXTENDED, NAMESPACE, without_provenance
from defocusctl.photo.xmp_packet import (
    ABOUT,
    LARGEST,
    RDF,
    BrokenXmpError,
    Element,
    Field,
    LargeXmpError,
    Packet,
    attribute,
)

HEADER = b"http://ns.adobe.com/xmp/extension/\0"
SUM_LENGTH = 32
PART_HEAD = len(HEADER) + SUM_LENGTH + 8
NOTE_ROOM = 200
PREFIX = re.compile(rb"[<\s]([^\s<>/:=]+):")  # of names in tags, and occasionally of words in text


def joined(packet: bytes, parts: Sequence[bytes]) -> tuple[bytes, bool]:
    """The main packet with the properties of the extended one, whose segments have the contents ``parts``.

    If both hold a property, the main packet's counts. Also returns whether the extended packet's MD5 sum is
    right; some writers put other names there.
    """
    main = Packet(packet)
    names = {part.name: part.text for part in main.properties}
    if EXTENDED not in names:
        raise BrokenXmpError("an unreferenced extended packet")
    name = names[EXTENDED].strip().encode()
    whole = _assembled(name, parts)
    extended = Packet(whole)
    for part in extended.properties:
        if part.name in names:
            extended.cut(part)
    again = Packet(extended.edited())
    length = len(packet)
    for description in again.descriptions:
        text = _with_scope(again, description)
        length += len(text)
        if length > LARGEST:  # each repeats the namespaces that it inherits
            raise LargeXmpError(f"it is longer than {LARGEST // 2**20} MiB")
        main.append(text)
    return main.edited(), _sum(whole) == name.upper()


def fit(packet: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """Split the packet into a main packet of at most ``limit`` bytes and, if need be, an extended one.

    The provenance is moved first, then the longest properties. It is dropped if the packet would fit without
    it and the reference to an extended packet.
    """
    if len(packet) <= limit:
        return packet, None
    if crowds_out_provenance(packet, limit):
        return without_provenance(packet), None
    main = Packet(packet, limited=False)
    properties = [(part, description) for description in main.descriptions for part in description.properties]
    properties.sort(key=lambda pair: (not pair[0].name.startswith(NAMESPACE), pair[0].start - pair[0].end))
    moved: dict[int, tuple[Element, list[Field | Element]]] = {}
    about = _about(main, main.descriptions[0])  # that of the provenance, if no other
    surplus = len(packet) + len(_note(main.prefix, about, b"")) - limit
    for part, description in properties:
        if surplus > 0 or part.name.startswith(NAMESPACE):
            surplus -= part.end - part.start
            moved.setdefault(description.start, (description, []))[1].append(part)
            main.cut(part)
    texts = [_description(main, description, parts) for description, parts in moved.values()]
    extended = _rdf(main.prefix, main.scope, "".join(texts)).encode()
    if surplus > 0:  # too long even without any properties
        return _rdf("rdf:", {"rdf": RDF}, _note("rdf:", "", extended)).encode(), extended
    main.append(_note(main.prefix, about, extended))
    return main.edited(), extended


def crowds_out_provenance(packet: bytes, limit: int) -> bool:
    """Whether a packet fits into a JPEG only without the provenance."""
    return limit - NOTE_ROOM < len(without_provenance(packet)) <= limit


def parts_of(extended: bytes, limit: int) -> list[bytes]:
    """The contents, of at most ``limit`` bytes each, of the segments for an extended packet."""
    step = limit - PART_HEAD
    head = HEADER + _sum(extended)
    return [
        head + struct.pack(">II", len(extended), start) + extended[start : start + step]
        for start in range(0, len(extended), step)
    ]


def _rdf(prefix: str, scope: dict[str, str], descriptions: str) -> str:
    """A minimal packet."""
    return f"<{prefix}RDF{_declared(scope)}>{descriptions}</{prefix}RDF>"


def _note(prefix: str, about: str, extended: bytes) -> str:
    """The Description that refers to an extended packet."""
    name = attribute("xmpNote:HasExtendedXMP", _sum(extended).decode())
    return f'<{prefix}Description{about} xmlns:xmpNote="http://ns.adobe.com/xmp/note/"{name}/>'


def _sum(extended: bytes) -> bytes:
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()


def _assembled(name: bytes, parts: Sequence[bytes]) -> bytes:
    pieces: dict[int, bytes] = {}
    length = 0
    for part in parts:
        if len(part) > PART_HEAD and part[len(HEADER) : len(HEADER) + SUM_LENGTH] == name:
            length, start = struct.unpack_from(">II", part, PART_HEAD - 8)
            pieces.setdefault(start, part[PART_HEAD:])
    whole = bytearray()
    for start in sorted(pieces):
        if start != len(whole) or start > LARGEST:
            raise BrokenXmpError("a part of the extended packet is missing")
        whole += pieces[start]
    if not whole or len(whole) != length:
        raise BrokenXmpError("a part of the extended packet is missing")
    return bytes(whole)


def _with_scope(packet: Packet, description: Element) -> str:
    """A Description with the namespaces that it inherits declared on it."""
    named = {name.decode() for name in PREFIX.findall(packet.bytes, description.start, description.end)}
    wanted = {"", *named} - description.prefixes.keys()
    around = {prefix: packet.scope[prefix] for prefix in sorted(wanted & packet.scope.keys())}
    tag = packet.bytes[description.start : description.name_end]
    return (tag + _declared(around).encode() + packet.bytes[description.name_end : description.end]).decode()


def _description(packet: Packet, description: Element, parts: list[Field | Element]) -> str:
    """A new Description with some of the properties of another."""
    texts = {part.start: packet.bytes[part.start : part.end].decode() for part in parts}
    inside = "".join(texts[part.start] for part in parts if isinstance(part, Element))
    attributes = "".join(texts[part.start] for part in parts if isinstance(part, Field))
    about = _about(packet, description)
    name = f"{packet.prefix}Description"
    return f"<{name}{about}{_declared(description.prefixes)}{attributes}>{inside}</{name}>"


def _declared(prefixes: dict[str, str]) -> str:
    return "".join(
        attribute(f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in prefixes.items()
    )


def _about(packet: Packet, description: Element) -> str:
    """The attribute that says what a Description is about."""
    about = next((found.text for found in description.attributes if found.name == ABOUT), "")
    return attribute(f"{packet.prefix}about", about)
