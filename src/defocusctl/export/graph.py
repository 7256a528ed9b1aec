"""What is exported: a network that takes photos of any size and pads them itself.

Axes: B batch, C colour, H rows, W columns.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from defocusctl.models.constant_folding import with_constant_dictionary
from defocusctl.models.prediction import Network

STEP = 16
"""The networks take multiples of this."""

SMALLEST = 17
"""Pixels a side of the smallest photo: reflection then reaches the smallest size that the networks take."""

LARGEST_SIDE = 1 << 16
LARGEST_BATCH = 1 << 12


class HalfPrecision(nn.Module):
    """A layer in float16, whatever it is given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.half()

    def forward(self, x: Tensor | list[Tensor]) -> Any:
        """What the layer returns for one tensor, or to a list of them."""
        return self.layer([each.half() for each in x] if isinstance(x, list) else x.half())


class PhotoGraph(nn.Module):
    """(B, 3, H, W) RGB photos in [0, 1] -> the restored ones, and coefficients.

    The photo is extended at the bottom and on the right by its reflection, to multiples of 16. The restored
    one has the photo's size again and is not clipped; the coefficients have the size of the extended photo.
    """

    def __init__(self, network: Network, *, coefficients: bool, precision: str) -> None:
        super().__init__()
        self.network = with_constant_dictionary(copy.deepcopy(network))
        self.coefficient_names = network.coefficient_names if coefficients else ()
        if precision == "fp16":
            _halve(self.network)
        self.eval()

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        height, width = photo.shape[-2:]
        rows, columns = _extended(height), _extended(width)
        extended = photo.index_select(2, rows).index_select(3, columns)
        image, coefficients = self.network(extended)
        restored = image[..., :height, :width]
        return (restored, *(coefficients[name] for name in self.coefficient_names))


def _extended(length: int) -> Tensor:
    """The rows or columns to take one after the other: all, then back from the last but one.

    Counted in a tensor, the blocks are a size of their own for the exporter. Of 16 times a number it knows
    that halving and doubling give the same again; of a formula with rounding it does not.
    """
    blocks: Any = torch.scalar_tensor((length + STEP - 1) // STEP, dtype=torch.int64).item()
    torch._check(blocks >= 2)
    torch._check(blocks <= LARGEST_SIDE // STEP)
    torch._check(STEP * blocks >= length)
    index = torch.arange(STEP * blocks)
    return torch.where(index < length, index, 2 * (length - 1) - index)


def _halve(network: Network) -> None:
    """Float16 for what predicts the coefficients; filtering with them stays float32, pixels need the bits."""
    for name in network.half_precision:
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, HalfPrecision(network.get_submodule(name)))
