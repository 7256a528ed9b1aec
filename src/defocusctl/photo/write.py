"""Writes restored pixels with all metadata of the original, whole or not at all.

Another format than the photo's own may hold less of it; warnings say so before any computation.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from defocusctl.errors import OutputError
from defocusctl.photo import description, exif, extended_xmp, icc, photoshop, storage_claims, xmp
from defocusctl.photo.alpha import premultiplied
from defocusctl.photo.formats import (
    avif,
    bmp,
    heif,
    jpeg,
    jpeg_metadata,
    jpeg_segments,
    jxl,
    png,
    png_text,
    pnm,
    tiff,
    webp,
)
from defocusctl.photo.header import HEIC, JPEG_XL
from defocusctl.photo.model import (
    ASSOCIATED_ALPHA,
    HeifCoding,
    JpegCoding,
    Metadata,
    Photo,
    PngCoding,
    Provenance,
    Samples,
    TiffCoding,
    full_scale,
    rescaled,
)
from defocusctl.photo.targets import GREYMAP, format_of_suffix, format_to_write
from defocusctl.system.atomic import atomic_write

EIGHT_BIT = ("JPEG", "WEBP", "BMP", "AVIF")
WITH_FLOATS = ("TIFF", JPEG_XL)
WITHOUT_ALPHA = ("JPEG", "PPM")
WITHOUT_METADATA = ("BMP", "PPM")
LARGEST_PROFILES = {"JPEG": jpeg_metadata.LARGEST_ICC, "PNG": png_text.LARGEST_PROFILE}
GREY_ALPHA_AS_RGB = ("AVIF", HEIC)  # as most of their decoders return it
LARGEST_SIDES = {
    "JPEG": jpeg.LARGEST_SIDE,
    "WEBP": webp.LARGEST_SIDE,
    "AVIF": avif.LARGEST_SIDE,
    HEIC: heif.LARGEST_SIDE,
}
LOSSY = {"WEBP": webp.encode, "AVIF": avif.encode, HEIC: heif.encode}
LOSSLESS = {"PNG": png.encode, "TIFF": tiff.encode, "BMP": bmp.encode, JPEG_XL: jxl.encode}
RESOLUTION_IN_EXIF = ("WEBP", "AVIF", HEIC, JPEG_XL)


def write_photo(
    photo: Photo,
    pixels: Samples,
    target: Path | BinaryIO,
    *,
    quality: int | None = None,
    provenance: Provenance,
    force: bool = False,
    backup: Path | None = None,
) -> None:
    """Write ``pixels`` in place of the photo's own, with its alpha and metadata, and the provenance in XMP.

    ``pixels`` has the shape and type of ``photo.pixels``. A path's suffix determines the format; a stream
    gets the photo's own. ``quality`` (1 to 100) is for JPEG, WebP, AVIF and HEIC; by default it is at least
    that of a source of the same format. BMP and PPM hold no metadata. EXIF and XMP get the size of
    ``pixels``. With ``backup``, ``target`` is an existing file that is kept under this name.

    Raises:
        OutputError: if the format cannot hold the photo, or the file exists (without ``force``) or cannot be
            written; no partial file remains.
    """
    if pixels.shape != photo.pixels.shape or pixels.dtype != photo.pixels.dtype:
        raise ValueError(f"pixels are {pixels.shape} {pixels.dtype}, the photo's {photo.pixels.shape}")
    if isinstance(target, Path):
        kind = format_to_write(target)
        if kind is None:
            cause = f"the name '{target}' does not say which format to write"
            raise OutputError(cause, "end it in .png, say")
        _check_convertible(photo, target)
        with atomic_write(target, force=force, backup=backup) as handle:
            _encode(photo, pixels, kind, quality, provenance, handle)
    else:
        _check_fits(photo, photo.format)
        buffer = io.BytesIO()
        _encode(photo, pixels, photo.format, quality, provenance, buffer)
        target.write(buffer.getvalue())


def conversion_warnings(photo: Photo, target: Path) -> tuple[str, ...]:
    """Warnings about what writing the photo to ``target`` will lose, for display before any computation.

    Raises:
        OutputError: if the format named by the target's suffix cannot hold the photo.
    """
    kind = _check_convertible(photo, target)
    return (*_depth_warnings(photo, kind), *_metadata_warnings(photo, kind))


def _check_convertible(photo: Photo, target: Path) -> str:
    """The format that the target's suffix names; an OutputError if it cannot hold the photo."""
    if photo.pixels.shape[2] == 3 and target.suffix.lower() == GREYMAP:
        raise OutputError(f"a PGM file such as '{target}' cannot hold colour", "end its name in .ppm")
    kind = format_of_suffix(target.suffix) or photo.format
    _check_fits(photo, kind)
    return kind


