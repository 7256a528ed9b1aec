"""What some programs embed in an EXIF block: pictures of the unrestored photo, XMP and Photoshop resources.

Pictures are blanked, the XMP packet is moved to its proper place, and the resources are edited. No offsets
change. Pictures are found anywhere: linked as a thumbnail, left behind by a program that only removed the
link, or in a maker note.
"""

import re
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from defocusctl.photo import exif, photoshop

XMP, PHOTOSHOP = 700, 34377
START = b"\xff\xd8\xff"
LIKELY_SECOND = frozenset((0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)))
END, SCAN = 0xD9, 0xDA
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed byte nor a restart marker
PART_TAGS = {513: 514, 273: 279, 324: 325}  # tags: offsets -> lengths of a picture's parts
MAX_DIRECTORIES = 8

Span = tuple[int, int]  # start and end (exclusive)


def without_previews(block: bytes) -> bytes:
    """The block with zeros instead of its pictures and the directories that describe them.

    Raises:
        BrokenExifError: if the first directory cannot be read.
    """
    offset = exif.first_directory(block)
    entries, link = exif.read_directory(block, offset)
    kept = _covered(_spans_to_keep(block, offset, entries, link), len(block))
    further = _covered(_further_directories(block, link), len(block)) & ~kept
    samples = np.frombuffer(block, np.uint8).copy()
    samples[further] = 0
    samples[link : link + 4] = 0
    inside, loose = [], []
    for start, end in _jpegs(block):
        if not kept[start]:
            loose.append((start, end or len(block)))
        elif end:
            inside.append((start, end))
    samples[_covered(inside, len(block)) | (_covered(loose, len(block)) & ~kept)] = 0
    return samples.tobytes()


def without_xmp(block: bytes) -> tuple[bytes, bytes | None]:
    """The block with its XMP packet blanked, and that packet.

    Raises:
        BrokenExifError: if the first directory cannot be read.
    """
    packet = None
    patched = bytearray(block)
    for value, place in _values(block, XMP):
        packet = packet or value
        patched[place : place + len(value)] = bytes(len(value))
    if packet is None:
        return block, None
    return exif.without_tags(bytes(patched), exif.first_directory(block), {XMP}), packet


def without_photoshop(block: bytes, *, coordinates: bool) -> tuple[bytes, list[str]]:
    """The block with its Photoshop resources cleaned by ``photoshop.cleaned``, and what was lost.

    Removed data are replaced by zeros.

    Raises:
        BrokenExifError: if the first directory cannot be read.
    """
    lost: list[str] = []
    patched = bytearray(block)
    for value, place in _values(block, PHOTOSHOP):
        content, names = photoshop.cleaned(value, coordinates=coordinates)
        lost += names
        patched[place : place + len(value)] = content.ljust(len(value), b"\0")
    return bytes(patched), lost


def _values(block: bytes, code: int) -> list[tuple[bytes, int]]:
    """The values of a tag that are stored outside of the first directory, and their positions."""
    order = exif.byte_order(block)
    entries, _ = exif.read_directory(block, exif.first_directory(block))
    return [
        (entry.tag.value, struct.unpack_from(order + "I", block, entry.position + 8)[0])
        for entry in entries
        if entry.tag.code == code and len(entry.tag.value) > 4
    ]


def _covered(spans: list[Span], length: int) -> npt.NDArray[np.bool_]:
    """For every byte of a block, whether a span covers it."""
    limits = np.clip(np.array(spans, np.int64).reshape(-1, 2), 0, length)
    changes = np.zeros(length + 1, np.int64)
    np.add.at(changes, limits[:, 0], 1)
    np.add.at(changes, limits[:, 1], -1)
    return np.cumsum(changes[:-1]) > 0


def _spans_to_keep(block: bytes, offset: int, entries: list[exif.Entry], link: int) -> list[Span]:
    """The header, the first directory and its sub-directories, and their values."""
    order = exif.byte_order(block)
    found = [(0, 8), (offset, link + 4)]
    directories = [entries, *exif.sub_directories(block, entries).values()]
    for directory in directories[1:]:
        if directory:
            found.append((directory[0].position - 2, directory[-1].position + 16))
    for entry in (entry for directory in directories for entry in directory):
        if len(entry.tag.value) > 4:
            (start,) = struct.unpack_from(order + "I", block, entry.position + 8)
            found.append((start, start + len(entry.tag.value)))
    return found


def _further_directories(block: bytes, link: int) -> list[Span]:
    """The directories after the first, their values, and the pictures they describe."""
    order, budget = exif.byte_order(block), exif.ReadBudget.of(block)
    found: list[Span] = []
    seen: set[int] = set()
    while link + 4 <= len(block) and len(seen) < MAX_DIRECTORIES:
        (offset,) = struct.unpack_from(order + "I", block, link)
        if offset in seen:
            break
        seen.add(offset)
        try:
            entries, link = exif.read_directory(block, offset, budget)
        except exif.BrokenExifError:
            break
        found.append((offset, link + 4))
        parts = [entry.tag for entry in entries if entry.tag.code in (*PART_TAGS, *PART_TAGS.values())]
        numbers = {tag.code: exif.integers(tag, order) for tag in parts}
        for offsets, lengths in PART_TAGS.items():
            pairs = zip(numbers.get(offsets, []), numbers.get(lengths, []), strict=False)
            found += [(start, start + length) for start, length in pairs if length > 0]
    return found


def _jpegs(block: bytes) -> Iterator[Span]:
    """The starts and ends of possible JPEG files; the end is 0 if none is found."""
    markers = np.array([found.start() for found in NEXT_MARKER.finditer(block)], np.int64)
    nowhere: set[int] = set()  # positions that lead to no end, to visit none twice
    start = block.find(START)
    while 0 <= start < len(block) - 3:
        end = 0
        if block[start + 3] in LIKELY_SECOND:
            end = _jpeg_end(block, start, markers, nowhere)
            yield start, end
        start = block.find(START, end or start + 3)


def _jpeg_end(block: bytes, start: int, markers: npt.NDArray[np.int64], nowhere: set[int]) -> int:
    """The end of the JPEG file that begins at ``start``; 0 if its segments lead to none."""
    position, passed = start + 2, set()
    while (
        position not in nowhere and block[position : position + 1] == b"\xff" and position + 2 <= len(block)
    ):
        marker = block[position + 1]
        if marker == END:
            return position + 2
        passed.add(position)
        position += 2 + int.from_bytes(block[position + 2 : position + 4], "big")
        if marker == SCAN:
            following = int(np.searchsorted(markers, position))
            position = int(markers[following]) if following < len(markers) else len(block)
    nowhere |= passed
    return 0
