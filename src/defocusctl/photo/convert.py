"""What changes when a photo is written in another format than it came in: depth, and what cannot be kept."""

from pathlib import Path

import numpy as np

from defocusctl.errors import OutputError
from defocusctl.photo.formats import avif, jpeg, webp
from defocusctl.photo.model import Photo, Samples, TiffCoding, full_scale
from defocusctl.photo.targets import GREYMAP, format_of_suffix

EIGHT_BIT = ("JPEG", "WEBP", "BMP", "AVIF")
WITHOUT_ALPHA = ("JPEG", "PPM")
WITHOUT_METADATA = ("BMP", "PPM")
LARGEST_SIDES = {"JPEG": jpeg.LARGEST_SIDE, "WEBP": webp.LARGEST_SIDE, "AVIF": avif.LARGEST_SIDE}


def conversion_warnings(photo: Photo, target: Path) -> tuple[str, ...]:
    """What writing the photo to ``target`` will lose, to be said before any computing.

    Raises:
        OutputError: if the format of the target's suffix cannot hold the photo.
    """
    kind = format_of_suffix(target.suffix) or photo.format
    if photo.pixels.shape[2] == 3 and target.suffix.lower() == GREYMAP:
        raise OutputError(f"a PGM file such as '{target}' holds no colours", "end its name in .ppm")
    check_fits(photo, kind)
    return (*_depth_warnings(photo, kind), *_metadata_warnings(photo, kind))


def check_fits(photo: Photo, kind: str) -> None:
    """Refuse a format that has no place for the photo's alpha or its size.

    Raises:
        OutputError: if that is so.
    """
    if photo.alpha is not None and kind in WITHOUT_ALPHA:
        raise OutputError(
            f"{kind} cannot hold the photo's transparency", "write a .png, .tif or .webp with -o"
        )
    largest = LARGEST_SIDES.get(kind)
    if largest is not None and max(photo.size) > largest:
        raise OutputError(f"{kind} ends at {largest} pixels a side", "write a .png or .tif with -o")


def as_stored(samples: Samples, kind: str) -> Samples:
    """The samples in a depth that the format has: rounded, and floats clipped to black and white."""
    wanted = np.dtype(np.uint8 if kind in EIGHT_BIT else np.uint16)
    if kind == "TIFF" or samples.dtype == np.uint8 or samples.dtype == wanted:
        return samples
    if samples.dtype == np.uint16:
        reduced: Samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return reduced
    scaled = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0) * full_scale(wanted)
    return np.rint(scaled).astype(wanted)


def _depth_warnings(photo: Photo, kind: str) -> tuple[str, ...]:
    depth = photo.pixels.dtype
    if depth == np.uint16 and kind in EIGHT_BIT:
        return (f"{kind} holds 8 bits: the photo's 16 bits are rounded",)
    if depth == np.float32 and kind != "TIFF":
        bits = 8 if kind in EIGHT_BIT else 16
        return (
            f"{kind} holds {bits}-bit integers: the photo's floating-point values are clipped and rounded",
        )
    return ()


def _metadata_warnings(photo: Photo, kind: str) -> tuple[str, ...]:
    metadata = photo.metadata
    parts = {"ICC profile": metadata.icc, "EXIF": metadata.exif, "XMP": metadata.xmp}
    if kind in WITHOUT_METADATA:
        lost = [name for name, content in parts.items() if content]
    elif kind == "JPEG":
        limits = {"EXIF": jpeg.LARGEST_EXIF, "XMP": jpeg.LARGEST_XMP}
        lost = [name for name, limit in limits.items() if len(parts[name] or b"") > limit]
    else:
        lost = []
    if kind != photo.format and isinstance(metadata.coding, TiffCoding) and metadata.coding.tags:
        lost.append("further TIFF tags")
    return (f"{kind} has no room for the photo's {', '.join(lost)}",) if lost else ()
