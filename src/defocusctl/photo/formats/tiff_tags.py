"""Converts a TIFF file's descriptive tags to and from EXIF blocks.

EXIF borrowed the structure of TIFF: a file's first directory holds camera and author, and points to the EXIF
and GPS directories.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from defocusctl.photo import exif
from defocusctl.photo.formats import left_out
from defocusctl.photo.formats.tiff_support import KIND_BYTES, YCBCR
from defocusctl.photo.model import Metadata, TiffCoding, TiffTag

XMP, ICC = 700, 34675

SUBFILE_TYPE = 254
NAMED = {
    SUBFILE_TYPE: "the kind of its picture (tag 254)",
    280: "the smallest sample value (tag 280)",
    281: "the largest sample value (tag 281)",
    290: "the unit of its grey response (tag 290)",
    291: "its grey response curve (tag 291)",
    330: "the further pictures of its sub-directories",
    336: "the values of ink (tag 336)",
    340: "the smallest sample value (tag 340)",
    341: "the largest sample value (tag 341)",
    342: "the range of its transfer function (tag 342)",
    **dict.fromkeys((343, 344, 345), "its clipping path (tags 343 to 345)"),
    346: "that its pixels are indices (tag 346)",
    37724: "Photoshop layers",
    50839: "ImageJ's data",
}
FOR_YCBCR = {532: "its reference black and white (tag 532)"}  # applied in decoding such pictures
STRUCTURE = frozenset(  # how pixels are stored, which the result states anew, and what is named
    (
        *(
            *range(255, 260),
            *range(262, 267),
            273,
            274,
            *range(277, 280),
            *range(282, 285),
            288,
            289,
            292,
            293,
        ),
        *(296, 317, 320, *range(322, 328), 332, 334, 338, 339, 347, 512, 513, 514, 515),
        *(*range(517, 522), *range(529, 532), 559, XMP, ICC, 50838),
        *(*exif.POINTERS, *NAMED, *FOR_YCBCR),
    )
)
DESCRIPTIVE = frozenset(
    {exif.X_RESOLUTION, exif.Y_RESOLUTION, exif.RESOLUTION_UNIT, 269, 270, 271, 272, 285, 305, 306, 315, 316}
    | {318, 319, 33432, 18246, 18249, *range(40091, 40096), 50341}
)
DESCRIPTION = 270
SHAPE_DESCRIPTION = b'{"shape":'  # tifffile's record of the array's shape; stale in any other file
PIXEL_OFFSETS = frozenset((273, 279, 324, 325))
WIDE = {  # types of BigTIFF: their letter, and letter and type of 32 bits
    16: ("Q", "I", exif.LONG),
    17: ("q", "i", exif.SLONG),
    18: ("Q", "I", exif.LONG),
}
DIRECTORIES = (exif.DIRECTORY, 18)
LARGEST_TAG = 4 * 2**20


@dataclass(frozen=True)
class Directory:
    """What a file's first directory holds in addition to pixels; ``exif`` is a separate block."""

    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    orientation: int
    other: tuple[TiffTag, ...]
    warnings: tuple[str, ...] = ()


def read(data: bytes, page: Any) -> Directory:
    """Collect the tags of the first directory; ``page`` is tifffile's view of it."""
    order: exif.ByteOrder = "<" if data[:2] == b"II" else ">"
    offset = page.offset
    dropped: list[str] = []
    if page.parent.is_bigtiff:
        data, dropped = _as_classic(data, order, offset)
        offset = exif.first_directory(data)
    entries, _ = exif.read_directory(data, offset)
    numbers = [exif.integers(entry.tag, order) for entry in entries if entry.tag.code == exif.ORIENTATION]
    orientation = next((found[0] for found in numbers if found and found[0] in range(1, 9)), 1)
    unread = ["its orientation cannot be read"] if numbers and not any(numbers) else []
    tags = [entry.tag for entry in entries if not _describes_shape(entry.tag)]
    elsewhere = {tag.code for tag in tags if exif.leads_elsewhere(data, tag)} - STRUCTURE
    dropped += [f"the directory of tag {code}" for code in sorted(elsewhere)]
    values = [tag for tag in tags if 0 < len(tag.value) <= LARGEST_TAG and tag.code not in elsewhere]
    icc, xmp = (next((tag.value for tag in tags if tag.code == code), None) or None for code in (ICC, XMP))
    descriptive = [tag for tag in values if tag.code in DESCRIPTIVE]
    other = tuple(tag for tag in values if tag.code not in DESCRIPTIVE | STRUCTURE)
    subs = {}
    readable = exif.sub_directories(data, entries)
    lost = {tag.code for tag in tags} & set(exif.POINTERS) - set(readable)
    unread += [f"its {exif.POINTERS[code]} directory cannot be read" for code in sorted(lost)]
    for pointer, found in readable.items():
        if kept := [e.tag for e in found if e.tag.value and e.tag.code not in exif.POINTERS]:
            subs[pointer] = kept
    block = exif.build(order, descriptive, subs) if descriptive or subs else None
    named = NAMED if page.photometric == YCBCR else NAMED | FOR_YCBCR
    warnings = (*unread, *left_out.warning([*_not_carried(tags, named, order), *dropped]))
    return Directory(icc, block, xmp, orientation, other, warnings)


