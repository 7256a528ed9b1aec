"""EXIF blocks (EXIF 2.32): orientation, size, resolution and coordinates of the picture, patched in place.

TIFF files have some of the same tags, and those of maps (GeoTIFF) and raw pictures (DNG).
"""

import struct
from dataclasses import dataclass, replace

from defocusctl.photo import ifd
from defocusctl.photo.geometry import Size
from defocusctl.photo.model import Resolution, TiffTag
from defocusctl.photo.reframing import Reframing, swaps_sides

HEADER = b"Exif\0\0"  # before a block in a JPEG segment, and in what some programs write elsewhere
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
ORIENTATION = 274
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
PIXEL_X, PIXEL_Y = 40962, 40963
FOCAL_PLANE_X, FOCAL_PLANE_Y = 41486, 41487
RELATED_WIDTH, RELATED_LENGTH = 4097, 4098
DESCRIPTION = 270
SUBJECT_AREA, SUBJECT_LOCATION = 37396, 41492
OME = b"<OME"
TIE_POINTS, TRANSFORMATION = 33922, 34264
GEOGRAPHIC = frozenset((33550, 33920, TIE_POINTS, TRANSFORMATION, 34735, 34736, 34737, 50844))
OTHER_GEOREFERENCES = frozenset((33920, 50844))  # Intergraph's matrix and rational polynomials
PAGE_POSITION = frozenset((286, 287))
CROPS = frozenset((50719, 50720, 50829, 50830, 51125))  # DNG: default crop, active and masked areas
DOUBLE = 12
LOST_SUBJECT, LOST_CROP = "the subject's position", "a crop of the raw picture (DNG tags)"


@dataclass(frozen=True)
class Normalised:
    """An EXIF block with orientation 1, its original orientation, and what could not be read."""

    block: bytes
    orientation: int | None
    resolution: Resolution | None
    unreadable: tuple[str, ...]


def normalise(block: bytes) -> Normalised:
    """The block with orientation 1, and with width and height swapped if need be.

    Unreadable entries, such as an orientation that is not an integer, stay as they are.
    """
    order = ifd.byte_order(block)
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    subs = ifd.sub_directories(block, entries)
    pointers = {entry.tag.code for entry in (*entries, *subs.get(ifd.EXIF_IFD, ()))} & set(ifd.POINTERS)
    unreadable = [f"{ifd.POINTERS[code]} directory" for code in sorted(pointers - set(subs))]
    patched = bytearray(block)
    orientation = None
    for entry in entries:
        if entry.tag.code == ORIENTATION:
            value = ifd.integer(entry.tag, order)
            if value is None:
                unreadable.append("orientation")
            elif value in range(1, 9):
                orientation = orientation or value
                struct.pack_into(order + "HHIHH", patched, entry.position, ORIENTATION, ifd.SHORT, 1, 1, 0)
    if orientation is not None and swaps_sides(orientation):
        _swap(patched, entries, IMAGE_WIDTH, IMAGE_LENGTH)
        _swap(patched, entries, X_RESOLUTION, Y_RESOLUTION)
        _swap(patched, subs.get(ifd.EXIF_IFD, []), PIXEL_X, PIXEL_Y)
        _swap(patched, subs.get(ifd.EXIF_IFD, []), FOCAL_PLANE_X, FOCAL_PLANE_Y)
        _swap(patched, subs.get(ifd.INTEROP_IFD, []), RELATED_WIDTH, RELATED_LENGTH)
    resolution = _resolution(entries, order)
    return Normalised(bytes(patched), orientation, resolution, tuple(dict.fromkeys(unreadable)))


def with_size(block: bytes, size: Size) -> bytes:
    """The block with existing tags for the size of the picture set to ``size``."""
    order = ifd.byte_order(block)
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    subs = ifd.sub_directories(block, entries)
    widths, lengths = (IMAGE_WIDTH, PIXEL_X, RELATED_WIDTH), (IMAGE_LENGTH, PIXEL_Y, RELATED_LENGTH)
    wanted = dict.fromkeys(widths, size.width) | dict.fromkeys(lengths, size.height)
    patched = bytearray(block)
    for entry in (*entries, *subs.get(ifd.EXIF_IFD, ()), *subs.get(ifd.INTEROP_IFD, ())):
        code = entry.tag.code
        if code in wanted and ifd.integer(entry.tag, order) not in (None, wanted[code]):
            struct.pack_into(order + "HHII", patched, entry.position, code, ifd.LONG, 1, wanted[code])
    return bytes(patched)


def resolution_of(block: bytes) -> Resolution | None:
    """The resolution in the block, if it states one."""
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    return _resolution(entries, ifd.byte_order(block))


def with_resolution(block: bytes | None, resolution: Resolution) -> bytes:
    """The block, or a new one, with this resolution; unchanged if it already says about the same."""
    order: ifd.ByteOrder = "<" if block is None else ifd.byte_order(block)
    dots = resolution.per("inch") if resolution.unit == "m" else (resolution.x, resolution.y)
    tags = []
    for code, side in zip((X_RESOLUTION, Y_RESOLUTION), dots or (1, 1), strict=True):
        numerator = min(max(round(side * 10000), 1), 2**32 - 1)
        tags.append(TiffTag(code, ifd.RATIONAL, 1, struct.pack(order + "II", numerator, 10000)))
    unit = {"none": 1, "cm": 3}.get(resolution.unit, 2)
    tags.append(TiffTag(RESOLUTION_UNIT, ifd.SHORT, 1, struct.pack(order + "H", unit)))
    if block is None:
        return ifd.build(order, tags, {})
    stated = resolution_of(block)
    return block if stated is not None and stated.resembles(resolution) else ifd.with_tags(block, tags)


