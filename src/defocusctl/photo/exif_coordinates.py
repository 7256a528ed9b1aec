"""EXIF and TIFF tags with image coordinates: they are transformed when the picture is rotated or cropped."""

import struct

from defocusctl.photo import ifd
from defocusctl.photo.model import TiffTag
from defocusctl.photo.reframing import Area, Reframing

DESCRIPTION = 270
SUBJECT_AREA, SUBJECT_LOCATION = 37396, 41492
OME = b"<OME"
PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
GEOGRAPHIC = frozenset((PIXEL_SCALE, 33920, TIE_POINTS, TRANSFORMATION, 34735, 34736, 34737, 50844))
OTHER_GEOREFERENCES = frozenset((33920, 50844))  # Intergraph's matrix and rational polynomials
PAGE_POSITION = frozenset((286, 287))
CROPS = frozenset((50719, 50720, 50829, 50830, 51125))  # DNG: default crop, active and masked areas
DOUBLE = 12
LOST_MAP, LOST_PAGE = "the map position (GeoTIFF)", "the page position"
LOST_SUBJECT, LOST_CROP = "the subject's position", "a crop of the raw picture (DNG tags)"


def reframed(block: bytes, reframing: Reframing) -> tuple[bytes, list[str]]:
    """The EXIF block with its subject area transformed, and the names of what was removed.

    The subject area may be in the first directory (TIFF/EP) or in the EXIF directory.

    Raises:
        BrokenExifError: if the first directory cannot be read.
    """
    order = ifd.byte_order(block)
    first = ifd.first_directory(block)
    entries, _ = ifd.read_directory(block, first)
    lost = []
    if any(entry.tag.code == DESCRIPTION and OME in entry.tag.value for entry in entries):
        block = ifd.without_tags(block, first, {DESCRIPTION})
        lost.append("OME-XML")
    entries, _ = ifd.read_directory(block, first)
    for directory in (entries, ifd.sub_directories(block, entries).get(ifd.EXIF_IFD, [])):
        patched, gone = bytearray(block), {each.tag.code for each in directory} & CROPS
        lost += [LOST_CROP] if gone else []
        for entry in directory:
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
    return block, list(dict.fromkeys(lost))


def _subject(tag: TiffTag, order: ifd.ByteOrder, reframing: Reframing) -> bytes | None:
    """The transformed value, of the same length, or None if it is cut off or cannot be read.

    It is a point, a circle (centre and diameter) or a rectangle (centre and sides).
    """
    numbers = ifd.integers(tag, order)
    if len(numbers) not in (2, 3, 4):
        return None
    width, height = {2: (0, 0), 3: (numbers[-1], numbers[-1]), 4: (numbers[2:])}[len(numbers)]
    area = reframing.area(Area(numbers[0], numbers[1], width, height))
    if area is None:
        return None
    sides = {2: [], 3: [max(area.width, area.height)], 4: [area.width, area.height]}[len(numbers)]
    moved = [max(round(value), 0) for value in (area.x, area.y, *sides)]
    try:
        return struct.pack(f"{order}{len(moved)}{ifd.INTEGER_LETTERS[tag.kind]}", *moved)
    except struct.error:
        return None


def tags_reframed(
    tags: tuple[TiffTag, ...], order: ifd.ByteOrder, reframing: Reframing
) -> tuple[tuple[TiffTag, ...], list[str]]:
    """A TIFF's tags with subject and map position transformed, and the names of what was removed.

    The map position of a rotated picture is removed, and so are any page position and a DNG's crop.
    """
    unmoved, lost = tags, []
    for codes, name in ((PAGE_POSITION, LOST_PAGE), (CROPS, LOST_CROP)):
        if any(tag.code in codes for tag in unmoved):
            unmoved = tuple(tag for tag in unmoved if tag.code not in codes)
            lost.append(name)
    kept: list[TiffTag] = []
    for tag in unmoved:
        if tag.code not in (SUBJECT_AREA, SUBJECT_LOCATION):
            kept.append(tag)
        elif moved_subject := _subject(tag, order, reframing):
            kept.append(TiffTag(tag.code, tag.kind, tag.count, moved_subject))
        else:
            lost.append(LOST_SUBJECT)
    found = {tag.code for tag in kept} & GEOGRAPHIC
    if not found:
        return tuple(kept), lost
    moved = (
        None if reframing.rotates or found & OTHER_GEOREFERENCES else _map_position(kept, order, reframing)
    )
    if moved is None:
        return tuple(tag for tag in kept if tag.code not in GEOGRAPHIC), [*lost, LOST_MAP]
    return moved, lost


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
        moved.append(TiffTag(tag.code, tag.kind, tag.count, struct.pack(f"{order}{tag.count}d", *numbers)))
    return tuple(moved)
