"""INIKNet: inverse kernels per pixel from a dictionary of implicit neural atoms.

Quan, Yao, Ji: Single Image Defocus Deblurring via Implicit Neural Inverse Kernels, ICCV 2023. Where the paper
and the authors' release differ, this follows the release (and the code says so).

Axes: B batch, C colour, R kernel sizes, N atoms, H rows, W columns. Scales run from coarse to fine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from defocusctl.models.blocks import (
    DuplexRecurrence,
    StackedRecurrence,
    conv_block,
    enlarged,
    padded,
    res_blocks,
    resize,
    reverse_colours,
    unshuffled,
    up_block,
)
from defocusctl.models.inverse_atoms import (
    AtomMLP,
    InverseAtoms,
    InverseDictionary,
    InverseFiltering,
    PlainAtoms,
    SeparateAtoms,
)
from defocusctl.models.prediction import Network, Prediction, TrainingOutput, check_choice

DICTIONARIES: dict[str, type[InverseDictionary]] = {
    "implicit": InverseAtoms,
    "separate": SeparateAtoms,
    "plain": PlainAtoms,
}
ORDERS: dict[str, tuple[type[nn.Module], int]] = {
    "duplex": (DuplexRecurrence, 1),
    "unidirectional": (StackedRecurrence, 2),
}
"""For each order of the scales (section 4.1), the class of the two recurrences, for mu and for omega, and how
many images the U-Net sees at once."""
SCALES = (0.25, 0.5, 1.0)
STEP = 16  # sides are multiples of this: the U-Net halves the coarsest scale twice

Coefficients = list[tuple[Tensor, Tensor]]
"""Mu (B, R, h, w) and omega (B, N, h, w) of scales, each from its features of the size h, w."""


@dataclass(frozen=True)
class INIKNetConfig:
    """Sizes of an INIKNet; the defaults are those of the release (1,976,847 parameters).

    Features and coefficients are computed at 1/``feature_scale`` of the image's size, filtering always at
    full size. ``dictionary`` and ``order`` are parts that the paper's ablations replace.
    """

    width: int = 32
    blocks_per_stage: int = 2
    atoms: int = 10
    kernel_sizes: int = 8
    atom_width: int = 64
    feature_scale: int = 1
    dictionary: str = "implicit"
    order: str = "duplex"

    def __post_init__(self) -> None:
        check_choice("dictionary", self.dictionary, DICTIONARIES)
        check_choice("order", self.order, ORDERS)
        if DICTIONARIES[self.dictionary].width_key is None and self.atom_width != INIKNetConfig.atom_width:
            raise ValueError(f"the dictionary {self.dictionary!r} has no atom_width")

    @property
    def sampled_sizes(self) -> tuple[int, ...]:
        """The kernel sizes that are actually used for filtering: 3, 5, ..., without the 1 x 1 slot."""
        return tuple(2 * r + 1 for r in range(1, self.kernel_sizes))


class FeatureUNet(nn.Module):
    """U-Net with concatenated skips, shared between scales: (B, channels, H, W) -> (B, width, H, W)."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter1 = conv_block(channels, width)
        self.encode1 = res_blocks(width, blocks)
        self.enter2 = conv_block(width, 2 * width, stride=2)
        self.encode2 = res_blocks(2 * width, blocks)
        self.enter3 = conv_block(2 * width, 4 * width, stride=2)
        self.encode3 = res_blocks(4 * width, blocks)
        self.up2 = up_block(4 * width, 2 * width)
        self.merge2 = conv_block(4 * width, 2 * width)
        self.decode2 = res_blocks(2 * width, blocks)
        self.up1 = up_block(2 * width, width)
        self.merge1 = conv_block(2 * width, width)
        self.decode1 = res_blocks(width, blocks)

    def forward(self, x: Tensor) -> Tensor:
        e1 = self.encode1(self.enter1(x))
        e2 = self.encode2(self.enter2(e1))
        e3 = self.encode3(self.enter3(e2))
        d2 = self.decode2(self.merge2(torch.cat([self.up2(e3), e2], dim=1)))
        d1: Tensor = self.decode1(self.merge1(torch.cat([self.up1(d2), e1], dim=1)))
        return d1


