"""Image quality against a reference: PSNR and SSIM as scikit-image computes them, in float64, and LPIPS.

LPIPS is the learned perceptual distance of Zhang et al. (CVPR 2018), version 0.1 on AlexNet. The weights of
AlexNet's five convolutions are torchvision's public ones, downloaded and verified as in ``weights.toml``, but
torchvision is not needed. The five linear heads are bundled (see lpips_heads.LICENSE.txt).

Axes: B batch, C channels, H rows, W columns; the images of PSNR and SSIM are (H, W, 3) arrays.
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
from torch import Tensor, nn

from defocusctl.errors import DataError, WeightsError
from defocusctl.weights.hub import OnProgress
from defocusctl.weights.resolve import resolve_weights

HEADS = Path(__file__).with_name("lpips_heads.npz")
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
TINY = 1e-10
SMALLEST_SIDE = 31  # a smaller image leaves no pixels for the last convolutions


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


class Lpips(nn.Module):
    """The distance in float32, from the tensors of AlexNet by torchvision's names; nothing of it learns."""

    variant = "LPIPS v0.1 alex, torchvision's AlexNet (7be5be79) and the heads of lpips 0.1.4, no padding"

    def __init__(self, alexnet: Mapping[str, Tensor]) -> None:
        """Take the convolutions' weights from ``alexnet``; other entries are ignored.

        Raises:
            WeightsError: if one is missing, has another shape, or is not finite.
        """
        super().__init__()
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1))
        self.features = _alexnet_features()
        shapes = {key: tensor.shape for key, tensor in self.features.state_dict().items()}
        numbers = {key: _checked(alexnet, f"features.{key}", shape) for key, shape in shapes.items()}
        self.features.load_state_dict(numbers, assign=True)
        self.features.requires_grad_(False)
        with np.load(HEADS) as heads:
            for n in range(5):
                self.register_buffer(f"head_{n}", torch.from_numpy(heads[f"lin{n}"]).view(-1, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distances (B,) of images (B, 3, H, W), normally RGB in [-1, 1].

        Raises:
            DataError: if a side is shorter than 31 pixels.
            ValueError: if the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"the images differ in shape, {tuple(a.shape)} and {tuple(b.shape)}")
        if min(a.shape[-2:]) < SMALLEST_SIDE:
            size = f"{a.shape[-1]}x{a.shape[-2]}"
            cause = f"an image of {size} pixels is too small for LPIPS"
            raise DataError(cause, "leave it out, or train on larger crops")
        distances = [
            (self.get_buffer(f"head_{n}") * (_unit(first) - _unit(second)) ** 2).sum(dim=1).mean(dim=(1, 2))
            for n, (first, second) in enumerate(zip(self._features(a), self._features(b), strict=True))
        ]
        return torch.stack(distances).sum(dim=0)

    def _features(self, x: Tensor) -> list[Tensor]:
        """AlexNet's five features after their ReLUs, (B, C, H', W') each."""
        x = (x - self.get_buffer("shift")) / self.get_buffer("scale")
        found = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                found.append(x)
        return found


def perceptual_distance(lpips: Lpips, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """LPIPS of two (H, W, 3) images on the CPU, normally RGB in [-1, 1]; raises what the metric does."""
    channels_first = (np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) for image in (a, b))
    with torch.inference_mode():
        return float(lpips(*(torch.from_numpy(image)[None] for image in channels_first)))


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


def _alexnet_features() -> nn.Sequential:
    """AlexNet's layers as far as LPIPS needs them, numbered as torchvision's; the weights have no values."""
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(),
        )


def _checked(alexnet: Mapping[str, Tensor], key: str, shape: tuple[int, ...]) -> Tensor:
    tensor = alexnet.get(key)
    if not isinstance(tensor, Tensor) or tensor.shape != shape or not tensor.isfinite().all():
        remedy = "give torchvision's alexnet-owt-7be5be79.pth"
        raise WeightsError(f"these are not AlexNet's weights: {key} is not {list(shape)} numbers", remedy)
    return tensor.float()


def _unit(features: Tensor) -> Tensor:
    """Every pixel's features scaled to length 1, (B, C, H, W).

    Where all are zero, the gradient of ``vector_norm`` is zero; that of a square root would not be a number.
    """
    unit: Tensor = features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + TINY)
    return unit
