"""Constant folding for trained networks: dictionaries are computed once, and filters are plain convolutions.

The networks' results stay the same up to rounding. Their graphs have a third of the operations, which makes
export and loading faster.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from defocusctl.models.blur_atoms import BlurringOperator, RecursiveKernels
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.prediction import Network


class ConstantAtoms(nn.Module):
    """INIKNet's dictionary as precomputed kernels."""

    def __init__(self, kernels: Sequence[Tensor]) -> None:
        super().__init__()
        self.kernels = _constants(kernels)

    def forward(self) -> list[Tensor]:
        """The kernels, one (N, k, k) tensor per size k, smallest first."""
        return list(self.kernels)


class ConstantBlurring(nn.Module):
    """NRKNet's blurring operator with each a_j a_j^T as one 3 x 3 kernel per colour."""

    def __init__(self, blurring: BlurringOperator, kernels: RecursiveKernels) -> None:
        super().__init__()
        taps = kernels()  # (J - 1, C, 3)
        products = taps.unsqueeze(-1) * taps.unsqueeze(-2)  # (J - 1, C, 3, 3)
        mixing = blurring.sum.weight.reshape(3, -1, 3).unbind(dim=1)  # J times (3, C)
        assert blurring.sum.bias is not None
        self.kernels = _constants(kernel.unsqueeze(1) for kernel in products)
        self.mixing = _constants(matrix.reshape(3, 3, 1, 1) for matrix in mixing)
        self.bias = nn.Parameter(blurring.sum.bias.view(1, 3, 1, 1), requires_grad=False)

    def forward(self, image: Tensor, gamma: Tensor) -> Tensor:
        """(B, 3, H, W) and gamma (B, J, H, W), float32 -> D(image), (B, 3, H, W)."""
        per_atom = gamma.split(1, dim=1)
        response = image
        blurred: Tensor = per_atom[0] * conv2d(response, self.mixing[0]) + self.bias
        for kernel, matrix, weight in zip(self.kernels, self.mixing[1:], per_atom[1:], strict=True):
            response = conv2d(pad(response, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)
            blurred = blurred + weight * conv2d(response, matrix)
        return blurred


@torch.no_grad()
def with_constant_dictionary(network: Network) -> Network:
    """Replace the network's dictionary by its computed values, in place; returned in evaluation mode."""
    match network:
        case INIKNet():
            network.atoms = ConstantAtoms(network.atoms())  # type: ignore[assignment]
        case NRKNet(blurring=BlurringOperator(kernels=RecursiveKernels() as kernels)):
            network.blurring = ConstantBlurring(network.blurring, kernels)  # type: ignore[assignment]
    return network.eval().requires_grad_(False)


def _constants(tensors: Iterable[Tensor]) -> nn.ParameterList:
    """Copies, because saving a view of a larger tensor saves all of it."""
    copies = (tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors)
    return nn.ParameterList(nn.Parameter(copy, requires_grad=False) for copy in copies)
