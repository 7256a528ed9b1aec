"""NRKNet's module for the coefficients gamma of the blur atoms (section 3.3), and the ablation of it.

Axes: B batch, J atoms, H rows, W columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from defocusctl.models.blocks import lstm_step, reflect_conv, res_blocks, resize


class CoefficientModule(nn.Module):
    """Base: gamma of one scale from its features, and perhaps the states of the next coarser one."""

    def forward(self, features: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Features (B, width, H, W) -> gamma (B, J, H, W), and the states for the next finer scale.

        ``states`` are those of the next coarser scale, none at the coarsest.
        """
        raise NotImplementedError

    def hold_first(self) -> float:
        """Set the weights of the first gamma so that it is nearly constant; returns the constant."""
        raise NotImplementedError


class RecurrentCoefficients(CoefficientModule):
    """Gamma from a convolutional LSTM over the scales and an attention to its output."""

    def __init__(self, width: int, atoms: int) -> None:
        super().__init__()
        self.atoms = atoms
        self.attention = nn.Sequential(reflect_conv(width, atoms), nn.BatchNorm2d(atoms, eps=1e-5), nn.ReLU())
        self.gates = nn.Conv2d(width + atoms, 4 * atoms, kernel_size=5, padding=2)

    def forward(self, features: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """The states (B, J, H/2, W/2) are enlarged from the coarser scale's."""
        a = self.attention(features)
        pooled = avg_pool2d(features, 2)
        zero = pooled.new_zeros(pooled.shape[0], self.atoms, *pooled.shape[-2:])
        h, c = [resize(state, 2.0) for state in states] or (zero, zero)
        h, c = lstm_step(self.gates(torch.cat([pooled, h], dim=1)), c)
        u = interpolate(h, scale_factor=2, mode="nearest")
        return u * a + u, (h, c)

    @torch.no_grad()
    def hold_first(self) -> float:
        """Its gates are held half open by their biases."""
        assert self.gates.bias is not None
        self.gates.weight.mul_(0.3)
        i, f, o, g = (gate * self.atoms for gate in range(4))  # the rows of the first gamma
        for row, bias in ((i, 2.0), (f, -4.0), (o, 2.0), (g, 2.0)):
            self.gates.weight[row].mul_(0.1)
            self.gates.bias[row] = bias
        attention = self.attention[1]
        assert isinstance(attention, nn.BatchNorm2d)
        attention.weight[0] = 0.1
        c = torch.sigmoid(torch.tensor(2.0)) * torch.tanh(torch.tensor(2.0))
        return float(torch.sigmoid(torch.tensor(2.0)) * torch.tanh(c))


class PlainCoefficients(CoefficientModule):
    """Ablation "w/o LSTM": a deeper U-Net instead of the LSTM, about as large; scales know nothing of others.

    The paper does not say which layers it adds; here three residual blocks and a 1 x 1 convolution.
    """

    def __init__(self, width: int, atoms: int) -> None:
        super().__init__()
        self.blocks = res_blocks(width, 3)
        self.predictor = nn.Conv2d(width, atoms, kernel_size=1)

    def forward(self, features: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        return self.predictor(self.blocks(features)), states

    @torch.no_grad()
    def hold_first(self) -> float:
        assert self.predictor.bias is not None
        self.predictor.weight.mul_(0.3)
        self.predictor.weight[0].mul_(0.1)
        self.predictor.bias[0] = 0.5
        return 0.5


COEFFICIENTS: dict[str, type[CoefficientModule]] = {"lstm": RecurrentCoefficients, "none": PlainCoefficients}
