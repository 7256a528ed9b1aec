"""The dictionaries of INIKNet's ablation study (section 5.2).

Axes: N atoms, R kernel sizes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from defocusctl.models.inverse_atoms import InverseAtoms, InverseDictionary, area_factor


class SeparateAtoms(InverseDictionary):
    """Ablation "Non-MS Dict": an implicit atom of its own for every kernel size."""

    width_key = "by_size.0.mlps.0.first.weight"

    def __init__(self, count: int, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.by_size = nn.ModuleList(InverseAtoms(count, [size], width) for size in self.sizes)

    def forward(self) -> list[Tensor]:
        return [kernels for atoms in self.by_size for kernels in atoms()]


class PlainAtoms(InverseDictionary):
    """Ablation "Non-INR Dict": learnable 3 x 3 matrices, bilinearly upsampled to the larger sizes.

    The corners of all sizes coincide, as the coordinates of the implicit atoms do. The paper does not say how
    the matrices begin; here like the weights of a 3 x 3 convolution.
    """

    width_key = None

    def __init__(self, count: int, sizes: Sequence[int], width: int) -> None:
        del width  # of MLPs
        super().__init__()
        self.sizes = tuple(sizes)
        self.base = nn.Parameter(torch.empty(count, 1, 3, 3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.base, -1 / 3, 1 / 3)

    def forward(self) -> list[Tensor]:
        return [
            interpolate(self.base, size=(size, size), mode="bilinear", align_corners=True).squeeze(1)
            * area_factor(size)
            for size in self.sizes
        ]
