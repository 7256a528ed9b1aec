"""Writes restored pixels with all metadata of the original, whole or not at all."""

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from defocusctl.errors import OutputError
from defocusctl.photo import description, exif, header, storage_claims, xmp
from defocusctl.photo.alpha import premultiplied
from defocusctl.photo.convert import as_stored, check_convertible, check_fits, profile_for
from defocusctl.photo.formats import avif, bmp, heif, jpeg, jxl, png, pnm, tiff, webp
from defocusctl.photo.model import ASSOCIATED_ALPHA, Photo, Provenance, Samples, TiffCoding
from defocusctl.photo.targets import format_to_write
from defocusctl.system.atomic import atomic_write

RESOLUTION_IN_EXIF = ("WEBP", "AVIF", header.HEIC, header.JPEG_XL)


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
            raise OutputError(
                f"the name '{target}' does not say which format to write", "end it in .png, say"
            )
        check_convertible(photo, target)
        with atomic_write(target, force=force, backup=backup) as handle:
            _encode(photo, pixels, kind, quality, provenance, handle)
    else:
        check_fits(photo, photo.format)
        buffer = io.BytesIO()
        _encode(photo, pixels, photo.format, quality, provenance, buffer)
        target.write(buffer.getvalue())


def _encode(
    photo: Photo, pixels: Samples, kind: str, quality: int | None, provenance: Provenance, out: BinaryIO
) -> None:
    coding = photo.metadata.coding
    associated = isinstance(coding, TiffCoding) and coding.alpha == ASSOCIATED_ALPHA
    if kind == "TIFF" and associated and photo.alpha is not None:
        pixels = premultiplied(pixels, photo.alpha, photo.full_scale)
    pixels = as_stored(pixels, kind, photo.full_scale)
    alpha = None if photo.alpha is None else as_stored(photo.alpha, kind, photo.full_scale)
    packet = xmp.add_provenance(photo.metadata.xmp, provenance)
    metadata = replace(photo.metadata, xmp=packet, icc=profile_for(photo, kind))
    metadata = description.with_size(metadata, photo.size)
    metadata = storage_claims.corrected(metadata, kind, converted=kind != photo.format)
    if kind in RESOLUTION_IN_EXIF and metadata.resolution is not None:
        metadata = replace(metadata, exif=exif.with_resolution(metadata.exif, metadata.resolution))
    match kind:
        case "JPEG":
            jpeg.encode(pixels, metadata, quality, out)
        case "PNG":
            png.encode(pixels, alpha, metadata, out)
        case "TIFF":
            tiff.encode(pixels, alpha, metadata, out)
        case "WEBP":
            webp.encode(pixels, alpha, metadata, quality, out)
        case "BMP":
            bmp.encode(pixels, alpha, metadata, out)
        case "PPM":
            pnm.encode(pixels, metadata, out)
        case "AVIF":
            avif.encode(pixels, alpha, metadata, quality, out)
        case header.HEIC:
            heif.encode(pixels, alpha, metadata, quality, out)
        case header.JPEG_XL:
            jxl.encode(pixels, alpha, metadata, out)
        case _:
            raise ValueError(f"no such format: {kind}")