def _as_classic(data: bytes, order: exif.ByteOrder, offset: int) -> tuple[bytes, list[str]]:
    """The directories of a BigTIFF file as a classic TIFF block, without references to its pixels.

    Also returns names for tags that do not fit.
    """
    budget = exif.ReadBudget.of(data)
    dropped: list[str] = []
    main = _big_directory(data, order, offset, budget, dropped)
    subs: dict[int, list[TiffTag]] = {}
    waiting = list(main)
    for tag in waiting:  # grows by the entries of the EXIF directory
        place = next(iter(exif.integers(tag, order)), 0)
        if tag.code in exif.POINTERS and tag.code not in subs and place:
            subs[tag.code] = _big_directory(data, order, place, budget, dropped)
            waiting += subs[tag.code] if tag.code == exif.EXIF_IFD else []
    apart = {code: [tag for tag in tags if tag.code not in subs] for code, tags in subs.items()}
    return exif.build(order, [tag for tag in main if tag.code not in subs], apart), dropped


def _big_directory(
    data: bytes, order: exif.ByteOrder, offset: int, budget: exif.ReadBudget, dropped: list[str]
) -> list[TiffTag]:
    """The tags of a BigTIFF directory; names of those that do not fit or cannot be read go to ``dropped``."""
    tags = []
    (count,) = struct.unpack_from(order + "Q", data[offset : offset + 8].ljust(8, b"\0"))
    start = offset + 8
    records = data[start : start + 20 * min(count, exif.MAX_TAGS)]
    for code, kind, number, value in struct.iter_unpack(order + "HHQ8s", records[: len(records) // 20 * 20]):
        length = KIND_BYTES.get(kind, 0) * number
        if length > 8:
            (place,) = struct.unpack(order + "Q", value)
            value = data[place : place + length] if length <= len(data) else b""
        if code in PIXEL_OFFSETS or number == 0:
            continue
        readable = length > 0 and budget.take(length) and len(value) >= length
        tag = _narrow(TiffTag(code, kind, number, value[:length]), order) if readable else None
        if tag is None:
            dropped.append(f"tag {code}, which cannot be read")
        elif kind in DIRECTORIES and code not in exif.POINTERS.keys() | STRUCTURE:
            dropped.append(f"the directory of tag {code}")
        else:
            tags.append(tag)
    return tags


def _narrow(tag: TiffTag, order: exif.ByteOrder) -> TiffTag | None:
    """A tag of 64-bit integers as one of 32 bits; None if they do not fit."""
    if tag.kind not in WIDE:
        return tag
    wide, letter, kind = WIDE[tag.kind]
    numbers = struct.unpack(f"{order}{tag.count}{wide}", tag.value)
    try:
        return TiffTag(tag.code, kind, tag.count, struct.pack(f"{order}{tag.count}{letter}", *numbers))
    except struct.error:
        return None


def _not_carried(tags: list[TiffTag], named: dict[int, str], order: exif.ByteOrder) -> list[str]:
    """Names for the tags that are left out, those in ``named`` and others."""
    others = [tag for tag in tags if tag.code not in STRUCTURE]
    plain = {tag.code for tag in tags if tag.code == SUBFILE_TYPE and not any(exif.integers(tag, order))}
    known = [named[tag.code] for tag in tags if tag.code in named.keys() - plain]
    large = [f"tag {tag.code} of {len(tag.value)} bytes" for tag in others if len(tag.value) > LARGEST_TAG]
    broken = [
        f"tag {tag.code}, which cannot be read"
        for tag in (*others, *(tag for tag in tags if tag.code in (XMP, ICC)))
        if tag.count and not tag.value
    ]
    return [*known, *large, *broken]


@dataclass(frozen=True)
class Carried:
    """The tags to add to a new file: those of its first directory, and its sub-directories."""

    byte_order: exif.ByteOrder
    main: list[TiffTag]
    subs: dict[int, list[TiffTag]]

    @classmethod
    def of(cls, metadata: Metadata) -> "Carried":
        """The tags of the EXIF block and of a TIFF source; the file gets the block's byte order."""
        coding = metadata.coding if isinstance(metadata.coding, TiffCoding) else None
        order: exif.ByteOrder = coding.byte_order if coding else "<"
        kept = {tag.code: tag for tag in coding.tags} if coding else {}
        subs: dict[int, list[TiffTag]] = {}
        if metadata.exif is not None:
            order = exif.byte_order(metadata.exif)
            entries, _ = exif.read_directory(metadata.exif, exif.first_directory(metadata.exif))
            kept |= {entry.tag.code: entry.tag for entry in entries if _is_storable(entry.tag)}
            for pointer, found in exif.sub_directories(metadata.exif, entries).items():
                if tags := [entry.tag for entry in found if _is_storable(entry.tag)]:
                    subs[pointer] = tags
        return cls(order, list(kept.values()), subs)

    def append_to(self, out: BinaryIO) -> None:
        """Append a longer first directory to a finished file, and make its header point to it.

        Files above 4 GB (BigTIFF) are left unchanged.
        """
        out.seek(0)
        header = out.read(8)
        if not (self.main or self.subs) or header[2:4] not in (b"*\0", b"\0*"):
            return
        out.seek(struct.unpack_from(self.byte_order + "I", header, 4)[0])
        (count,) = struct.unpack(self.byte_order + "H", out.read(2))
        written = exif.stored_tags(out.read(12 * count), self.byte_order)
        added = [tag for tag in self.main if tag.code not in written]
        end = out.seek(0, 2)
        base = end + end % 2
        out.seek(base)
        out.write(exif.directory_bytes(self.byte_order, [*written.values(), *added], self.subs, base))
        out.seek(4)
        out.write(struct.pack(self.byte_order + "I", base))


def _describes_shape(tag: TiffTag) -> bool:
    return tag.code == DESCRIPTION and tag.value.startswith(SHAPE_DESCRIPTION)


def _is_storable(tag: TiffTag) -> bool:
    return bool(tag.value) and tag.kind in exif.KIND_BYTES and tag.code not in STRUCTURE
