"""Convolution blocks and recurrent cells of both networks. They do not normalise inside their U-Nets.

Axes: B batch, C channels, H rows, W columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm, pad, pixel_unshuffle


def unshuffled(image: Tensor, factor: int) -> Tensor:
    """Turn blocks of f x f pixels, f = ``factor``, into channels: (B, C, H, W) -> (B, C f^2, H/f, W/f)."""
    return image if factor == 1 else pixel_unshuffle(image, factor)


def resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear resizing by ``factor`` without antialiasing, corners not aligned."""
    return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def enlarged(maps: Tensor, factor: int, like: Tensor) -> Tensor:
    """Feature maps at 1/``factor`` of the size of the image ``like``, bilinearly enlarged to its size."""
    if factor == 1:
        return maps
    return resize(maps, factor)[..., : like.shape[-2], : like.shape[-1]]  # crop what `padded` added


def padded(image: Tensor, multiple: int) -> Tensor:
    """Pad the image right and below to multiples of ``multiple`` pixels, at least two of them."""
    height, width = image.shape[-2:]
    if all(length % multiple == 0 and length >= 2 * multiple for length in (height, width)):
        return image  # decided first, because an exporter can for all sizes of its graph
    bottom, right = (max(-length % multiple, 2 * multiple - length) for length in (height, width))
    return pad(
        image, (0, right, 0, bottom), mode="reflect" if bottom < height and right < width else "replicate"
    )


def reverse_colours(tensor: Tensor | None, shape: tuple[int, ...], *dims: int) -> None:
    """Swap red and blue of a parameter in place, along the axes ``dims`` of its view as ``shape``."""
    assert tensor is not None
    with torch.no_grad():
        view = tensor.view(shape)
        view.copy_(view.flip(dims))


def conv_block(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """Reflect-padded convolution without bias, then ReLU: (B, C, H, W) -> (B, C', H/stride, W/stride)."""
    return nn.Sequential(reflect_conv(in_channels, out_channels, stride=stride), nn.ReLU())


def reflect_conv(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Conv2d:
    """Reflect-padded 3 x 3 convolution without bias (the edge pixel is not repeated)."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, padding_mode="reflect", bias=False)


def up_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Transposed convolution without bias that doubles height and width, then ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False),
        nn.ReLU(),
    )


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3 x 3 without bias; shape is kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_block(channels, channels)
        self.second = reflect_conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(self.first(x))
        return x + residual


def res_blocks(channels: int, count: int) -> nn.Sequential:
    """``count`` residual blocks in sequence."""
    return nn.Sequential(*(ResBlock(channels) for _ in range(count)))


def lstm_step(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 4C, H, W) gate logits and the cell state c (B, C, H, W) -> the new hidden and cell states.

    The logits are overwritten: they are the largest tensor of the networks.
    """
    candidate = torch.tanh(gates.chunk(4, dim=1)[-1])
    # One sigmoid over all gates, unused for the candidate: slicing a channels-last tensor is far slower.
    i, f, o, _ = gates.sigmoid_().chunk(4, dim=1)
    c = (f * c).add_(i * candidate)
    return o * torch.tanh(c), c


class ResidualCell(nn.Module):
    """An LSTM cell whose gates come from residual blocks over ``seen``: features and hidden state.

    The paper uses the features as the cell's input state; the release concatenates them with the hidden
    state. The cell takes them concatenated, so that its caller need not keep both.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = res_blocks(2 * channels, 2)
        self.gates = nn.Conv2d(2 * channels, 4 * channels, kernel_size=1)

    def forward(self, seen: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2C, H, W) and the cell state c (B, C, H, W) -> the new hidden and cell states."""
        return lstm_step(self.gates(self.blocks(seen)), c)


class DuplexRecurrence(nn.Module):
    """Refines per-scale features fine to coarse, then coarse to fine (INIKNet, section 4.2, bi-LSTM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-5)
        self.fine_to_coarse = ResidualCell(channels)
        self.coarse_to_fine = ResidualCell(channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of all scales, coarsest first, each (B, C, H, W) -> the refined ones in the same order."""
        finest_first = [_normalised(feature, self.norm) for feature in reversed(features)]
        upward = _pass(self.fine_to_coarse, finest_first, factor=0.5)[::-1]
        downward = _pass(self.coarse_to_fine, upward, factor=2.0)
        return [feature + h for feature, h in zip(features, downward, strict=True)]


class StackedRecurrence(nn.Module):
    """Two cells in sequence, both coarse to fine, as large as the duplex (INIKNet's "Unidirectional")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-5)
        self.earlier = ResidualCell(channels)
        self.coarse_to_fine = ResidualCell(channels)

    def forward(self, features: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Features of one scale (B, C, H, W) -> the refined ones, and the states for the next finer scale.

        ``states`` are those of the next coarser one, none at the coarsest.
        """
        zero = torch.zeros_like(features)
        h1, c1, h2, c2 = [resize(state, 2.0) for state in states] or [zero] * 4
        h1, c1 = self.earlier(torch.cat([_normalised(features, self.norm), h1], dim=1), c1)
        h2, c2 = self.coarse_to_fine(torch.cat([h1, h2], dim=1), c2)
        return features + h2, [h1, c1, h2, c2]


def _normalised(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Layer normalisation over the channels of each pixel, in the layout of x."""
    last = x.permute(0, 2, 3, 1)
    y = layer_norm(last, norm.normalized_shape, norm.weight, norm.bias, norm.eps).permute(0, 3, 1, 2)
    return y.contiguous() if x.is_contiguous() else y


def _pass(cell: ResidualCell, features: list[Tensor], factor: float) -> list[Tensor]:
    """Run ``cell`` over the scales in the given order, resizing its states by ``factor`` in between.

    The list is emptied: what is not needed any more need not stay in memory.
    """
    c = torch.zeros_like(features[0])
    hidden: list[Tensor] = []
    while features:
        h = resize(hidden[-1], factor) if hidden else torch.zeros_like(c)
        seen = torch.cat([features.pop(0), h], dim=1)
        del h
        h, c = cell(seen, resize(c, factor) if hidden else c)
        hidden.append(h)
    return hidden
