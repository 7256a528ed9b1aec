"""Layers that make inference on a CPU faster and smaller, with the same results up to rounding.

The networks pad by reflection before every convolution. Padding copies the whole feature map, and under
autocast PyTorch does it in float32, which costs more than a bfloat16 convolution itself. A convolution that
pads with zeros costs nothing extra and is wrong only along the outermost rows and columns: these are
recomputed from a reflected strip.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from defocusctl.models.blocks import ResBlock
from defocusctl.models.prediction import Network
from defocusctl.models.recurrence import ResidualCell, lstm_step

STRIPES = 8
"""Into how many parts the gates of a cell are cut."""


class BorderedConv2d(nn.Conv2d):
    """A reflect-padded 3 x 3 convolution of stride 1 or 2, without bias."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W), H and W even -> (B, C', H/stride, W/stride). No gradients."""
        stride = self.stride[0]

        def strip(rows: slice, columns: slice, padding: tuple[int, int, int, int]) -> Tensor:
            return conv2d(
                pad(input[:, :, rows, columns], padding, mode="reflect"), self.weight, stride=stride
            )

        every = slice(None)
        output = conv2d(input, self.weight, stride=stride, padding=1)
        output[:, :, :1] = strip(slice(2), every, (1, 1, 1, 0))
        output[:, :, :, :1] = strip(every, slice(2), (1, 0, 1, 1))
        if stride == 1:
            output[:, :, -1:] = strip(slice(-2, None), every, (1, 1, 0, 1))
            output[:, :, :, -1:] = strip(every, slice(-2, None), (0, 1, 1, 1))
        return output


class InPlaceResBlock(ResBlock):
    """A residual block that overwrites its input, which nobody else may need. No gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), in the wider of its own precision and that of the convolutions -> the same tensor."""
        return x.add_(self.second(self.first(x)))


class StripedCell(ResidualCell):
    """A cell that finds the gates, the largest tensor of all, for some rows after others. No gradients."""

    def forward(self, seen: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(seen)
        height = x.shape[-2]
        rows = max(1, -(-height // STRIPES))
        steps = [
            lstm_step(self.gates(x[:, :, top : top + rows]), c[:, :, top : top + rows])
            for top in range(0, height, rows)
        ]
        hidden, cells = zip(*steps, strict=True)
        return torch.cat(hidden, dim=2), torch.cat(cells, dim=2)


LEANER: dict[type[nn.Module], type[nn.Module]] = {ResBlock: InPlaceResBlock, ResidualCell: StripedCell}


class FullPrecision(nn.Module):
    """A layer that stays in float32 under autocast."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Any:
        """Run the layer on the inputs as float32."""
        with torch.autocast(inputs[0].device.type, enabled=False):
            return self.layer(*(tensor.float() for tensor in inputs))


def for_inference(
    network: Network, device: torch.device, layout: torch.memory_format = torch.channels_last
) -> Network:
    """Prepare the network in place: on ``device`` in this layout, in evaluation mode and without gradients.

    Its ``full_precision`` layers stay in float32 under autocast. On a CPU, ``replaceable_layers`` are
    replaced by faster ones with the same weights; on a GPU, padding is faster than launching the small
    convolutions of the border.
    """
    if device.type == "cpu" and network.replaceable_layers:
        _replace_layers(network)
    for name in network.full_precision:
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, FullPrecision(network.get_submodule(name)))
    network.eval().requires_grad_(False)
    network.to(device)
    network.to(memory_format=layout)  # type: ignore[call-overload]
    return network


def _replace_layers(network: Network) -> None:
    for layer in network.modules():
        if type(layer) in LEANER:
            layer.__class__ = LEANER[type(layer)]  # the same parts and weights, another forward pass
        elif isinstance(layer, nn.ReLU):
            layer.inplace = True
        elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "reflect" and layer.kernel_size == (3, 3):
            layer.__class__ = BorderedConv2d
