"""Blur extent in pixels, and photos and maps reduced to the size they are drawn at, without a full-size copy.

Axes: R kernel sizes, J blur atoms, H rows, W columns.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from defocusctl.errors import UsageError
from defocusctl.geometry import Size

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]

STRIP_PIXELS = 1 << 18  # limits temporaries to about 40 MB for photos of any size


def odd_widths(count: int) -> FloatArray:
    """1, 3, 5, ...: the kernel sizes k_r of INIKNet, and the widths 2j - 1 of NRKNet's atoms A_j."""
    return np.arange(1, 2 * count, 2, dtype=np.float32)


def expected_kernel_size(mu: Array) -> FloatArray:
    """sum_r mu[r] k_r with k = 1, 3, ..., in pixels: (R, H, W) -> (H, W)."""
    return np.asarray(np.tensordot(odd_widths(len(mu)), mu.astype(np.float32), axes=1), dtype=np.float32)


def expected_atom_width(gamma: Array) -> FloatArray:
    """sum_j |gamma_j| (2j - 1) / sum_j |gamma_j|, in pixels: (J, H, W) -> (H, W).

    Where every gamma is zero, the width is 1, that of the delta atom.
    """
    weights = np.abs(gamma.astype(np.float32))
    total = weights.sum(axis=0)
    widths = np.tensordot(odd_widths(len(gamma)), weights, axes=1)
    extent: FloatArray = np.ones_like(total)
    np.divide(widths, total, out=extent, where=total != 0)
    return extent


_MEASURES: dict[str, tuple[str, Callable[[Array], FloatArray]]] = {
    "iniknet": ("mu", expected_kernel_size),
    "nrknet": ("gamma_1", expected_atom_width),
}


def blur_extent(model: str, coefficients: Mapping[str, Array]) -> FloatArray:
    """The blur extent in pixels, (H, W) float32, from ``mu`` (INIKNet) or ``gamma_1`` (NRKNet).

    Beside the result, only strips of rows are held in float32.

    Raises:
        UsageError: for any other model.
        KeyError: if the coefficients are missing.
    """
    if model not in _MEASURES:
        raise UsageError(f"{model} has no blur extent", "use iniknet or nrknet")
    name, measure = _MEASURES[model]
    maps = coefficients[name]
    _, height, width = maps.shape
    extent = np.empty((height, width), dtype=np.float32)
    for rows in strips(Size(height, width)):
        extent[rows] = measure(maps[:, rows])
    return extent


def strips(size: Size, *, multiple: int = 1) -> Iterator[slice]:
    """Slices of an image's rows, about ``STRIP_PIXELS`` each and a multiple of ``multiple`` rows high."""
    step = max(1, STRIP_PIXELS // (size.width * multiple)) * multiple
    return (slice(top, min(top + step, size.height)) for top in range(0, size.height, step))


Rgb = npt.NDArray[np.uint8]


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
    """A map (H, W), reduced until its longer side is one to two times ``longest`` pixels."""
    height, width = values.shape
    return area_mean(values, reduction_factor(Size(height, width), longest))


def reduced_photo(pixels: Array, full_scale: float, longest: int) -> Rgb:
    """A photo (H, W, 1 or 3) reduced like a map, as 8-bit RGB."""
    height, width = pixels.shape[:2]
    return rgb8(area_mean(pixels, reduction_factor(Size(height, width), longest)), full_scale)


def rgb8(pixels: Array, full_scale: float) -> Rgb:
    """Pixels (H, W, 1 or 3) with white at ``full_scale``, rounded to (H, W, 3) uint8; NaN becomes black."""
    scaled = np.nan_to_num(pixels.astype(np.float32) * np.float32(255 / full_scale), posinf=255, neginf=0)
    rounded = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return np.broadcast_to(rounded, (*rounded.shape[:2], 3))
