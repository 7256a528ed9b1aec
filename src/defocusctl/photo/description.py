"""Keeps the metadata consistent with the picture when it is restored, rotated upright or cropped.

Previews of the original are blanked, references to data that results do not contain are removed, and
coordinates are transformed.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

from defocusctl.photo import exif, exif_embedded, extended_xmp, ifd, photoshop, xmp, xmp_coordinates
from defocusctl.photo.formats import left_out
from defocusctl.photo.formats.png_text import is_about_geometry
from defocusctl.photo.geometry import Box, Size
from defocusctl.photo.model import JpegCoding, Metadata, Photo, PngCoding, TiffCoding
from defocusctl.photo.reframing import Reframing, swaps_sides
from defocusctl.photo.xmp_packet import BrokenXmpError, LargeXmpError, Packet

SECOND_EXIF = "a second EXIF block"


@dataclass(frozen=True)
class Checked:
    """Metadata without broken or outdated parts, the orientations they specified, and warnings."""

    metadata: Metadata
    exif_orientation: int | None
    xmp_orientation: int | None
    warnings: tuple[str, ...]


def checked(metadata: Metadata) -> Checked:
    """Metadata from a file, with orientation 1, and without previews and references to missing data.

    Broken EXIF or XMP is left out with a warning.
    """
    metadata, notes = _with_extended_xmp(metadata)
    removed, second, packets = photoshop.Removed(), list[str](), [metadata.xmp]
    coding, resolution = photoshop.cleaned_coding(metadata.coding, None, removed), metadata.resolution
    blocks = [block and block.removeprefix(exif.HEADER) for block in (metadata.exif, *removed.exif)]
    block = left_out.first_of(blocks, SECOND_EXIF, second)
    exif_orientation = xmp_orientation = None
    if block is not None:
        try:
            normalised = exif.normalise(block)
            block, lost = exif_embedded.without_previews(normalised.block)
            block, inner = exif_embedded.without_xmp(block)
            further = photoshop.Removed(xmp=removed.xmp)
            block = exif_embedded.without_photoshop(block, None, further)
            packets += inner
            second += [SECOND_EXIF] * bool(further.exif)
            notes += _warning("left out of its EXIF", [*lost, *further.names])
            # Nothing turns a picture by the EXIF in Photoshop's resources.
            exif_orientation = normalised.orientation if metadata.exif else None
            resolution = resolution or normalised.resolution
            notes += [f"the {name} in its EXIF cannot be read" for name in normalised.unreadable]
        except (ifd.BrokenExifError, struct.error):
            notes.append("broken EXIF left out")
            block = None
    packet = left_out.first_of([*packets, *removed.xmp], "a second XMP packet", second)
    if packet is not None:
        try:
            parsed = Packet(packet)
            xmp_orientation = xmp.normalise(parsed)
            about = xmp.remove_references(parsed)
            packet = parsed.edited()
            notes += _warning("removed from its XMP, because the result does not contain it", about)
        except BrokenXmpError as error:
            notes.append(_xmp_left_out("XMP", error))
            packet = None
    notes += _warning("left out", removed.names)
    notes += left_out.warning(second)
    kept = Metadata(metadata.icc, block, packet, resolution, coding)
    return Checked(kept, exif_orientation, xmp_orientation, tuple(notes))


def turned(metadata: Metadata, upright: Size, orientation: int) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of a stored picture, adapted to the upright one of this size, and warnings."""
    if swaps_sides(orientation):
        resolution = metadata.resolution.transposed if metadata.resolution else None
        coding = metadata.coding
        if isinstance(coding, JpegCoding | PngCoding):
            coding = coding.transposed
        metadata = replace(metadata, resolution=resolution, coding=coding)
    return reframed(metadata, Reframing.rotation(upright, orientation))


def cropped(photo: Photo, region: Box) -> Photo:
    """The part ``region`` of a photo, with all metadata that still apply."""
    metadata, warnings = reframed(photo.metadata, Reframing(photo.size, 1, region))
    return replace(
        photo,
        pixels=photo.pixels[region.slices],
        alpha=None if photo.alpha is None else photo.alpha[region.slices],
        metadata=metadata,
        warnings=(*photo.warnings, *warnings),
    )


def reframed(metadata: Metadata, reframing: Reframing) -> tuple[Metadata, tuple[str, ...]]:
    """Checked metadata with all coordinates transformed, and a warning about what was lost."""
    if not (reframing.rotates or reframing.crops):
        return metadata, ()
    block, packet, coding = metadata.exif, metadata.xmp, metadata.coding
    lost: list[str] = []
    removed = photoshop.Removed()
    if block is not None:
        block, names = exif.reframed(block, reframing)
        lost += names
        block = exif_embedded.without_photoshop(block, reframing, removed)
    if packet is not None:
        packet, names = xmp_coordinates.reframed(packet, reframing)
        lost += names
    if isinstance(coding, TiffCoding):
        tags, names = exif.tags_reframed(coding.tags, coding.byte_order, reframing)
        coding = replace(coding, tags=tags)
        lost += names
    if isinstance(coding, PngCoding):
        swaps = reframing.swaps_sides
        texts = [each for each in coding.chunks if is_about_geometry(each, swaps_sides=swaps)]
        coding = PngCoding(tuple(each for each in coding.chunks if each not in texts))
        lost += ["text about the picture's size and places"] if texts else []
    coding = photoshop.cleaned_coding(coding, reframing, removed)
    done = " and ".join(["rotated"] * reframing.rotates + ["cropped"] * reframing.crops)
    warnings = _warning(f"left out, because the picture is {done}", [*lost, *removed.names])
    return replace(metadata, exif=block, xmp=packet, coding=coding), tuple(warnings)


def with_size(metadata: Metadata, size: Size) -> Metadata:
    """The metadata with this picture size wherever they contain one."""
    block = None if metadata.exif is None else exif.with_size(metadata.exif, size)
    packet = None if metadata.xmp is None else xmp_coordinates.with_size(metadata.xmp, size)
    return replace(metadata, exif=block, xmp=packet)


def is_own(metadata: Metadata) -> bool:
    """Whether this program made the file: a result, by its XMP, or a picture of maps, by its PNG text."""
    chunks = metadata.coding.chunks if isinstance(metadata.coding, PngCoding) else ()
    drawn = any(name == b"tEXt" and text.startswith(b"Software\0defocusctl ") for name, text in chunks)
    return drawn or xmp.has_provenance(metadata.xmp)


def _warning(words: str, names: Iterable[str]) -> list[str]:
    listed = ", ".join(dict.fromkeys(names))
    return [f"{words}: {listed}"] if listed else []


def _xmp_left_out(name: str, error: BrokenXmpError) -> str:
    return f"{name} left out: {error}" if isinstance(error, LargeXmpError) else f"broken {name} left out"


def _with_extended_xmp(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata with a JPEG's extended XMP segments merged into the packet, and a note if that failed."""
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
