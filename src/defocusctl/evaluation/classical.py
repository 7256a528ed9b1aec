"""Classical sharpening as a baseline for networks: three textbook methods with a disc of one radius.

All work on (H, W, 3) float32 pixels in [0, 1] as stored (not in linear light), each colour separately.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy, wiener

Floats: TypeAlias = NDArray[np.float32]

UNSHARP_AMOUNT = 1.0
WIENER_BALANCE = 0.03
RICHARDSON_LUCY_ROUNDS = 10


def disc(radius: float) -> Floats:
    """A uniform disc of ``radius`` pixels, anti-aliased over one pixel, with sum 1."""
    half = int(np.ceil(radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0.0, 1.0).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def unsharp(image: Floats, radius: float) -> Floats:
    """Unsharp mask with a Gaussian of sigma radius / 2, which is the disc's standard deviation."""
    sharpened = unsharp_mask(image, radius=radius / 2, amount=UNSHARP_AMOUNT, channel_axis=2)
    return np.asarray(sharpened, dtype=np.float32)


def wiener_disc(image: Floats, radius: float) -> Floats:
    """Wiener deconvolution with a Laplacian prior on the reflected image."""
    return _by_colour(image, radius, lambda plane, kernel: wiener(plane, kernel, WIENER_BALANCE, clip=False))


def richardson_lucy_disc(image: Floats, radius: float) -> Floats:
    """Richardson-Lucy deconvolution on the reflected image, stopped early."""
    return _by_colour(
        image,
        radius,
        lambda plane, kernel: richardson_lucy(plane, kernel, RICHARDSON_LUCY_ROUNDS, filter_epsilon=1e-3),
    )


CLASSICAL: Mapping[str, Callable[[Floats, float], Floats]] = {
    "unsharp": unsharp,
    "wiener": wiener_disc,
    "richardson-lucy": richardson_lucy_disc,
}


def _by_colour(
    image: Floats, radius: float, deconvolve: Callable[[Floats, Floats], NDArray[np.floating]]
) -> Floats:
    """Deconvolve each colour with a reflected border, which keeps out the wrap-around."""
    kernel = disc(radius)
    border = 4 * kernel.shape[0]
    padded = np.pad(image, ((border, border), (border, border), (0, 0)), mode="symmetric")
    planes = [deconvolve(padded[..., colour], kernel)[border:-border, border:-border] for colour in range(3)]
    return np.stack(planes, axis=2).astype(np.float32)
