"""XMP and Photoshop resources that some programs put into an EXIF block, as a TIFF file has them.

The XMP is moved to where it belongs, the resources are edited in place: no offset in the block changes.
"""

import struct

from defocusctl.photo import exif, photoshop

XMP, PHOTOSHOP = 700, 34377


def without_xmp(block: bytes) -> tuple[bytes, bytes | None]:
    """The block without its XMP packet, whose bytes are blanked, and that packet.

    Raises:
        BrokenExifError: if the first directory cannot be followed.
    """
    packet = None
    patched = bytearray(block)
    for value, place in _values(block, XMP):
        packet = packet or value
        patched[place : place + len(value)] = bytes(len(value))
    if packet is None:
        return block, None
    return exif.without(bytes(patched), exif.first_directory(block), {XMP}), packet


def without_photoshop(block: bytes, *, places: bool) -> tuple[bytes, list[str]]:
    """The block with its Photoshop resources as ``photoshop.without`` leaves them, and what was lost.

    Zeros fill the room of what was taken out.

    Raises:
        BrokenExifError: if the first directory cannot be followed.
    """
    lost: list[str] = []
    patched = bytearray(block)
    for value, place in _values(block, PHOTOSHOP):
        content, names = photoshop.without(value, places=places)
        lost += names
        patched[place : place + len(value)] = content.ljust(len(value), b"\0")
    return bytes(patched), lost


def _values(block: bytes, code: int) -> list[tuple[bytes, int]]:
    """The values of a tag of the first directory that lie outside of it, and where they lie."""
    order = exif.byte_order(block)
    entries, _ = exif.read_directory(block, exif.first_directory(block))
    return [
        (entry.tag.value, struct.unpack_from(order + "I", block, entry.position + 8)[0])
        for entry in entries
        if entry.tag.code == code and len(entry.tag.value) > 4
    ]