def _check_fits(photo: Photo, kind: str) -> None:
    """Raise an OutputError if the format cannot hold the photo's size, or alpha that is not all opaque."""
    if kind in WITHOUT_ALPHA and photo.alpha is not None and (photo.alpha < photo.full_scale).any():
        cause = f"{kind} cannot hold the photo's transparency"
        raise OutputError(cause, "write a .png, .tif or .webp with -o")
    largest = LARGEST_SIDES.get(kind)
    if largest is not None and max(photo.size) > largest:
        raise OutputError(f"{kind} allows at most {largest} pixels per side", "write a .png or .tif with -o")


def _encode(
    photo: Photo, pixels: Samples, kind: str, quality: int | None, provenance: Provenance, out: BinaryIO
) -> None:
    coding = photo.metadata.coding
    associated = isinstance(coding, TiffCoding) and coding.alpha == ASSOCIATED_ALPHA
    if kind == "TIFF" and associated and photo.alpha is not None:
        pixels = premultiplied(pixels, photo.alpha, photo.full_scale)
    pixels = _as_stored(pixels, kind, photo.full_scale)
    alpha = None if photo.alpha is None else _as_stored(photo.alpha, kind, photo.full_scale)
    packet = xmp.add_provenance(photo.metadata.xmp, provenance)
    metadata = replace(photo.metadata, xmp=packet, icc=_profile_for(photo, kind))
    metadata = description.with_size(metadata, photo.size)
    if photo.format == "JPEG" and kind != "JPEG" and metadata.exif is not None:  # JFIF's is often a default
        stated = exif.resolution_of(metadata.exif)
        metadata = replace(metadata, resolution=stated or metadata.resolution)
    metadata = storage_claims.corrected(metadata, kind, converted=kind != photo.format)
    if kind in RESOLUTION_IN_EXIF and metadata.resolution is not None:
        metadata = replace(metadata, exif=exif.with_resolution(metadata.exif, metadata.resolution))
    if kind == "JPEG":
        jpeg.encode(pixels, metadata, quality, out)
    elif kind == "PPM":
        pnm.encode(pixels, metadata, out)
    elif kind in LOSSY:
        LOSSY[kind](pixels, alpha, metadata, quality, out)
    else:
        LOSSLESS[kind](pixels, alpha, metadata, out)


def _as_stored(samples: Samples, kind: str, white: float) -> Samples:
    """The samples in a depth that the format supports: rounded; floats clipped to black and ``white``."""
    wanted = np.dtype(np.uint8 if kind in EIGHT_BIT else np.uint16)
    if kind in WITH_FLOATS or samples.dtype == np.uint8 or samples.dtype == wanted:
        return samples
    if samples.dtype == np.uint16:
        return rescaled(samples, 65535, 255)
    scaled = np.nan_to_num(samples / np.float32(white), nan=0.0, posinf=1.0, neginf=0.0).clip(
        0.0, 1.0
    ) * full_scale(wanted)
    return np.rint(scaled).astype(wanted)


def _profile_for(photo: Photo, kind: str) -> bytes | None:
    """The photo's ICC profile, adapted to the colours that the format stores; None if impossible."""
    profile = photo.metadata.icc
    if profile is None or len(profile) > LARGEST_PROFILES.get(kind, len(profile)):
        return None
    as_rgb = kind == "WEBP" or (kind in GREY_ALPHA_AS_RGB and photo.alpha is not None)
    return icc.for_colours(profile, 3 if as_rgb else photo.pixels.shape[2])


