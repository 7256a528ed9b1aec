"""NRKNet: blur from recursive kernels, inverted by a truncated Neumann series across scales.

Quan, Wu, Ji: Neumann Network with Recursive Kernels for Single Image Defocus Deblurring, CVPR 2023. Where the
paper and the authors' release differ, this follows the release (and the code says so).

Axes: B batch, C colour, J atoms, H rows, W columns. Scale t = 1 is full size, t = 2 a half, t = 3 a quarter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from defocusctl.models.blocks import (
    ResBlock,
    conv_block,
    enlarged,
    padded,
    reflect_conv,
    reverse_colours,
    unshuffled,
    up_block,
)
from defocusctl.models.prediction import Network, Prediction, TrainingOutput
from defocusctl.models.recurrence import lstm_step, resize
from defocusctl.models.recursive_atoms import BlurringOperator

SCALES = (1, 2, 3)
STEP = 16
"""Sides are multiples of this: the U-Net halves the coarsest scale twice."""
LOSS_WEIGHTS = (1.0, 0.75, 0.5, 0.25)  # lambda_0 ... lambda_3 of eq. (12)


@dataclass(frozen=True)
class NRKNetConfig:
    """Sizes of an NRKNet; the defaults are those of the release (6,094,107 parameters).

    Features and coefficients are computed at 1/``feature_scale`` of the image's size, reblurring always at
    full size.
    """

    width: int = 64
    atoms: int = 22
    feature_scale: int = 1


class AdditiveUNet(nn.Module):
    """U-Net with additive skips, shared between scales: (B, channels, H, W) -> (B, width, H, W)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter1 = conv_block(channels, width)
        self.encode1 = ResBlock(width)
        self.enter2 = conv_block(width, 2 * width, stride=2)
        self.encode2 = ResBlock(2 * width)
        self.enter3 = conv_block(2 * width, 4 * width, stride=2)
        self.encode3 = ResBlock(4 * width)
        self.bottleneck = nn.Sequential(conv_block(4 * width, 4 * width), ResBlock(4 * width))
        self.decode3 = ResBlock(4 * width)
        self.up2 = up_block(4 * width, 2 * width)
        self.decode2 = ResBlock(2 * width)
        self.up1 = up_block(2 * width, width)
        self.decode1 = ResBlock(width)

    def forward(self, x: Tensor) -> Tensor:
        r1 = self.encode1(self.enter1(x))
        r2 = self.encode2(self.enter2(r1))
        r3 = self.encode3(self.enter3(r2))
        d3 = self.decode3(r3 + self.bottleneck(r3))
        d2 = self.decode2(self.up2(d3) + r2)
        d1: Tensor = self.decode1(self.up1(d2) + r1)
        return d1


