"""Directories of TIFF structures (TIFF 6.0), as in EXIF blocks and TIFF files: reading, patching, building.

Blocks are patched rather than rewritten where possible: maker notes hold offsets into the whole block and
break if its layout changes. What reads a directory raises BrokenExifError if the block's header or that
directory is broken; in ``exif`` and what builds on it, that is the first directory.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from defocusctl.photo.model import TiffTag

ByteOrder = Literal["<", ">"]

EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
POINTERS = {EXIF_IFD: "EXIF", GPS_IFD: "GPS", INTEROP_IFD: "interoperability"}
PARENTS = {INTEROP_IFD: EXIF_IFD}  # the parent of all others is the first directory
OTHER_DIRECTORIES = frozenset((330, 400, 33424, 65024))  # of pictures, of fax parameters, Kodak's
MAX_TAGS = 4096  # same as tifffile's limit
SHORT, LONG, RATIONAL, SLONG, SRATIONAL, DIRECTORY, UTF8 = 3, 4, 5, 9, 10, 13, 129
LONG_8, SLONG_8, DIRECTORY_8 = 16, 17, 18  # of BigTIFF
KIND_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, UTF8: 1}
KIND_BYTES |= dict.fromkeys((LONG_8, SLONG_8, DIRECTORY_8), 8)
INTEGER_LETTERS = {1: "B", SHORT: "H", LONG: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
INTEGER_LETTERS |= {LONG_8: "Q", SLONG_8: "q", DIRECTORY_8: "Q"}


class BrokenExifError(ValueError):
    """The block's header or first directory cannot be read."""


class CircleError(BrokenExifError):
    """Directories lead to each other."""


@dataclass(frozen=True)
class Entry:
    """A tag with the position of its 12-byte record in the block."""

    tag: TiffTag
    position: int


class _Form(NamedTuple):
    """How a file stores directories: formats of their count, of the start of a record and of an offset.

    ``room`` is the number of bytes for a value in its record.
    """

    order: ByteOrder
    counted: str
    record: str
    number: str
    room: int


FORMS = {
    b"II*\0": _Form("<", "<H", "<HHI", "<I", 4),
    b"MM\0*": _Form(">", ">H", ">HHI", ">I", 4),
    b"II+\0": _Form("<", "<Q", "<HHQ", "<Q", 8),
    b"MM\0+": _Form(">", ">Q", ">HHQ", ">Q", 8),
}


class ReadBudget:
    """How many bytes may still be read: at first twice the block's size, because entries may share values."""

    def __init__(self, block: bytes) -> None:
        self.left = 2 * len(block)

    def take(self, count: int) -> bool:
        """Spend ``count`` bytes; False if fewer were left."""
        self.left -= count
        return self.left >= 0


def byte_order(block: bytes) -> ByteOrder:
    """The byte order of a classic TIFF block."""
    form = _form(block)
    if form.room > 4:
        raise BrokenExifError("a BigTIFF header")
    return form.order


def read_directory(block: bytes, offset: int, budget: ReadBudget | None = None) -> tuple[list[Entry], int]:
    """The entries of the directory at ``offset``, and the position of its link to the next one.

    The block may also be a BigTIFF file; all else that changes or builds blocks is for classic ones.
    An entry whose value lies outside the block gets an empty value, as do all entries after ``budget`` is
    spent. To read several directories, pass the same budget to all calls.
    """
    form, positions = _form(block), _records(block, offset)
    budget = budget or ReadBudget(block)
    if not budget.take(positions.stop - positions.start):
        raise BrokenExifError("its directories overlap")
    entries = []
    for position in positions:
        code, kind, number = struct.unpack_from(form.record, block, position)
        length = KIND_BYTES.get(kind, 0) * number
        start = position + positions.step - form.room
        if length > form.room:
            (start,) = struct.unpack_from(form.number, block, start)
        value = block[start : start + length] if start + length <= len(block) and budget.take(length) else b""
        entries.append(Entry(TiffTag(code, kind, number, value), position))
    return entries, positions.stop


def _form(block: bytes) -> _Form:
    form = FORMS.get(block[:4])
    if form is None:
        raise BrokenExifError("no TIFF header")
    return form


def _records(block: bytes, offset: int) -> range:
    """The positions of the records of the directory at ``offset``, up to their end."""
    form = _form(block)
    first = offset + struct.calcsize(form.counted)
    if offset < 8 or first > len(block):
        raise BrokenExifError("a directory lies outside the block")
    (count,) = struct.unpack_from(form.counted, block, offset)
    if count > MAX_TAGS:
        raise BrokenExifError("a directory has too many tags")
    step = struct.calcsize(form.record) + form.room
    if first + step * count > len(block):
        raise BrokenExifError("a directory is cut short")
    return range(first, first + step * count, step)


def first_directory(block: bytes) -> int:
    """The offset of the first directory."""
    return int(struct.unpack_from(byte_order(block) + "I", block, 4)[0])


