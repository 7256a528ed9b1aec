"""Image quality against a reference, on (H, W, 3) arrays in [0, 1]; both metrics are scikit-image's."""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


class Quality(NamedTuple):
    """PSNR in dB over all colour values, infinite for equal images, and the mean SSIM of the colours.

    SSIM is scikit-image's default: a uniform 7 x 7 window.
    """

    psnr: float
    ssim: float


def quality(image: NDArray[np.float32], reference: NDArray[np.float32]) -> Quality:
    """Compare an image, clipped to [0, 1] first, with its reference.

    Raises:
        ValueError: if the shapes differ or a side is shorter than 7 pixels.
    """
    clipped = np.clip(image, 0, 1)
    if np.array_equal(clipped, reference):
        return Quality(inf, 1.0)
    psnr = peak_signal_noise_ratio(reference, clipped, data_range=1.0)
    ssim = structural_similarity(reference, clipped, data_range=1.0, channel_axis=2)
    return Quality(float(psnr), float(ssim))