class INIKNet(Network):
    """Predicts mu and omega for every pixel and filters the image with the kernels they select."""

    name: ClassVar[str] = "iniknet"
    coefficient_names: tuple[str, ...] = ("mu", "omega")
    default_overlap: int = 40
    bytes_per_pixel: int = 1500
    full_precision: ClassVar[tuple[str, ...]] = ("unet", "omega_recurrence.coarse_to_fine")
    replaceable_layers: ClassVar[bool] = True
    half_precision: ClassVar[tuple[str, ...]] = ("unet", "mu_recurrence", "omega_recurrence")
    choices: ClassVar[tuple[str, ...]] = ("dictionary", "order")

    def __init__(self, config: INIKNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or INIKNetConfig()
        self.multiple = STEP * config.feature_scale
        if config.feature_scale > 1:
            self.default_overlap, self.bytes_per_pixel = 64, 700
        recurrence, self.images = ORDERS[config.order]
        channels = 3 * self.images * config.feature_scale**2
        self.unet = FeatureUNet(channels, config.width, config.blocks_per_stage)
        self.mu_recurrence = recurrence(config.width)
        self.omega_recurrence = recurrence(config.width)
        self.mu_predictor = nn.Conv2d(config.width, config.kernel_sizes, kernel_size=1)
        self.omega_predictor = nn.Conv2d(config.width, config.atoms, kernel_size=1)
        dictionary = DICTIONARIES[config.dictionary]
        self.atoms = dictionary(config.atoms, config.sampled_sizes, config.atom_width)
        self.filtering = InverseFiltering(config.atoms, config.kernel_sizes)

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], *, dictionary: str = "implicit", order: str = "duplex"
    ) -> Self:
        chosen = INIKNetConfig(dictionary=dictionary, order=order)
        width, channels = state["unet.enter1.0.weight"].shape[:2]
        blocks = {key.split(".")[2] for key in state if key.startswith("unet.encode1.")}
        width_key = DICTIONARIES[dictionary].width_key
        config = replace(
            chosen,
            width=width,
            blocks_per_stage=len(blocks),
            atoms=state["omega_predictor.weight"].shape[0],
            kernel_sizes=state["mu_predictor.weight"].shape[0],
            atom_width=state[f"atoms.{width_key}"].shape[0] if width_key else chosen.atom_width,
            feature_scale=isqrt(channels // (3 * ORDERS[order][1])),
        )
        return cls(config)

    def forward(self, x: Tensor) -> Prediction:
        """Restore at the finest scale only; coefficients are mu (B, R, H, W) and omega (B, N, H, W)."""
        finest = self._coefficients(x, 1)[0]
        mu, omega = (enlarged(maps, self.config.feature_scale, x) for maps in finest)
        return Prediction(self._filter(x, mu, omega), {"mu": mu, "omega": omega})

    def training_output(self, blurred: Tensor, sharp: Tensor) -> TrainingOutput:
        """Estimates at all three scales for eq. (10), each with weight 1, the full-size one first."""
        coefficients = zip(SCALES, self._coefficients(blurred, len(SCALES)), strict=True)
        estimates = [
            (1.0, self.restored(resized(blurred, scale), mu, omega), resized(sharp, scale))
            for scale, (mu, omega) in coefficients
        ]
        return TrainingOutput(restored=tuple(reversed(estimates)))

    def restored(self, image: Tensor, mu: Tensor, omega: Tensor) -> Tensor:
        """The estimate at one scale, (B, 3, H, W), from its image and coefficients."""
        factor = self.config.feature_scale
        return self._filter(image, enlarged(mu, factor, image), enlarged(omega, factor, image))

    def mu(self, features: Tensor) -> Tensor:
        """Mu (B, R, h, w) from features (B, width, h, w), in float32."""
        return torch.softmax(_predicted(self.mu_predictor, features), dim=1)

    def omega(self, features: Tensor) -> Tensor:
        """Omega (B, N, h, w) from features (B, width, h, w), in float32."""
        return _predicted(self.omega_predictor, features)

    def reverse_colours(self) -> None:
        config = self.config
        entry = self.unet.get_parameter("enter1.0.weight")
        reverse_colours(entry, (config.width, self.images, 3, -1, 3, 3), 2)
        reverse_colours(self.filtering.sum.weight, (3, config.kernel_sizes, 3, config.atoms), 0, 2)
        reverse_colours(self.filtering.sum.bias, (3,), 0)

    def initialise_as_published(self) -> None:
        """PyTorch's default weights, and frequencies of the atoms drawn from [2, 16] (section 5)."""
        self._reset()
        for module in self.modules():
            if isinstance(module, AtomMLP):
                nn.init.uniform_(module.frequency, 2, 16)

    def initialise(self) -> None:
        """PyTorch's default weights, and no bias in ``sum``: small products make the output start near x."""
        self._reset()
        assert self.filtering.sum.bias is not None
        nn.init.zeros_(self.filtering.sum.bias)

    def _reset(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.LayerNorm | PlainAtoms):
                module.reset_parameters()

    def _coefficients(self, x: Tensor, count: int) -> Coefficients:
        """Mu and omega of the finest ``count`` scales, at the sizes of their features."""
        if self.config.feature_scale > 1:
            x = padded(x, self.multiple)
        return self._duplex(x, count) if self.config.order == "duplex" else self._unidirectional(x)[-count:]

    def _duplex(self, x: Tensor, count: int) -> Coefficients:
        """All scales at once, then fine to coarse and coarse to fine: nothing waits for a restored image.

        Only what is wanted is predicted: programs of torch.export with unused predictions cannot be loaded.
        """
        factor = self.config.feature_scale
        features = [self.unet(unshuffled(resized(x, scale), factor)) for scale in SCALES]
        # Mu takes a fraction of the memory of the features that it comes from.
        mus = [self.mu(refined) for refined in self.mu_recurrence(features)[-count:]]
        omegas = [self.omega(refined) for refined in self.omega_recurrence(features)[-count:]]
        return list(zip(mus, omegas, strict=True))

    def _unidirectional(self, x: Tensor) -> Coefficients:
        """Coarse to fine only: beside its photo, each scale sees the restored image of the one before.

        The coarsest scale has none, and sees its photo twice.
        """
        image = attached = resized(x, SCALES[0])
        mu_states: list[Tensor] = []
        omega_states: list[Tensor] = []
        found: Coefficients = []
        for scale in SCALES:
            if found:
                attached = resize(self.restored(image, *found[-1]), 2.0)
                image = resized(x, scale)
            both = torch.cat([image, attached], dim=1)
            features = self.unet(unshuffled(both, self.config.feature_scale))
            mu_features, mu_states = self.mu_recurrence(features, mu_states)
            omega_features, omega_states = self.omega_recurrence(features, omega_states)
            found.append((self.mu(mu_features), self.omega(omega_features)))
        return found

    def _filter(self, image: Tensor, mu: Tensor, omega: Tensor) -> Tensor:
        """Eq. (8) in float32, whatever the precision of the coefficients: pixels need more than 8 bits."""
        with torch.autocast(image.device.type, enabled=False):
            return self.filtering.forward(image, self.atoms(), mu, omega)


def resized(image: Tensor, scale: float) -> Tensor:
    """The full-size image at this scale, resized in one step."""
    return image if scale == 1.0 else resize(image, scale)


def _predicted(predictor: nn.Conv2d, features: Tensor) -> Tensor:
    """What a predictor says, in float32, whatever the precision of the features."""
    with torch.autocast(features.device.type, enabled=False):
        predicted: Tensor = predictor(features.to(predictor.weight.dtype))
        return predicted.float()
