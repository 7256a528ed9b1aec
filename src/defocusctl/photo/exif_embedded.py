"""What some programs embed in an EXIF block: pictures of the unrestored photo, XMP and Photoshop resources.

Pictures are blanked, the XMP packet is moved to its proper place, and the resources are edited. No offsets
change. Pictures are found anywhere: linked as a thumbnail, left behind by a program that only removed the
link, or in a maker note.
"""

import struct

import numpy as np
import numpy.typing as npt

from defocusctl.photo import embedded_jpegs, exif, photoshop
from defocusctl.photo.embedded_jpegs import Span

XMP, PHOTOSHOP = 700, 34377
PICTURES = {273, 279, 324, 325, 330, 513, 514}  # where a picture's parts or its directory are


def without_previews(block: bytes) -> bytes:
    """The block with zeros instead of its pictures and of all bytes that no tag of the photo refers to.

    Those hold the directories of thumbnails, and what programs leave behind that only remove the links.

    Raises:
        BrokenExifError: if the first directory cannot be read.
    """
    offset = exif.first_directory(block)
    entries, link = exif.read_directory(block, offset)
    directories = [entries, *filter(None, exif.sub_directories(block, entries).values())]
    structure = [(0, 8), (offset, link)]
    structure += [(found[0].position - 2, found[-1].position + 12) for found in directories[1:]]
    values = [_place(block, entry) for found in directories for entry in found if len(entry.tag.value) > 4]
    pictures = [
        (start + first, start + last)
        for start, end in values
        for first, last in embedded_jpegs.spans(block[start:end])
    ]
    size = len(block)
    kept = _covered(structure, size) | (_covered(values, size) & ~_covered(pictures, size))
    samples = np.where(kept, np.frombuffer(block, np.uint8), 0).astype(np.uint8)
    return exif.without_tags(samples.tobytes(), offset, PICTURES)


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
    entries, _ = exif.read_directory(block, exif.first_directory(block))
    return [
        (entry.tag.value, _place(block, entry)[0])
        for entry in entries
        if entry.tag.code == code and len(entry.tag.value) > 4
    ]


def _place(block: bytes, entry: exif.Entry) -> Span:
    """Where the value of a tag is that is stored outside of its directory."""
    (start,) = struct.unpack_from(exif.byte_order(block) + "I", block, entry.position + 8)
    return start, start + len(entry.tag.value)


def _covered(spans: list[Span], length: int) -> npt.NDArray[np.bool_]:
    """For every byte of a block, whether a span covers it."""
    limits = np.clip(np.array(spans, np.int64).reshape(-1, 2), 0, length)
    changes = np.zeros(length + 1, np.int64)
    np.add.at(changes, limits[:, 0], 1)
    np.add.at(changes, limits[:, 1], -1)
    return np.cumsum(changes[:-1]) > 0
