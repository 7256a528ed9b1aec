"""Converts a TIFF file's descriptive tags to and from EXIF blocks.

EXIF borrowed the structure of TIFF: a file's first directory holds camera and author, and points to the EXIF
and GPS directories.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from defocusctl.photo import exif, ifd, photoshop
from defocusctl.photo.formats import left_out
from defocusctl.photo.model import JpegCoding, Metadata, TiffCoding, TiffTag

XMP, ICC = 700, 34675
YCBCR = 6

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
        *(*range(255, 260), *range(262, 267), *range(277, 280), *range(282, 285), 273, 274),
        *(288, 289, 292, 293, 296, 317, 320, *range(322, 328), 332, 334, 338, 339, 347, 512, 513, 514, 515),
        *(*range(517, 522), *range(529, 532), 559, XMP, ICC, 50838),
        *(*ifd.POINTERS, *NAMED, *FOR_YCBCR),
    )
)
DESCRIPTIVE = frozenset(
    {exif.X_RESOLUTION, exif.Y_RESOLUTION, exif.RESOLUTION_UNIT, 269, 270, 271, 272, 285, 305, 306, 315, 316}
    | {318, 319, 33432, 18246, 18249, *range(40091, 40096), 50341}
)
DESCRIPTION = 270
SHAPE_DESCRIPTION = b'{"shape":'  # tifffile's record of the array's shape; stale in any other file
NARROW = {  # types of BigTIFF: letter and type of 32 bits
    ifd.LONG_8: ("I", ifd.LONG),
    ifd.SLONG_8: ("i", ifd.SLONG),
    ifd.DIRECTORY_8: ("I", ifd.DIRECTORY),
}
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
    order: ifd.ByteOrder = "<" if data[:2] == b"II" else ">"
    entries, _ = ifd.read_directory(data, page.offset)
    numbers = [ifd.integers(entry.tag, order) for entry in entries if entry.tag.code == exif.ORIENTATION]
    orientation = next((found[0] for found in numbers if found and found[0] in range(1, 9)), 1)
    unread = ["its orientation cannot be read"] if numbers and not any(numbers) else []
    dropped: list[str] = []
    tags = [
        tag
        for tag in _tags(data, order, entries, dropped)
        if tag.code != DESCRIPTION or not tag.value.startswith(SHAPE_DESCRIPTION)
    ]
    values = [tag for tag in tags if 0 < len(tag.value) <= LARGEST_TAG]
    icc, xmp = (next((tag.value for tag in tags if tag.code == code), None) or None for code in (ICC, XMP))
    descriptive = [tag for tag in values if tag.code in DESCRIPTIVE]
    other = tuple(tag for tag in values if tag.code not in DESCRIPTIVE | STRUCTURE)
    readable = ifd.sub_directories(data, entries)
    lost = {tag.code for tag in tags} & set(ifd.POINTERS) - set(readable)
    unread += [f"its {ifd.POINTERS[code]} directory cannot be read" for code in sorted(lost)]
    subs = {}
    for pointer, found in readable.items():
        inner = _tags(data, order, found, dropped)
        if kept := [tag for tag in inner if tag.value and tag.code not in ifd.POINTERS]:
            subs[pointer] = kept
    block = ifd.build(order, descriptive, subs) if descriptive or subs else None
    named = NAMED if page.photometric == YCBCR else NAMED | FOR_YCBCR
    warnings = (*unread, *left_out.warning([*_not_carried(tags, named, order), *dropped]))
    return Directory(icc, block, xmp, orientation, other, warnings)


def _tags(data: bytes, order: ifd.ByteOrder, entries: list[ifd.Entry], dropped: list[str]) -> list[TiffTag]:
    """The tags of a directory in the types of classic TIFF.

    Names for those that point to further directories or cannot be read go to ``dropped``.
    """
    tags = []
    for entry in entries:
        tag = _narrow(entry.tag, order)
        if tag.code in STRUCTURE - {XMP, ICC}:
            tags.append(tag)
        elif ifd.leads_elsewhere(data, entry.tag):
            dropped.append(f"the directory of tag {tag.code}")
        elif tag.count and not tag.value:
            dropped.append(f"tag {tag.code}, which cannot be read")
        else:
            tags.append(tag)
    return tags


def _narrow(tag: TiffTag, order: ifd.ByteOrder) -> TiffTag:
    """A tag of 64-bit integers as one of 32 bits, without a value if they do not fit."""
    if tag.kind not in NARROW:
        return tag
    letter, kind = NARROW[tag.kind]
    try:
        value = struct.pack(f"{order}{tag.count}{letter}", *ifd.integers(tag, order))
    except struct.error:
        value = b""
    return TiffTag(tag.code, kind, tag.count, value)


def _not_carried(tags: list[TiffTag], named: dict[int, str], order: ifd.ByteOrder) -> list[str]:
    """Names for the tags that are left out, those in ``named`` and others."""
    others = [tag for tag in tags if tag.code not in STRUCTURE]
    plain = {tag.code for tag in tags if tag.code == SUBFILE_TYPE and not any(ifd.integers(tag, order))}
    known = [named[tag.code] for tag in tags if tag.code in named.keys() - plain]
    large = [f"tag {tag.code} of {len(tag.value)} bytes" for tag in others if len(tag.value) > LARGEST_TAG]
    return [*known, *large]


def carried(metadata: Metadata) -> tuple[ifd.ByteOrder, list[TiffTag], dict[int, list[TiffTag]]]:
    """The byte order of a new file, and tags and sub-directories to add to its first directory.

    They are those of the EXIF block and of a TIFF source, or the IPTC and Photoshop data of a JPEG.
    """
    coding = metadata.coding if isinstance(metadata.coding, TiffCoding) else None
    order: ifd.ByteOrder = coding.byte_order if coding else "<"
    kept = {tag.code: tag for tag in coding.tags} if coding else {}
    if isinstance(metadata.coding, JpegCoding):
        kept = photoshop.as_tags(metadata.coding)
    subs: dict[int, list[TiffTag]] = {}
    if metadata.exif is not None:
        order = ifd.byte_order(metadata.exif)
        entries, _ = ifd.read_directory(metadata.exif, ifd.first_directory(metadata.exif))
        kept |= {entry.tag.code: entry.tag for entry in entries if _is_storable(entry.tag)}
        for pointer, found in ifd.sub_directories(metadata.exif, entries).items():
            if tags := [entry.tag for entry in found if _is_storable(entry.tag)]:
                subs[pointer] = tags
    return order, list(kept.values()), subs


def append(out: BinaryIO, order: ifd.ByteOrder, main: list[TiffTag], subs: dict[int, list[TiffTag]]) -> None:
    """Append a longer first directory to a finished file, and make its header point to it.

    Files above 4 GB (BigTIFF) are left unchanged.
    """
    out.seek(0)
    header = out.read(8)
    if not (main or subs) or header[2:4] not in (b"*\0", b"\0*"):
        return
    out.seek(struct.unpack_from(order + "I", header, 4)[0])
    (count,) = struct.unpack(order + "H", out.read(2))
    written = ifd.stored_tags(out.read(12 * count), order)
    added = [tag for tag in main if tag.code not in written]
    end = out.seek(0, 2)
    base = end + end % 2
    out.seek(base)
    out.write(ifd.directory_bytes(order, [*written.values(), *added], subs, base))
    out.seek(4)
    out.write(struct.pack(order + "I", base))


def _is_storable(tag: TiffTag) -> bool:
    return bool(tag.value) and tag.kind in ifd.KIND_BYTES.keys() - NARROW and tag.code not in STRUCTURE