class CoefficientModule(nn.Module):
    """Gamma of one scale from its features and the states of the next coarser one (NRKNet, section 3.3)."""

    def __init__(self, width: int, atoms: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(reflect_conv(width, atoms), nn.BatchNorm2d(atoms, eps=1e-5), nn.ReLU())
        self.gates = nn.Conv2d(width + atoms, 4 * atoms, kernel_size=5, padding=2)

    def forward(self, features: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, width, H, W), states (B, J, H/2, W/2) -> gamma (B, J, H, W) and the new states."""
        a = self.attention(features)
        h, c = lstm_step(self.gates(torch.cat([avg_pool2d(features, 2), h], dim=1)), c)
        u = interpolate(h, scale_factor=2, mode="nearest")
        return u * a + u, h, c


class NRKNet(Network):
    """Predicts gamma at three scales and applies the Neumann terms (I - D_t)^t of each."""

    name: ClassVar[str] = "nrknet"
    coefficient_names: ClassVar[tuple[str, ...]] = ("gamma_1", "gamma_2", "gamma_3")
    default_overlap: ClassVar[int] = 64
    bytes_per_pixel: ClassVar[int] = 3000
    full_precision: ClassVar[tuple[str, ...]] = ("unet.enter1", "unet.encode1")
    replaceable_layers: ClassVar[bool] = True
    half_precision: ClassVar[tuple[str, ...]] = ("unet",)

    def __init__(self, config: NRKNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NRKNetConfig()
        self.unet = AdditiveUNet(3 * config.feature_scale**2, config.width)
        self.coefficients = CoefficientModule(config.width, config.atoms)
        self.blurring = BlurringOperator(config.atoms)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        width, channels = state["unet.enter1.0.weight"].shape[:2]
        atoms = state["coefficients.attention.0.weight"].shape[0]
        return cls(NRKNetConfig(width=width, atoms=atoms, feature_scale=isqrt(channels // 3)))

    def forward(self, x: Tensor) -> Prediction:
        """Z_0 of eq. (10); coefficients are gamma_1 (B, J, H, W), gamma_2 and gamma_3 at 1/2 and 1/4."""
        images = pyramid(x)
        gammas = self._gammas(images)
        z0 = x
        for t, image, gamma in zip(SCALES, images, gammas, strict=True):
            z0 = z0 + _enlarged(self._neumann_terms(image, gamma, t)[-1], t)
        return Prediction(z0, {f"gamma_{t}": gamma for t, gamma in zip(SCALES, gammas, strict=True)})

    def training_output(self, blurred: Tensor, sharp: Tensor) -> TrainingOutput:
        """Z_0 ... Z_3 for eq. (13) and the reblurred sharp images D_t(X_t) for eq. (14).

        Z_t = Y_t + sum_{k=1..t} (I - D_t)^k Y_t. The released script leaves the reblurring loss out of its
        sum; it is included here because the paper's ablation relies on it.
        """
        images, targets = pyramid(blurred), pyramid(sharp)
        gammas = self._gammas(images)
        z0 = blurred
        restored = []
        reblurred = []
        for t, y, x, gamma in zip(SCALES, images, targets, gammas, strict=True):
            terms = self._neumann_terms(y, gamma, t)
            z0 = z0 + _enlarged(terms[-1], t)
            z_t = y + torch.stack(terms).sum(dim=0)
            restored.append((LOSS_WEIGHTS[t], z_t, x))
            reblurred.append((LOSS_WEIGHTS[t], self.reblur(x, gamma), y))
        return TrainingOutput(
            restored=((LOSS_WEIGHTS[0], z0, sharp), *restored),
            reblurred=tuple(reblurred),
        )

    def reblur(self, image: Tensor, gamma: Tensor) -> Tensor:
        """Apply D_t to an image in float32, whatever the precision of gamma: pixels need more than 8 bits."""
        with torch.autocast(image.device.type, enabled=False):
            return self.blurring.forward(image, gamma)

    def reverse_colours(self) -> None:
        reverse_colours(self.unet.get_parameter("enter1.0.weight"), (self.config.width, 3, -1, 3, 3), 1)
        reverse_colours(self.blurring.kernels.logits, (self.config.atoms - 1, 3, 2), 1)
        reverse_colours(self.blurring.sum.weight, (3, self.config.atoms, 3), 0, 2)
        reverse_colours(self.blurring.sum.bias, (3,), 0)

    def initialise(self) -> None:
        """Xavier weights (section 4.1), then D_t close to the identity so that the output starts near x.

        The first gamma belongs to the delta atom: the biases hold its gates half open, which makes it nearly
        constant, and the 1 x 1 convolution divides by that constant. The paper does not do this; short
        training runs need the head start.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        nn.init.zeros_(self.blurring.kernels.logits)
        with torch.no_grad():
            atoms = self.config.atoms
            gates = self.coefficients.gates
            assert gates.bias is not None
            gates.weight.mul_(0.3)
            i, f, o, g = (gate * atoms for gate in range(4))  # the rows of the first gamma
            for row, bias in ((i, 2.0), (f, -4.0), (o, 2.0), (g, 2.0)):
                gates.weight[row].mul_(0.1)
                gates.bias[row] = bias
            attention = self.coefficients.attention[1]
            assert isinstance(attention, nn.BatchNorm2d)
            attention.weight[0] = 0.1
            c = torch.sigmoid(torch.tensor(2.0)) * torch.tanh(torch.tensor(2.0))
            gamma_1 = torch.sigmoid(torch.tensor(2.0)) * torch.tanh(c)
            self.blurring.sum.weight.mul_(0.1)
            self.blurring.sum.weight[:, :3, 0, 0] = torch.eye(3) / gamma_1

    def _gammas(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Gamma of every image, finest first; states are passed from coarse to fine."""
        factor = self.config.feature_scale
        inputs = images if factor == 1 else pyramid(padded(images[0], STEP * factor))
        coarsest = inputs[-1]
        height, width = (length // (2 * factor) for length in coarsest.shape[-2:])
        size = (coarsest.shape[0], self.config.atoms, height, width)
        h = c = torch.zeros(size, dtype=coarsest.dtype, device=coarsest.device)
        gammas: list[Tensor] = []
        for image, input in zip(reversed(images), reversed(inputs), strict=True):
            if gammas:
                h, c = resize(h, 2.0), resize(c, 2.0)
            features = self.unet(unshuffled(input, factor)).to(image.dtype)
            # Always float32: D(z) is subtracted from z, which exposes errors of gamma.
            with torch.autocast(image.device.type, enabled=False):
                gamma, h, c = self.coefficients(features, h, c)
            gammas.append(enlarged(gamma.float(), factor, image))
        return gammas[::-1]

    def _neumann_terms(self, image: Tensor, gamma: Tensor, count: int) -> list[Tensor]:
        """(I - D) Y, (I - D)^2 Y, ..., (I - D)^``count`` Y (eq. (8))."""
        terms: list[Tensor] = []
        z = image
        for _ in range(count):
            z = z - self.reblur(z, gamma)
            terms.append(z)
        return terms


def pyramid(image: Tensor) -> list[Tensor]:
    """The image at scales 1, 2, 3; each halving keeps the even rows and columns (nearest neighbour)."""
    half = image[..., ::2, ::2]
    return [image, half, half[..., ::2, ::2]]


def _enlarged(image: Tensor, t: int) -> Tensor:
    """The image of scale t, bilinearly enlarged to full size in one step."""
    return image if t == 1 else resize(image, 2.0 ** (t - 1))
