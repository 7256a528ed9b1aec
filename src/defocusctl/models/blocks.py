"""Convolution blocks shared by both networks. Neither normalises inside its U-Net.

Axes: B batch, C channels, H rows, W columns.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_unshuffle

from defocusctl.geometry import round_up


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
    bottom, right = (max(2 * multiple, round_up(length, multiple)) - length for length in (height, width))
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
