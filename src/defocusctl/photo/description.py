"""What a photo's metadata say of the picture, kept true when it is restored, turned upright or cut.

Previews of the old picture are blanked, claims about what no result holds are taken out, and places in the
picture follow it.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

from defocusctl.geometry import Box, Size
from defocusctl.photo import (
    exif,
    exif_copies,
    exif_places,
    exif_previews,
    extended_xmp,
    photoshop,
    xmp,
    xmp_claims,
    xmp_places,
)
from defocusctl.photo.formats import jpeg_segments
from defocusctl.photo.formats.png_text import edited_photoshop
from defocusctl.photo.model import Coding, JpegCoding, Metadata, Photo, PngCoding, TiffCoding, TiffTag
from defocusctl.photo.orientation import swaps_sides
from defocusctl.photo.reframing import Reframing
from defocusctl.photo.xmp_packet import BrokenXmpError, LargeXmpError, Packet

IPTC_TAG = 33723


@dataclass(frozen=True)
class Checked:
    """Metadata without what is broken or untrue, the orientations they named, and what to say about it."""

    metadata: Metadata
    exif_orientation: int | None
    xmp_orientation: int | None
    warnings: tuple[str, ...]


def checked(metadata: Metadata) -> Checked:
    """Metadata as read from a file, with their orientations reset to 1, without previews and false claims.

    Broken EXIF or XMP data are left out with a warning.
    """
    notes: list[str] = []
    metadata, joining = _with_extended_xmp(metadata)
    notes += joining
    block, packet, resolution = metadata.exif, metadata.xmp, metadata.resolution
    exif_orientation = xmp_orientation = None
    if block is not None:
        try:
            normalised = exif.normalise(block)
            block, exif_orientation = exif_previews.blanked(normalised.block), normalised.orientation
            block, copied = exif_copies.without_xmp(block)
            block, lost = exif_copies.without_photoshop(block, places=False)
            packet = packet or copied
            notes += _warning("left out of its EXIF", lost)
            resolution = resolution or normalised.resolution
            notes += [f"the {name} in its EXIF cannot be read" for name in normalised.unreadable]
        except (exif.BrokenExifError, struct.error):
            notes.append("broken EXIF left out")
            block = None
    if packet is not None:
        try:
            parsed = Packet(packet)
            xmp_orientation = xmp.normalise(parsed)
            spoken = xmp_claims.take_out(parsed)
            packet = parsed.edited()
            notes += _warning("its XMP speaks of what the result does not hold; taken out", spoken)
        except BrokenXmpError as error:
            notes.append(_xmp_left_out("XMP", error))
            packet = None
    coding, lost = _without_photoshop(metadata.coding, places=False)
    notes += _warning("left out", lost)
    kept = Metadata(metadata.icc, block, packet, resolution, coding)
    return Checked(kept, exif_orientation, xmp_orientation, tuple(notes))


def turned(metadata: Metadata, upright: Size, orientation: int) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of a stored picture for the upright one, of this size, and warnings."""
    if swaps_sides(orientation):
        resolution = metadata.resolution.transposed if metadata.resolution else None
        coding = metadata.coding
        if isinstance(coding, JpegCoding | PngCoding):
            coding = coding.transposed
        metadata = replace(metadata, resolution=resolution, coding=coding)
    return reframed(metadata, Reframing.turning(upright, orientation))


def cropped(photo: Photo, region: Box) -> Photo:
    """The part of a photo that ``region`` names, with all its metadata that are still true."""
    metadata, warnings = reframed(photo.metadata, Reframing.cutting(photo.size, region))
    return replace(
        photo,
        pixels=photo.pixels[region.slices],
        alpha=None if photo.alpha is None else photo.alpha[region.slices],
        metadata=metadata,
        warnings=(*photo.warnings, *warnings),
    )


def reframed(metadata: Metadata, reframing: Reframing) -> tuple[Metadata, tuple[str, ...]]:
    """Checked metadata with all places in the picture where they now are, and a warning of what was lost."""
    if not reframing.changes:
        return metadata, ()
    block, packet, coding = metadata.exif, metadata.xmp, metadata.coding
    lost: list[str] = []
    if block is not None:
        block, names = exif_places.reframed(block, reframing)
        lost += names
        block, names = exif_copies.without_photoshop(block, places=True)
        lost += names
    if packet is not None:
        packet, names = xmp_places.reframed(packet, reframing)
        lost += names
    if isinstance(coding, TiffCoding):
        tags, names = exif_places.tags_reframed(coding.tags, coding.byte_order, reframing)
        coding = replace(coding, tags=tags)
        lost += names
    coding, names = _without_photoshop(coding, places=True)
    doing = "turned and cut" if reframing.turns and reframing.cuts else "turned" if reframing.turns else "cut"
    warnings = _warning(f"left out, because the picture is {doing}", [*lost, *names])
    return replace(metadata, exif=block, xmp=packet, coding=coding), tuple(warnings)