def chain(block: bytes, budget: ReadBudget, most: int) -> Iterator[list[Entry]]:
    """The entries of up to ``most`` directories that a file's header and then each other's links lead to."""
    form, seen = _form(block), set[int]()
    link = form.room
    while len(seen) < most and link + form.room <= len(block):
        (offset,) = struct.unpack_from(form.number, block, link)
        if offset == 0:
            return
        if offset in seen:
            raise CircleError("its directories link to each other in a circle")
        seen.add(offset)
        entries, link = read_directory(block, offset, budget)
        yield entries


def sub_directories(block: bytes, entries: Iterable[Entry]) -> dict[int, list[Entry]]:
    """The readable EXIF, GPS and interoperability directories, by pointer tag."""
    order, budget = _form(block).order, ReadBudget(block)
    found: dict[int, list[Entry]] = {}
    waiting = list(entries)
    for entry in waiting:  # grows by the entries of the EXIF directory
        pointer = entry.tag.code
        if pointer in POINTERS and pointer not in found:
            try:
                found[pointer], _ = read_directory(block, integer(entry.tag, order) or 0, budget)
            except BrokenExifError:
                continue
            waiting += found[pointer] if pointer == EXIF_IFD else []
    return found


def leads_elsewhere(block: bytes, tag: TiffTag) -> bool:
    """Whether a tag points to a directory of another kind; a mere number may have the type of a pointer."""
    known = tag.code in OTHER_DIRECTORIES and tag.kind in (LONG, LONG_8)
    if tag.code in POINTERS or not (known or tag.kind in (DIRECTORY, DIRECTORY_8)):
        return False
    form = _form(block)
    try:
        positions = _records(block, integer(tag, form.order) or 0)
    except BrokenExifError:
        return False
    kinds = [struct.unpack_from(form.record, block, each)[1] for each in (*positions[:1], *positions[-1:])]
    return bool(kinds) and set(kinds) <= KIND_BYTES.keys()


def without_tags(block: bytes, offset: int, codes: set[int]) -> bytes:
    """The block without these tags in the directory at ``offset``; nothing else moves."""
    order = byte_order(block)
    entries, link = read_directory(block, offset)
    kept = [block[e.position : e.position + 12] for e in entries if e.tag.code not in codes]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + block[link : link + 4]
    return block[:offset] + directory + block[offset + len(directory) :]


def with_tags(block: bytes, tags: list[TiffTag]) -> bytes:
    """The block with these tags in its first directory, which moves to the end; nothing else moves."""
    order, first = byte_order(block), first_directory(block)
    base = len(block) + len(block) % 2
    _, link = read_directory(block, first)
    kept = stored_tags(block[first + 2 : link], order) | {tag.code: tag for tag in tags}
    header = block[:4] + struct.pack(order + "I", base)
    return header + block[8:].ljust(base - 8, b"\0") + directory_bytes(order, kept.values(), {}, base)


def build(order: ByteOrder, main: Iterable[TiffTag], subs: dict[int, list[TiffTag]]) -> bytes:
    """A new block with the tags ``main`` and the directories ``subs`` by pointer tag."""
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return header + directory_bytes(order, main, subs, 8)


def directory_bytes(
    order: ByteOrder,
    tags: Iterable[TiffTag],
    subs: dict[int, list[TiffTag]],
    base: int,
    parent: int | None = None,
) -> bytes:
    """A directory to store at offset ``base``: entries, then long values, then its sub-directories.

    ``subs`` holds all directories of the file; those whose parent is ``parent`` (None: the first directory)
    are appended.
    """
    if INTEROP_IFD in subs:
        subs = {EXIF_IFD: [], **subs}
    own = [code for code in subs if PARENTS.get(code) == parent]
    pointers = [TiffTag(code, LONG, 1, bytes(4)) for code in own]
    ordered = sorted([*tags, *pointers], key=lambda tag: tag.code)
    head, tail = [struct.pack(order + "H", len(ordered))], []
    end = base + 2 + 12 * len(ordered) + 4
    for tag in ordered:
        value = tag.value
        stored = b""
        if tag.code in own:
            value = struct.pack(order + "I", end)
            stored = directory_bytes(order, subs[tag.code], subs, end, tag.code)
        elif len(value) > 4:
            stored = value + bytes(len(value) % 2)
            value = struct.pack(order + "I", end)
        tail.append(stored)
        end += len(stored)
        head.append(struct.pack(order + "HHI", tag.code, tag.kind, tag.count) + value.ljust(4, b"\0"))
    return b"".join([*head, bytes(4), *tail])


def stored_tags(records: bytes, order: ByteOrder) -> dict[int, TiffTag]:
    """The tags in the records of a directory by code, for ``directory_bytes`` to write as they are."""
    found = struct.iter_unpack(order + "HHI4s", records)
    return {code: TiffTag(code, kind, number, value) for code, kind, number, value in found}


def integers(tag: TiffTag, order: ByteOrder) -> list[int]:
    """The integers that a tag holds; empty if it holds something else."""
    letter = INTEGER_LETTERS.get(tag.kind)
    if letter is None or len(tag.value) != KIND_BYTES[tag.kind] * tag.count:
        return []
    return list(struct.unpack(f"{order}{tag.count}{letter}", tag.value))


def integer(tag: TiffTag, order: ByteOrder) -> int | None:
    """The first integer that a tag holds, if any."""
    return next(iter(integers(tag, order)), None)
