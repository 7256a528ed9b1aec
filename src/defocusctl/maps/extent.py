"""Blur extent: the width in pixels of the blur that a network found at each pixel.

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