def with_size(metadata: Metadata, size: Size) -> Metadata:
    """The metadata with the size of the picture, wherever they name it."""
    block = None if metadata.exif is None else exif.with_size(metadata.exif, size)
    packet = None if metadata.xmp is None else xmp_places.with_size(metadata.xmp, size)
    return replace(metadata, exif=block, xmp=packet)


def _warning(words: str, names: Iterable[str]) -> list[str]:
    listed = ", ".join(dict.fromkeys(names))
    return [f"{words}: {listed}"] if listed else []


def _xmp_left_out(name: str, error: BrokenXmpError) -> str:
    return f"{name} left out: {error}" if isinstance(error, LargeXmpError) else f"broken {name} left out"


def _with_extended_xmp(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata with the further XMP segments of a JPEG in the packet, and a note if they cannot be."""
    coding = metadata.coding
    if not isinstance(coding, JpegCoding):
        return metadata, []
    parts = [payload for _, payload in coding.segments if payload.startswith(extended_xmp.HEADER)]
    if not parts:
        return metadata, []
    others = tuple(part for part in coding.segments if not part[1].startswith(extended_xmp.HEADER))
    metadata = replace(metadata, coding=replace(coding, segments=others))
    try:
        packet, intact = extended_xmp.joined(metadata.xmp or b"", parts)
    except BrokenXmpError as error:
        return metadata, [_xmp_left_out("extended XMP", error)]
    return replace(metadata, xmp=packet), [] if intact else [
        "the checksum of its extended XMP does not match"
    ]


def _without_photoshop(coding: Coding | None, *, places: bool) -> tuple[Coding | None, list[str]]:
    """The coding with its Photoshop resources, where it has some, without previews (and ``places``)."""
    if isinstance(coding, JpegCoding):
        segments, lost = _resources_of_segments(coding.segments, places=places)
        return replace(coding, segments=segments), lost
    if isinstance(coding, TiffCoding):
        tags, lost = [], []
        for tag in coding.tags:
            if tag.code == exif_copies.PHOTOSHOP:
                content, lost = photoshop.without(tag.value, places=places)
                tag = TiffTag(tag.code, tag.kind, len(content), content)
            elif tag.code == IPTC_TAG:
                tag = _without_iptc_preview(tag)
            if tag.value:
                tags.append(tag)
        return replace(coding, tags=tuple(tags)), lost
    if isinstance(coding, PngCoding):
        return _resources_of_chunks(coding, places=places)
    return coding, []


def _without_iptc_preview(tag: TiffTag) -> TiffTag:
    """The tag of IPTC data, which may be in units of several bytes, without the preview in them."""
    content = photoshop.iptc_without_preview(tag.value)
    size = exif.KIND_BYTES[tag.kind]
    content += bytes(-len(content) % size)
    return TiffTag(tag.code, tag.kind, len(content) // size, content)


def _resources_of_chunks(coding: PngCoding, *, places: bool) -> tuple[PngCoding, list[str]]:
    """A PNG's text chunks with the Photoshop resources, as ImageMagick writes them, cleaned."""
    lost: list[str] = []

    def clean(resources: bytes) -> bytes:
        if resources[:1] == bytes([photoshop.IPTC_MARK]):  # as they are, not within Photoshop's
            return photoshop.iptc_without_preview(resources)
        content, names = photoshop.without(resources, places=places)
        lost.extend(names if resources else ["broken Photoshop data"])
        return content

    chunks = [edited_photoshop(chunk, clean) for chunk in coding.chunks]
    return PngCoding(tuple(chunk for chunk in chunks if chunk is not None)), lost


def _resources_of_segments(
    segments: tuple[tuple[int, bytes], ...], *, places: bool
) -> tuple[tuple[tuple[int, bytes], ...], list[str]]:
    """A JPEG's segments with the Photoshop resources, which may continue from one to the next, cleaned."""
    head = photoshop.HEADER
    parts = [payload for _, payload in segments if payload.startswith(head)]
    resources = b"".join(part[len(head) :] for part in parts)
    content, lost = photoshop.without(resources, places=places)
    if content == resources:
        return segments, lost
    room = jpeg_segments.LARGEST_PAYLOAD - len(head)
    pieces = [content[start : start + room] for start in range(0, len(content), room)]
    cleaned: list[tuple[int, bytes]] = []
    for marker, payload in segments:
        if not payload.startswith(head):
            cleaned.append((marker, payload))
        else:  # the first segment's place becomes that of all
            cleaned += [(marker, head + piece) for piece in pieces]
            pieces = []
    return tuple(cleaned), lost
