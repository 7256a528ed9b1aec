"""NRKNet: blur from recursive kernels, inverted by a truncated Neumann series across scales.

Quan, Wu, Ji: Neumann Network with Recursive Kernels for Single Image Defocus Deblurring, CVPR 2023. Where the
paper and the authors' release differ, this follows the release (and the code says so).

Axes: B batch, C colour, J atoms, H rows, W columns. Scale t = 1 is full size, t = 2 a half, t = 3 a quarter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from defocusctl.models.blocks import (
    ResBlock,
    conv_block,
    enlarged,
    padded,
    resize,
    reverse_colours,
    unshuffled,
    up_block,
)
from defocusctl.models.blur_atoms import (
    BlurKernels,
    BlurringOperator,
    FreeKernels,
    GaussianKernels,
    IndependentKernels,
    RecursiveKernels,
)
from defocusctl.models.coefficients import COEFFICIENTS
from defocusctl.models.prediction import Network, Prediction, TrainingOutput, check_choice

KERNELS: dict[str, type[BlurKernels]] = {
    "recursive": RecursiveKernels,
    "gaussian": GaussianKernels,
    "independent": IndependentKernels,
    "free": FreeKernels,
}
EXPANSIONS = ("cross-scale", "full")
"""Eq. (10): scale t adds its term k = t alone, so that high powers are computed at small sizes only. Ablation
"FullExp": every scale adds all its terms, as many as there are scales (eq. (9))."""
STEP = 16  # sides of photos are multiples of this
LOSS_WEIGHTS = (1.0, 0.75, 0.5, 0.25, 0.125)
"""lambda_0 ... lambda_3 of eq. (12); the paper does not give lambda_4 of its ablation with four scales."""


@dataclass(frozen=True)
class NRKNetConfig:
    """Sizes of an NRKNet; the defaults are those of the release (6,094,107 parameters).

    Features and coefficients are computed at 1/``feature_scale`` of the image's size, reblurring always at
    full size. ``kernels``, ``recurrence``, ``expansion`` and ``scales`` are what the paper's ablations vary.
    """

    width: int = 64
    atoms: int = 22
    feature_scale: int = 1
    kernels: str = "recursive"
    recurrence: str = "lstm"
    expansion: str = "cross-scale"
    scales: int = 3

    def __post_init__(self) -> None:
        check_choice("kernels", self.kernels, KERNELS)
        check_choice("recurrence", self.recurrence, COEFFICIENTS)
        check_choice("expansion", self.expansion, EXPANSIONS)
        check_choice("scales", self.scales, range(2, len(LOSS_WEIGHTS)))


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
        x = self.up2(d3) + r2
        x = self.up1(self.decode2(x)) + r1
        del r1, r2  # the rest needs most memory
        d1: Tensor = self.decode1(x)
        return d1


class NRKNet(Network):
    """Predicts gamma at three scales and applies the Neumann terms (I - D_t)^t of each."""

    name: ClassVar[str] = "nrknet"
    coefficient_names: tuple[str, ...] = ("gamma_1", "gamma_2", "gamma_3")
    default_overlap: int = 64
    bytes_per_pixel: int = 1500
    full_precision: ClassVar[tuple[str, ...]] = ("unet.enter1", "unet.encode1")
    replaceable_layers: ClassVar[bool] = True
    half_precision: ClassVar[tuple[str, ...]] = ("unet",)
    choices: ClassVar[tuple[str, ...]] = ("kernels", "recurrence", "expansion", "scales")

    def __init__(self, config: NRKNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NRKNetConfig()
        # The U-Net halves the coarsest scale twice.
        self.multiple = max(STEP, (4 << (config.scales - 1)) * config.feature_scale)
        self.unet = AdditiveUNet(3 * config.feature_scale**2, config.width)
        self.coefficients = COEFFICIENTS[config.recurrence](config.width, config.atoms)
        self.blurring = BlurringOperator(KERNELS[config.kernels](config.atoms), config.atoms)
        self.scales = range(1, config.scales + 1)
        self.coefficient_names = tuple(f"gamma_{t}" for t in self.scales)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], **choices: Any) -> Self:
        width, channels = state["unet.enter1.0.weight"].shape[:2]
        atoms = state["blurring.sum.weight"].shape[1] // 3
        return cls(NRKNetConfig(width=width, atoms=atoms, feature_scale=isqrt(channels // 3), **choices))

    def forward(self, x: Tensor) -> Prediction:
        """Z_0 of eq. (10); coefficients are gamma_1 (B, J, H, W), gamma_2 and gamma_3 at 1/2 and 1/4."""
        images = pyramid(x, len(self.scales))
        gammas = self._gammas(images)
        z0 = x
        for t, image, gamma in zip(self.scales, images, gammas, strict=True):
            z0 = z0 + self._part(self._neumann_terms(image, gamma, t), t)
        return Prediction(z0, dict(zip(self.coefficient_names, gammas, strict=True)))

    def training_output(self, blurred: Tensor, sharp: Tensor) -> TrainingOutput:
        """Z_0 ... Z_3 for eq. (13) and the reblurred sharp images D_t(X_t) for eq. (14).

        Z_t = Y_t + sum_{k=1..t} (I - D_t)^k Y_t, or up to the expansion's own order. The released script
        leaves the reblurring loss out of its sum; it is included here because the paper's ablation relies on
        it.
        """
        images, targets = (pyramid(image, len(self.scales)) for image in (blurred, sharp))
        gammas = self._gammas(images)
        z0 = blurred
        restored = []
        reblurred = []
        for t, y, x, gamma in zip(self.scales, images, targets, gammas, strict=True):
            terms = self._neumann_terms(y, gamma, t)
            z0 = z0 + self._part(terms, t)
            z_t = y + torch.stack(terms).sum(dim=0)
            restored.append((LOSS_WEIGHTS[t], z_t, x))
            reblurred.append((LOSS_WEIGHTS[t], self.reblur(x, gamma), y))
        return TrainingOutput(((LOSS_WEIGHTS[0], z0, sharp), *restored), tuple(reblurred))

    def reblur(self, image: Tensor, gamma: Tensor) -> Tensor:
        """Apply D_t to an image in float32, whatever the precision of gamma: pixels need more than 8 bits."""
        with torch.autocast(image.device.type, enabled=False):
            return self.blurring.forward(image, gamma)

    def reverse_colours(self) -> None:
        reverse_colours(self.unet.get_parameter("enter1.0.weight"), (self.config.width, 3, -1, 3, 3), 1)
        self.blurring.kernels.reverse_colours()
        reverse_colours(self.blurring.sum.weight, (3, self.config.atoms, 3), 0, 2)
        reverse_colours(self.blurring.sum.bias, (3,), 0)

    def initialise_as_published(self) -> None:
        """Xavier weights (section 4.1)."""
        self._draw_xavier()
        self.blurring.kernels.draw_xavier()

    def initialise(self) -> None:
        """Xavier weights, then D_t close to the identity so that the output starts near x.

        The first gamma belongs to the delta atom: it is made nearly constant, and the 1 x 1 convolution
        divides by that constant. The paper does not do this; short training runs need the head start.
        """
        self._draw_xavier()
        self.blurring.kernels.reset_parameters()
        gamma_1 = self.coefficients.hold_first()
        with torch.no_grad():
            self.blurring.sum.weight.mul_(0.1)
            self.blurring.sum.weight[:, :3, 0, 0] = torch.eye(3) / gamma_1

    def _draw_xavier(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def _gammas(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Gamma of every image, finest first; states are passed from coarse to fine."""
        pads = self.multiple > STEP
        inputs = pyramid(padded(images[0], self.multiple), len(images)) if pads else images
        states: Sequence[Tensor] = ()
        gammas: list[Tensor] = []
        for image, input in zip(reversed(images), reversed(inputs), strict=True):
            features = self.unet(unshuffled(input, self.config.feature_scale)).to(image.dtype)
            # Always float32: D(z) is subtracted from z, which exposes errors of gamma.
            with torch.autocast(image.device.type, enabled=False):
                gamma, states = self.coefficients(features, states)
            gamma = enlarged(gamma.float(), self.config.feature_scale, image)
            gammas.append(gamma if inputs is images else gamma[..., : image.shape[-2], : image.shape[-1]])
        return gammas[::-1]

    def _neumann_terms(self, image: Tensor, gamma: Tensor, t: int) -> list[Tensor]:
        """(I - D) Y, (I - D)^2 Y, ... of scale t, to the order of the expansion (eq. (8))."""
        terms: list[Tensor] = []
        z = image
        for _ in range(len(self.scales) if self.config.expansion == "full" else t):
            z = z - self.reblur(z, gamma)
            terms.append(z)
        return terms

    def _part(self, terms: list[Tensor], t: int) -> Tensor:
        """What scale t adds to the result, bilinearly enlarged to full size in one step."""
        part = torch.stack(terms).sum(dim=0) if self.config.expansion == "full" else terms[-1]
        return part if t == 1 else resize(part, 2.0 ** (t - 1))


def pyramid(image: Tensor, scales: int = 3) -> list[Tensor]:
    """The image at scales 1, 2, ...; each halving keeps the even rows and columns (nearest neighbour)."""
    images = [image]
    for _ in range(scales - 1):
        images.append(images[-1][..., ::2, ::2])
    return images
