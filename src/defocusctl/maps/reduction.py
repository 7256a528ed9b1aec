"""Photos and maps reduced to the size they are drawn at, without a full-size copy.

Axes: H rows, W columns.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from defocusctl.photo.geometry import Size

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]

STRIP_PIXELS = 1 << 18  # limits temporaries to about 40 MB for photos of any size


def strips(size: Size, *, multiple: int = 1) -> Iterator[slice]:
    """Slices of an image's rows, about ``STRIP_PIXELS`` each and a multiple of ``multiple`` rows high."""
    step = max(1, STRIP_PIXELS // (size.width * multiple)) * multiple
    return (slice(top, min(top + step, size.height)) for top in range(0, size.height, step))


def reduction_factor(size: Size, longest: int) -> int:
    """The whole factor that brings the longer side to between one and two times ``longest`` pixels.

    It is 1 for an image that is already small; nothing is enlarged.
    """
    return max(1, max(size) // longest)


def area_mean(image: Array, factor: int) -> FloatArray:
    """Means of f x f blocks, f = ``factor``: (H, W, ...) of any type -> (ceil(H/f), ceil(W/f), ...) float32.

    The blocks at the bottom and right edge are averaged over the pixels they have.
    """
    height, width = image.shape[:2]
    if factor == 1:
        return image.astype(np.float32)
    columns = np.arange(0, width, factor)
    per_column = np.diff(columns, append=width).reshape(1, -1, *(1,) * (image.ndim - 2))
    reduced = []
    for rows in strips(Size(height, width), multiple=factor):
        strip = image[rows].astype(np.float32)
        starts = np.arange(0, len(strip), factor)
        per_row = np.diff(starts, append=len(strip)).reshape(-1, *(1,) * (image.ndim - 1))
        sums = np.add.reduceat(np.add.reduceat(strip, starts, axis=0), columns, axis=1)
        reduced.append(sums / (per_row * per_column).astype(np.float32))
    return np.concatenate(reduced)


def reduced_map(values: Array, longest: int) -> FloatArray:
    """A map (H, W, ...), reduced until its longer side is one to two times ``longest`` pixels."""
    return area_mean(values, reduction_factor(Size(*values.shape[:2]), longest))


def reduced_photo(pixels: Array, full_scale: float, longest: int) -> Rgb:
    """A photo (H, W, 1 or 3) reduced like a map, as 8-bit RGB."""
    return rgb8(reduced_map(pixels, longest), full_scale)


def rgb8(pixels: Array, full_scale: float) -> Rgb:
    """Pixels (H, W, 1 or 3) with white at ``full_scale``, rounded to (H, W, 3) uint8; NaN becomes black."""
    scaled = np.nan_to_num(pixels.astype(np.float32) * np.float32(255 / full_scale), posinf=255, neginf=0)
    rounded = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return np.broadcast_to(rounded, (*rounded.shape[:2], 3))
