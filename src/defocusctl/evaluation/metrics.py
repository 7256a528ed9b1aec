"""Image quality against a reference: PSNR and SSIM as scikit-image computes them, in float64.

Images are (H, W, 3) arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


@dataclass(frozen=True)
class StructuralSimilarity:
    """A variant of SSIM (Wang et al. 2004): the mean over all colours and all windows inside the image.

    ``window`` is the side of the window, and so the least side of an image, in pixels; ``settings`` are
    scikit-image's. Values may be outside [0, 1]; the data range is 1.
    """

    window: int
    settings: Mapping[str, Any]

    def __call__(self, image: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
        """The similarity; 1 for equal images.

        Raises:
            ValueError: if the shapes differ or a side is shorter than the window.
        """
        first, second = reference.astype(np.float64), image.astype(np.float64)
        return float(structural_similarity(first, second, data_range=1.0, channel_axis=2, **self.settings))


UNIFORM_SSIM = StructuralSimilarity(7, {})
"""A 7x7 uniform window and the sample covariance, scikit-image's default."""
GAUSSIAN_SSIM = StructuralSimilarity(
    11, {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
)
"""An 11x11 Gaussian window of sigma 1.5 and the population covariance, as in pytorch-msssim."""


class Quality(NamedTuple):
    """PSNR in dB over all colour values, infinite for equal images, and the mean SSIM of the colours.

    SSIM is scikit-image's default: a uniform 7 x 7 window.
    """

    psnr: float
    ssim: float


def quality(image: NDArray[np.float32], reference: NDArray[np.float32]) -> Quality:
    """Compare an image with its reference, after clipping it to [0, 1].

    Raises:
        ValueError: if the shapes differ or a side is shorter than 7 pixels.
    """
    clipped = np.clip(image, 0, 1)
    return Quality(peak_signal_to_noise(clipped, reference), UNIFORM_SSIM(clipped, reference))


def peak_signal_to_noise(image: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """PSNR in dB for a peak of 1; infinite for equal images.

    Raises:
        ValueError: if the shapes differ.
    """
    if np.array_equal(image, reference):
        return inf
    first, second = reference.astype(np.float64), image.astype(np.float64)
    return float(peak_signal_noise_ratio(first, second, data_range=1.0))
