"""XMP packets that are longer than a JPEG segment: read from and written as a main and an extended packet.

XMP Specification part 3, 1.1.3.1: the main packet names the extended one by its MD5 sum; that is cut into
segments that each begin with the sum, the whole length, and their offset.
"""

import hashlib
import re
import struct
from collections.abc import Sequence

from defocusctl.photo.xmp import NAMESPACE, without_provenance
from defocusctl.photo.xmp_claims import EXTENDED
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
PREFIX = re.compile(rb"[<\s]([^\s<>/:=]+):")  # of any name in a tag, and here and there of words in a text


def joined(packet: bytes, parts: Sequence[bytes]) -> tuple[bytes, bool]:
    """The main packet with the properties of the extended one, which lies in segments with these contents.

    A property that both hold is the main packet's. Answers also whether the extended packet has the MD5 sum
    that it is named by; some writers put another name there.

    Raises:
        BrokenXmpError: if either is broken, or the main packet names no extended one, or parts are missing.
        LargeXmpError: if they would be longer together than a packet may be.
    """
    main = Packet(packet)
    names = {part.name: part.text for description in main.descriptions for part in description.properties}
    if EXTENDED not in names:
        raise BrokenXmpError("an extended packet that is not named")
    name = names[EXTENDED].strip().encode()
    whole = _assembled(name, parts)
    extended = Packet(whole)
    for description in extended.descriptions:
        for part in description.properties:
            if part.name in names:
                extended.cut(part)
    again = Packet(extended.edited())
    length = len(packet)
    for description in again.descriptions:
        text = _with_scope(again, description)
        length += len(text)
        if length > LARGEST:  # each repeats the namespaces that it takes from around it
            raise LargeXmpError(f"it is longer than {LARGEST // 2**20} MiB")
        main.append(text)
    return main.edited(), _sum(whole) == name.upper()


def fit(packet: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """The packet as a main packet of at most ``limit`` bytes and, if need be, an extended one.

    The record of how the picture was made is moved first, then the longest properties. That record gives way
    where a packet would fit but for it and the name of an extended packet.
    """
    if len(packet) <= limit:
        return packet, None
    if crowds_out_provenance(packet, limit):
        return without_provenance(packet), None
    main = Packet(packet)
    properties = [(part, description) for description in main.descriptions for part in description.properties]
    properties.sort(key=lambda pair: (not pair[0].name.startswith(NAMESPACE), pair[0].start - pair[0].end))
    moved: dict[int, tuple[Element, list[Field | Element]]] = {}
    about = _rdf_about(main, next((_about(description) for description in main.descriptions), ""))
    surplus = len(packet) + len(_note(main.prefix, about, b"")) - limit
    for part, description in properties:
        if surplus > 0 or part.name.startswith(NAMESPACE):
            surplus -= part.end - part.start
            moved.setdefault(description.start, (description, []))[1].append(part)
            main.cut(part)
    texts = [_description(main, description, parts) for description, parts in moved.values()]
    extended = _rdf(main.prefix, main.scope, "".join(texts)).encode()
    if surplus > 0:  # all properties have moved, and what is left is still too long
        return _rdf("rdf:", {"rdf": RDF}, _note("rdf:", "", extended)).encode(), extended
    main.append(_note(main.prefix, about, extended))
    return main.edited(), extended


def crowds_out_provenance(packet: bytes, limit: int) -> bool:
    """Whether a packet leaves room in a JPEG for itself only, not for the record of how it was made."""
    return limit - NOTE_ROOM < len(without_provenance(packet)) <= limit


def parts_of(extended: bytes, room: int) -> list[bytes]:
    """The contents of the segments, of at most ``room`` bytes, that hold an extended packet."""
    step = room - PART_HEAD
    head = HEADER + _sum(extended)
    return [
        head + struct.pack(">II", len(extended), start) + extended[start : start + step]
        for start in range(0, len(extended), step)
    ]


def _rdf(prefix: str, scope: dict[str, str], descriptions: str) -> str:
    """A packet without more around it than it needs."""
    return f"<{prefix}RDF{_declared(scope)}>{descriptions}</{prefix}RDF>"


def _note(prefix: str, about: str, extended: bytes) -> str:
    """The Description that names an extended packet."""
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
    """A Description as it stands, with the namespaces that it takes from around it."""
    named = {name.decode() for name in PREFIX.findall(packet.bytes, description.start, description.end)}
    wanted = {"", *named} - description.prefixes.keys()
    around = {prefix: packet.scope[prefix] for prefix in sorted(wanted & packet.scope.keys())}
    tag = packet.bytes[description.start : description.name_end]
    return (tag + _declared(around).encode() + packet.bytes[description.name_end : description.end]).decode()


def _description(packet: Packet, description: Element, parts: list[Field | Element]) -> str:
    """A Description of its own for some of the properties of one."""
    texts = {part.start: packet.bytes[part.start : part.end].decode() for part in parts}
    inside = "".join(texts[part.start] for part in parts if isinstance(part, Element))
    attributes = "".join(texts[part.start] for part in parts if isinstance(part, Field))
    about = _rdf_about(packet, _about(description))
    name = f"{packet.prefix}Description"
    return f"<{name}{about}{_declared(description.prefixes)}{attributes}>{inside}</{name}>"


def _declared(prefixes: dict[str, str]) -> str:
    return "".join(
        attribute(f"xmlns:{prefix}" if prefix else "xmlns", uri) for prefix, uri in prefixes.items()
    )


def _about(description: Element) -> str:
    return next((found.text for found in description.attributes if found.name == ABOUT), "")


def _rdf_about(packet: Packet, about: str) -> str:
    return attribute(f"{packet.prefix}about", about)
