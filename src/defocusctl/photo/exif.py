"""EXIF blocks (EXIF 2.32): orientation, size and resolution of the picture, patched in place."""

import struct
from dataclasses import dataclass

from defocusctl.geometry import Size
from defocusctl.photo import ifd
from defocusctl.photo.model import Resolution, TiffTag
from defocusctl.photo.reframing import swaps_sides

HEADER = b"Exif\0\0"  # before a block in a JPEG segment, and in what some programs write elsewhere
IMAGE_WIDTH, IMAGE_LENGTH = 256, 257
ORIENTATION = 274
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
PIXEL_X, PIXEL_Y = 40962, 40963
FOCAL_PLANE_X, FOCAL_PLANE_Y = 41486, 41487
RELATED_WIDTH, RELATED_LENGTH = 4097, 4098


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

    Raises:
        ifd.BrokenExifError: if the first directory cannot be read.
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


def without_orientation(block: bytes) -> bytes:
    """The block without the orientation in its first directory; nothing else moves."""
    return ifd.without_tags(block, ifd.first_directory(block), {ORIENTATION})


def with_resolution(block: bytes | None, resolution: Resolution) -> bytes:
    """The block, or a new one, with this resolution; unchanged if it already says about the same.

    Raises:
        ifd.BrokenExifError: if the first directory cannot be read.
    """
    order: ifd.ByteOrder = "<" if block is None else ifd.byte_order(block)
    dots = resolution.per("inch") if resolution.unit == "m" else (resolution.x, resolution.y)
    sides = zip((X_RESOLUTION, Y_RESOLUTION), dots or (1, 1), strict=True)
    tags = [
        TiffTag(code, ifd.RATIONAL, 1, struct.pack(order + "II", *_fraction(side))) for code, side in sides
    ]
    unit = {"none": 1, "cm": 3}.get(resolution.unit, 2)
    tags.append(TiffTag(RESOLUTION_UNIT, ifd.SHORT, 1, struct.pack(order + "H", unit)))
    if block is None:
        return ifd.build(order, tags, {})
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    stated = _resolution(entries, order)
    return block if stated is not None and stated.resembles(resolution) else ifd.with_tags(block, tags)


def _fraction(value: float) -> tuple[int, int]:
    return min(max(round(value * 10000), 1), 2**32 - 1), 10000


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
        if tag is None or tag.kind != ifd.RATIONAL or len(tag.value) < 8:
            return None
        numerator, denominator = struct.unpack_from(order + "II", tag.value)
        if numerator == 0 or denominator == 0:
            return None
        sides.append(numerator / denominator)
    unit = ifd.integer(tags[RESOLUTION_UNIT], order) if RESOLUTION_UNIT in tags else 2
    return Resolution(sides[0], sides[1], {1: "none", 3: "cm"}.get(unit or 2, "inch"))  # type: ignore[arg-type]