def _depth_warnings(photo: Photo, kind: str) -> tuple[str, ...]:
    depth = photo.pixels.dtype
    if depth == np.uint16 and kind in EIGHT_BIT:
        return (f"{kind} holds 8 bits: the photo's 16 bits are rounded",)
    if depth == np.uint16 and kind == HEIC and not isinstance(photo.metadata.coding, HeifCoding):
        return (f"{kind} is written with {heif.DEEP_BITS} bits: the photo's 16 bits are rounded",)
    if depth == np.float32 and kind not in WITH_FLOATS:
        bits = 8 if kind in EIGHT_BIT else heif.DEEP_BITS if kind == HEIC else 16
        return (
            f"{kind} holds {bits}-bit integers: the photo's floating-point values are clipped and rounded",
        )
    return ()


def _metadata_warnings(photo: Photo, kind: str) -> tuple[str, ...]:
    metadata = photo.metadata
    parts = {"ICC profile": metadata.icc, "EXIF": metadata.exif, "XMP": metadata.xmp}
    lost = [name for name, content in parts.items() if content and kind in WITHOUT_METADATA]
    limit = jpeg_metadata.LARGEST_XMP
    if kind == "JPEG" and metadata.xmp and extended_xmp.crowds_out_provenance(metadata.xmp, limit):
        lost.append("provenance in addition to its XMP")
    if metadata.icc and kind not in WITHOUT_METADATA and _profile_for(photo, kind) is None:
        lost.append("grey ICC profile" if icc.fits(metadata.icc, 1) else "oversized ICC profile")
    if kind == "PPM" and photo.format != "PPM" and metadata.resolution:
        lost.append("resolution")
    if kind != photo.format:
        lost += _bound_to_format(metadata, kind)
    return (f"{kind} cannot hold the photo's {', '.join(lost)}",) if lost else ()


def _bound_to_format(metadata: Metadata, kind: str) -> list[str]:
    """What the photo holds that only its own format can store; IPTC and Photoshop data fit JPEG and TIFF.

    A PNG's gamma and primaries add nothing to an ICC profile, which is kept, or to sRGB, which is assumed for
    a photo without a profile.
    """
    match metadata.coding:
        case PngCoding(chunks):
            names = {name for name, _ in chunks}
            implied = {b"sRGB", b"gAMA", b"cHRM"} if metadata.icc or b"sRGB" in names else set()
            colours = sorted(name.decode() for name in names.intersection(png.COLOUR_CHUNKS) - implied)
            parts = {
                f"colour description ({', '.join(colours)})": bool(colours),
                "text": not names.isdisjoint(png_text.TEXT_CHUNKS),
                "calibration (pCAL, sCAL)": not names.isdisjoint(png.CALIBRATION_CHUNKS),
            }
        case JpegCoding(segments=segments):
            carried = photoshop.HEADERS[:1] if kind == "TIFF" else ()
            markers = {marker for marker, payload in segments if not payload.startswith(carried)}
            parts = {
                "IPTC or Photoshop data": jpeg_segments.APP13 in markers,
                "comment": jpeg_segments.COM in markers,
                "Meta (APP3) data": jpeg_segments.APP3 in markers,
                "APP12 data": jpeg_segments.APP12 in markers,
            }
        case HeifCoding() as coding:
            parts = {
                "colour description (nclx)": heif.foreign_colours(coding),
                "HDR light levels": bool(coding.light),
            }
        case TiffCoding(tags=tags):
            codes = {tag.code for tag in tags}
            photoshop_codes = codes & {photoshop.PHOTOSHOP_TAG, photoshop.IPTC_TAG}
            parts = {
                "IPTC or Photoshop data": kind != "JPEG" and bool(photoshop_codes),
                "further TIFF tags": codes != photoshop_codes,
            }
        case _:
            parts = {}
    return [name for name, present in parts.items() if present]
