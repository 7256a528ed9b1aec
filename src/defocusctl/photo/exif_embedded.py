"""What some programs embed in an EXIF block: pictures of the unrestored photo, XMP and Photoshop resources.

Pictures are blanked, the XMP packet is moved to its proper place, and the resources are edited. No offsets
change. Pictures are found anywhere: linked as a thumbnail, left behind by a program that only removed the
link, or in a maker note.
"""

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from defocusctl.photo import embedded_pictures, ifd, photoshop
from defocusctl.photo.embedded_pictures import Span
from defocusctl.photo.reframing import Reframing

XMP, MAKER_NOTE = 700, 37500
LONGEST_MAKER = 32  # bytes before the directory in a maker note
PICTURES = {273, 279, 324, 325, 330, 513, 514}  # where a picture's parts or its directory are


def without_previews(block: bytes) -> tuple[bytes, list[str]]:
    """The block with zeros instead of its pictures and of all bytes that no tag of the photo refers to.

    Those hold the directories of thumbnails, and what programs leave behind that only remove the links. Also
    returns names for what was not a preview: other directories, values outside of the maker note.
    """
    offset = ifd.first_directory(block)
    entries, link = ifd.read_directory(block, offset)
    directories = [entries, *filter(None, ifd.sub_directories(block, entries).values())]
    structure = [(0, 8), (offset, link)]
    structure += [(found[0].position - 2, found[-1].position + 12) for found in directories[1:]]
    values = [_place(block, entry) for found in directories for entry in found if len(entry.tag.value) > 4]
    pictures = [
        (start + first, start + last)
        for start, end in values
        for first, last in embedded_pictures.spans(block[start:end])
    ]
    size = len(block)
    kept = _covered(structure, size) | (_covered(values, size) & ~_covered(pictures, size))
    stored = np.frombuffer(block, np.uint8)
    blanked = np.where(kept, stored, 0).astype(np.uint8)
    outside = [place for found in directories for place in _outside_maker_note(block, found)]
    lost = ["values outside of its maker note"] * any(
        (stored[part] != blanked[part]).any() for part in outside
    )
    cleaned = blanked.tobytes()
    for found in filter(None, directories):
        foreign = {entry.tag.code for entry in found if ifd.leads_elsewhere(block, entry.tag)}
        lost += [f"the directory of tag {code}" for code in sorted(foreign - PICTURES)]
        if foreign or found is entries:
            cleaned = ifd.without_tags(cleaned, found[0].position - 2, foreign | PICTURES)
    return cleaned, lost


def without_xmp(block: bytes) -> tuple[bytes, list[bytes]]:
    """The block with its XMP packets blanked, and those packets."""
    first = ifd.first_directory(block)
    entries, _ = ifd.read_directory(block, first)
    packets = [each.tag.value for each in entries if each.tag.code == XMP and len(each.tag.value) > 4]
    blanked = _edited(block, XMP, lambda _: b"")
    return ifd.without_tags(blanked, first, {XMP} if packets else set()), packets


def without_photoshop(block: bytes, reframing: Reframing | None, removed: photoshop.Removed) -> bytes:
    """The block with its Photoshop resources cleaned by ``photoshop.cleaned``, in zeros."""
    return _edited(
        block, photoshop.PHOTOSHOP_TAG, lambda resources: photoshop.cleaned(resources, reframing, removed)
    )


def _edited(block: bytes, code: int, edit: Callable[[bytes], bytes]) -> bytes:
    """The block with the values of a tag outside of the first directory edited, and padded with zeros."""
    patched = bytearray(block)
    for entry in ifd.read_directory(block, ifd.first_directory(block))[0]:
        if entry.tag.code == code and len(entry.tag.value) > 4:
            start, end = _place(block, entry)
            patched[start:end] = edit(entry.tag.value).ljust(end - start, b"\0")
    return bytes(patched)


def _outside_maker_note(block: bytes, entries: list[ifd.Entry]) -> list[slice]:
    """Where values of the maker note in a directory are, if it has offsets into the block, beyond its end.

    Its own directory follows a name of the maker. Offsets that all fit into the note are relative to it.
    """
    note = next((entry for entry in entries if entry.tag.code == MAKER_NOTE), None)
    if note is None or len(note.tag.value) <= 4:
        return []
    start, end = _place(block, note)
    for position in range(start, min(start + LONGEST_MAKER, end), 2):
        try:
            inner, link = ifd.read_directory(block, position)
        except ifd.BrokenExifError:
            continue
        if inner and link <= end and all(entry.tag.kind in ifd.KIND_BYTES for entry in inner):
            values = [entry for entry in inner if len(entry.tag.value) > 4]
            places = [_place(block, each) for each in values if not embedded_pictures.spans(each.tag.value)]
            absolute = any(last > end - start for _, last in places)
            return [slice(*place) for place in places if absolute and not start <= place[0] < place[1] <= end]
    return []


def _place(block: bytes, entry: ifd.Entry) -> Span:
    """Where the value of a tag is that is stored outside of its directory."""
    (start,) = struct.unpack_from(ifd.byte_order(block) + "I", block, entry.position + 8)
    return start, start + len(entry.tag.value)


def _covered(spans: list[Span], length: int) -> npt.NDArray[np.bool_]:
    """For every byte of a block, whether a span covers it."""
    covered = np.zeros(length, np.bool_)
    for start, end in spans:
        covered[start:end] = True
    return covered
