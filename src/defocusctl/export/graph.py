"""The exported graph: a network that takes photos of any size and pads them itself.

Axes: B batch, C colour, H rows, W columns.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from defocusctl.models.constant_folding import with_constant_dictionary
from defocusctl.models.prediction import Network

STEP = 16
"""The networks need sides that are multiples of this."""

SMALLEST = 17
"""Side in pixels of the smallest photo that reflection extends to a size that the networks accept."""

LARGEST_SIDE = 1 << 16
LARGEST_BATCH = 1 << 12


class HalfPrecision(nn.Module):
    """A layer in float16, which converts its inputs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.half()

    def forward(self, x: Tensor | list[Tensor]) -> Any:
        """Apply the layer to a tensor or a list of tensors."""
        return self.layer([each.half() for each in x] if isinstance(x, list) else x.half())


class PhotoGraph(nn.Module):
    """(B, 3, H, W) RGB photos in [0, 1] -> the restored ones, and coefficients.

    The photo is extended at the bottom and on the right by its reflection, to multiples of 16. The restored
    one has the photo's size and is not clipped; the coefficients have the size of the extended photo.
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
    """The indices of rows or columns for reflection: all, then back from the last but one.

    The number of blocks comes from a tensor, so that the exporter treats it as a symbol of its own: it knows
    that halving and doubling 16 times a symbol are exact, but not for a formula with rounding.
    """
    blocks: Any = torch.scalar_tensor((length + STEP - 1) // STEP, dtype=torch.int64).item()
    torch._check(blocks >= 2)
    torch._check(blocks <= LARGEST_SIDE // STEP)
    torch._check(STEP * blocks >= length)
    index = torch.arange(STEP * blocks)
    return torch.where(index < length, index, 2 * (length - 1) - index)


def _halve(network: Network) -> None:
    """Use float16 for predicting the coefficients; filtering stays float32, whose precision pixels need."""
    for name in network.half_precision:
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, HalfPrecision(network.get_submodule(name)))