def reframed(block: bytes, reframing: Reframing) -> tuple[bytes, list[str]]:
    """The EXIF block with its subject area transformed, and the names of what was removed.

    The subject area may be in the first directory (TIFF/EP) or in the EXIF directory.
    """
    order = ifd.byte_order(block)
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    lost = []
    for directory in (entries, ifd.sub_directories(block, entries).get(ifd.EXIF_IFD, [])):
        patched, gone = bytearray(block), {each.tag.code for each in directory} & CROPS
        lost += [LOST_CROP] if gone else []
        for entry in directory:
            if entry.tag.code == DESCRIPTION and OME in entry.tag.value:
                gone.add(DESCRIPTION)
                lost.append("OME-XML")
            if entry.tag.code not in (SUBJECT_AREA, SUBJECT_LOCATION):
                continue
            moved = _subject(entry.tag, order, reframing)
            if moved is None:
                gone.add(entry.tag.code)
                lost.append(LOST_SUBJECT)
                continue
            place = entry.position + 8
            if len(moved) > 4:
                (place,) = struct.unpack_from(order + "I", block, place)
            patched[place : place + len(moved)] = moved
        block = bytes(patched)
        if gone:
            block = ifd.without_tags(block, directory[0].position - 2, gone)
    return block, lost


def tags_reframed(
    tags: tuple[TiffTag, ...], order: ifd.ByteOrder, reframing: Reframing
) -> tuple[tuple[TiffTag, ...], list[str]]:
    """A TIFF's tags with subject and map position transformed, and the names of what was removed.

    The map position of a rotated picture is removed, and so are any page position and a DNG's crop.
    """
    kept: list[TiffTag] = []
    lost = []
    for tag in tags:
        if tag.code in PAGE_POSITION:
            lost.append("the page position")
        elif tag.code in CROPS:
            lost.append(LOST_CROP)
        elif tag.code not in (SUBJECT_AREA, SUBJECT_LOCATION):
            kept.append(tag)
        elif moved_subject := _subject(tag, order, reframing):
            kept.append(replace(tag, value=moved_subject))
        else:
            lost.append(LOST_SUBJECT)
    found = {tag.code for tag in kept} & GEOGRAPHIC
    if not found:
        return tuple(kept), lost
    fixed = reframing.rotates or found & OTHER_GEOREFERENCES
    moved = None if fixed else _map_position(kept, order, reframing)
    if moved is None:
        kept = [tag for tag in kept if tag.code not in GEOGRAPHIC]
        return tuple(kept), [*lost, "the map position (GeoTIFF)"]
    return moved, lost


def _swap(patched: bytearray, entries: list[ifd.Entry], first: int, second: int) -> None:
    """Swap the values of two tags if both are present."""
    positions = {entry.tag.code: entry.position for entry in entries}
    if first in positions and second in positions:
        a, b = positions[first] + 2, positions[second] + 2
        patched[a : a + 10], patched[b : b + 10] = patched[b : b + 10], patched[a : a + 10]


def _resolution(entries: list[ifd.Entry], order: ifd.ByteOrder) -> Resolution | None:
    tags = {entry.tag.code: entry.tag for entry in entries}
    sides = []
    for code in (X_RESOLUTION, Y_RESOLUTION):
        tag = tags.get(code)
        if tag is None or tag.kind not in (ifd.RATIONAL, ifd.SRATIONAL) or len(tag.value) < 8:
            return None
        numerator, denominator = struct.unpack_from(
            order + ("II" if tag.kind == ifd.RATIONAL else "ii"), tag.value
        )
        if min(numerator, denominator) <= 0:
            return None
        sides.append(numerator / denominator)
    unit = ifd.integer(tags[RESOLUTION_UNIT], order) if RESOLUTION_UNIT in tags else 2
    return Resolution(sides[0], sides[1], {1: "none", 3: "cm"}.get(unit or 2, "inch"))  # type: ignore[arg-type]


def _subject(tag: TiffTag, order: ifd.ByteOrder, reframing: Reframing) -> bytes | None:
    """The transformed value, of the same length, or None if it is cut off or cannot be read."""
    subject = reframing.subject(ifd.integers(tag, order))
    if subject is None:
        return None
    moved = [max(round(value), 0) for value in subject]
    try:
        return struct.pack(f"{order}{len(moved)}{ifd.INTEGER_LETTERS[tag.kind]}", *moved)
    except struct.error:
        return None


def _map_position(
    tags: list[TiffTag], order: ifd.ByteOrder, reframing: Reframing
) -> tuple[TiffTag, ...] | None:
    """The tags with tie points and transformation adapted to a new top left corner."""
    moved = []
    left, top = reframing.box.left, reframing.box.top
    for tag in tags:
        if tag.code not in (TIE_POINTS, TRANSFORMATION):
            moved.append(tag)
            continue
        step = 6 if tag.code == TIE_POINTS else 16
        if tag.kind != DOUBLE or len(tag.value) != 8 * tag.count or tag.count % step:
            return None
        numbers = list(struct.unpack(f"{order}{tag.count}d", tag.value))
        if tag.code == TIE_POINTS:  # column, row, height, and their map coordinates
            numbers[0::6] = [column - left for column in numbers[0::6]]
            numbers[1::6] = [row - top for row in numbers[1::6]]
        else:  # a matrix from (column, row, height, 1) to map coordinates
            for row in range(0, tag.count, 4):
                numbers[row + 3] += numbers[row] * left + numbers[row + 1] * top
        moved.append(replace(tag, value=struct.pack(f"{order}{tag.count}d", *numbers)))
    return tuple(moved)
