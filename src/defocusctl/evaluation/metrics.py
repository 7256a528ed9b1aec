"""Image quality against a reference: PSNR and SSIM as scikit-image computes them, in float64, and LPIPS.

Images are (H, W, 3) arrays. LPIPS is the learned perceptual distance of Zhang et al. (CVPR 2018), version 0.1
on AlexNet. AlexNet's five convolutions are torchvision's public weights, downloaded and verified as in
``weights.toml``; torchvision itself is not needed. The five linear heads are bundled (see
lpips_heads.LICENSE.txt).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn import functional

from defocusctl.errors import DataError, WeightsError
from defocusctl.weights.hub import OnProgress
from defocusctl.weights.resolve import resolve_weights


@dataclass(frozen=True)
class StructuralSimilarity:
    """A variant of SSIM (Wang et al. 2004): the mean over all colours and all windows inside the image.

    ``variant`` describes it, ``window`` is the side of the window, and so the least side of an image, in
    pixels; ``settings`` are scikit-image's. Values may be outside [0, 1]; the data range is 1.
    """

    variant: str
    window: int
    settings: Mapping[str, Any]

    def __call__(self, image: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
        """The similarity; 1 for equal images.

        Raises:
            ValueError: if the shapes differ or a side is shorter than the window.
        """
        first, second = reference.astype(np.float64), image.astype(np.float64)
        return float(structural_similarity(first, second, data_range=1.0, channel_axis=2, **self.settings))


UNIFORM_SSIM = StructuralSimilarity("7x7 uniform window, sample covariance (scikit-image's default)", 7, {})
GAUSSIAN_SSIM = StructuralSimilarity(
    "11x11 Gaussian window, sigma 1.5, population covariance (as pytorch-msssim)",
    11,
    {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
)


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


HEADS = Path(__file__).with_name("lpips_heads.npz")
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
TINY = 1e-10
SMALLEST_SIDE = 31  # a smaller image leaves no pixels for the last convolutions


class Convolution(NamedTuple):
    """One of AlexNet's convolutions: its number among torchvision's ``features`` and its geometry."""

    number: int
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    pooled: bool  # whether 3x3 max pooling with stride 2 precedes it


CONVOLUTIONS = (
    Convolution(0, 3, 64, 11, 4, 2, False),
    Convolution(3, 64, 192, 5, 1, 2, True),
    Convolution(6, 192, 384, 3, 1, 1, True),
    Convolution(8, 384, 256, 3, 1, 1, False),
    Convolution(10, 256, 256, 3, 1, 1, False),
)


class Lpips:
    """The distance on the CPU in float32, from the tensors of AlexNet by torchvision's names."""

    variant = "LPIPS v0.1 alex, torchvision's AlexNet (7be5be79) and the heads of lpips 0.1.4, no padding"

    def __init__(self, alexnet: Mapping[str, Tensor]) -> None:
        """Take the convolutions' weights from ``alexnet``; other entries are ignored.

        Raises:
            WeightsError: if one is missing, has another shape, or is not finite.
        """
        self._parameters = [_parameters(layer, alexnet) for layer in CONVOLUTIONS]
        with np.load(HEADS) as heads:
            self._heads = [
                torch.from_numpy(heads[f"lin{n}"]).view(-1, 1, 1) for n in range(len(CONVOLUTIONS))
            ]

    @torch.inference_mode()
    def __call__(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        """The distance between two (H, W, 3) images, normally RGB in [-1, 1].

        Raises:
            DataError: if a side is shorter than 31 pixels.
            ValueError: if the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"the images differ in shape, {a.shape} and {b.shape}")
        if min(a.shape[:2]) < SMALLEST_SIDE:
            size = f"{a.shape[1]}x{a.shape[0]}"
            raise DataError(f"an image of {size} pixels is too small for LPIPS", "leave it out")
        distance = 0.0
        for head, first, second in zip(self._heads, self._features(a), self._features(b), strict=True):
            distance += float((head * (_unit(first) - _unit(second)) ** 2).sum(dim=0).mean())
        return distance

    def _features(self, image: NDArray[np.float32]) -> list[Tensor]:
        """AlexNet's five features after their ReLUs, (C, H', W') each."""
        values = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))
        x = (values - torch.tensor(SHIFT).view(3, 1, 1)) / torch.tensor(SCALE).view(3, 1, 1)
        features = []
        for layer, (weight, bias) in zip(CONVOLUTIONS, self._parameters, strict=True):
            if layer.pooled:
                x = functional.max_pool2d(x, kernel_size=3, stride=2)
            x = functional.conv2d(x, weight, bias, stride=layer.stride, padding=layer.padding).relu()
            features.append(x)
        return features


def load_lpips(*, offline: bool, on_progress: OnProgress | None = None) -> Lpips:
    """LPIPS with AlexNet's public weights, from the first source in the registry that is available.

    ``on_progress`` is called with the bytes done and the total (None where unknown) during a download.

    Raises:
        WeightsError: if they cannot be downloaded, or are not AlexNet's.
    """
    try:
        weights = resolve_weights("alexnet", None, offline=offline, on_progress=on_progress)
    except WeightsError as error:
        remedy = "run 'defocusctl weights fetch alexnet' while online, or do without LPIPS"
        raise WeightsError(f"LPIPS needs AlexNet: {error.cause}", remedy) from error
    try:
        content = torch.load(weights.path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles and archives raise nearly everything
        cause = f"{weights.path} is not a PyTorch checkpoint of plain tensors, or is damaged"
        raise WeightsError(cause, "remove the file and fetch it again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{weights.path} holds no state dict", "remove the file and fetch it again")
    return Lpips(content)


def _parameters(layer: Convolution, alexnet: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    shapes = {"weight": (layer.outputs, layer.inputs, layer.kernel, layer.kernel), "bias": (layer.outputs,)}
    found = []
    for part, shape in shapes.items():
        key = f"features.{layer.number}.{part}"
        tensor = alexnet.get(key)
        if not isinstance(tensor, Tensor) or tensor.shape != shape or not tensor.isfinite().all():
            remedy = "give torchvision's alexnet-owt-7be5be79.pth"
            raise WeightsError(f"these are not AlexNet's weights: {key} is not {list(shape)} numbers", remedy)
        found.append(tensor.float())
    return found[0], found[1]


def _unit(features: Tensor) -> Tensor:
    """Every pixel's features scaled to length 1, (C, H, W)."""
    length = features.square().sum(dim=0, keepdim=True).sqrt()
    return features / (length + TINY)
