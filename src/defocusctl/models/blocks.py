"""Convolution blocks that both networks are made of. Neither normalises inside its U-Net.

Axes: B batch, C channels, H rows, W columns.
"""

from torch import Tensor, nn


def conv_block(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Reflect-padded convolution without bias, then ReLU: (B, C, H, W) -> (B, C', H/stride, W/stride)."""
    return nn.Sequential(reflect_conv(in_channels, out_channels, kernel=kernel, stride=stride), nn.ReLU())


def reflect_conv(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Convolution without bias whose border is the image's reflection (the edge pixel is not repeated)."""
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=False
    )


def up_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Transposed convolution without bias that doubles height and width, then ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False),
        nn.ReLU(),
    )


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3 without bias: the size and channels stay."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_block(channels, channels)
        self.second = reflect_conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(self.first(x))
        return x + residual


def res_blocks(channels: int, count: int) -> nn.Sequential:
    """``count`` residual blocks one after the other."""
    return nn.Sequential(*(ResBlock(channels) for _ in range(count)))
