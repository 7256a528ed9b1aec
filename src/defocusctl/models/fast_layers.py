"""Layers that are faster on a CPU than PyTorch's, with the same results up to rounding.

Inference: the networks pad by reflection before every convolution. Padding copies the whole feature map, and
under autocast PyTorch does it in float32, which costs more than a bfloat16 convolution itself. A convolution
that pads with zeros costs nothing extra and is wrong only along the outermost rows and columns: these are
recomputed from a reflected strip. In float32 without AVX-512, NNPACK, which is part of PyTorch, is up to
three times faster than oneDNN: its Winograd and Fourier transforms need fewer multiplications.

Training: without AVX-512, oneDNN is mostly fastest in channels_last for a 3 x 3 convolution and the gradient
of its input, but two to four times faster in NCHW for the gradient of its weight. A 1 x 1 convolution is
computed as a matrix product.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad

from defocusctl.models.blocks import ResBlock, ResidualCell, lstm_step
from defocusctl.models.prediction import Model, Network

STRIPES = 8  # into how many parts the gates of a cell are cut


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
        output = self._with_zeros_around(input)
        output[:, :, :1] = strip(slice(2), every, (1, 1, 1, 0))
        output[:, :, :, :1] = strip(every, slice(2), (1, 0, 1, 1))
        if stride == 1:
            output[:, :, -1:] = strip(slice(-2, None), every, (1, 1, 0, 1))
            output[:, :, :, -1:] = strip(every, slice(-2, None), (0, 1, 1, 1))
        return output

    def _with_zeros_around(self, input: Tensor) -> Tensor:
        return conv2d(input, self.weight, stride=self.stride, padding=1)


class NnpackBorderedConv2d(BorderedConv2d):
    """The same with stride 1, computed by NNPACK. No gradients."""

    def _with_zeros_around(self, input: Tensor) -> Tensor:
        return _nnpack(input, self)


class NnpackConv2d(nn.Conv2d):
    """A zero-padded convolution of stride 1, computed by NNPACK. No gradients."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), float32 in NCHW."""
        return _nnpack(input, self)


def _nnpack(input: Tensor, layer: nn.Conv2d) -> Tensor:
    # One by one: NNPACK rounds batches differently, and takes no less time for them.
    assert not isinstance(layer.padding, str)
    outputs = [
        torch._nnpack_spatial_convolution(image, layer.weight, layer.bias, layer.padding)
        for image in input.split(1)
    ]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


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
        network.set_submodule(name, FullPrecision(network.get_submodule(name)))
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


def nnpack_helps(network: Network) -> bool:
    """Whether ``use_nnpack`` has something to replace, and this PyTorch and processor support NNPACK."""
    return network.replaceable_layers and torch._nnpack_available()


def use_nnpack(network: Network) -> None:
    """Let NNPACK compute what it can, in place, for a network prepared by ``for_inference`` in NCHW.

    The network then computes in float32 only. NNPACK keeps the number of threads that PyTorch is set to when
    this is first called.
    """
    for layer in network.modules():
        if type(layer) is BorderedConv2d and layer.stride == (1, 1):
            layer.__class__ = NnpackBorderedConv2d
        elif type(layer) is nn.Conv2d and _is_plain(layer):
            layer.__class__ = NnpackConv2d
    torch._nnpack_available()  # initialises NNPACK
    _nnpack(torch.zeros(1, 16, 16, 16), nn.Conv2d(16, 16, 3, padding=1).requires_grad_(False))


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether a convolution is zero-padded, dense, of stride 1, and 3 x 3 or 5 x 5."""
    zeros = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    dense = layer.groups == 1 and layer.dilation == layer.stride == (1, 1)
    return zeros and dense and layer.kernel_size in ((3, 3), (5, 5))


class MixedLayoutConv2d(nn.Conv2d):
    """A convolution without groups or dilation; its layout changes between forward and backward pass."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride), channels_last."""
        if self.kernel_size == (1, 1):
            return linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        weight, padding = self.weight, list(self.padding)
        if torch.is_autocast_enabled(input.device.type):
            dtype = torch.get_autocast_dtype(input.device.type)
            input, weight = input.to(dtype), weight.to(dtype)
        if self.padding_mode != "zeros":
            input = pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = [0, 0]
        output: Tensor = _Convolution.apply(input, weight, list(self.stride), padding)  # type: ignore[no-untyped-call]
        return output if self.bias is None else output + self.bias.view(1, -1, 1, 1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        output: Tensor = torch.ops.aten.convolution(
            input, weight, None, stride, padding, [1, 1], False, [0, 0], 1
        )
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors

        def gradients(layout: torch.memory_format, of_input: bool) -> Tensor:
            arguments = (tensor.contiguous(memory_format=layout) for tensor in (gradient, input, weight))
            wanted = [of_input, not of_input, False]
            both = torch.ops.aten.convolution_backward(
                *arguments, None, ctx.stride, ctx.padding, [1, 1], False, [0, 0], 1, wanted
            )
            result: Tensor = both[0 if of_input else 1]
            return result

        input_needed, weight_needed = ctx.needs_input_grad[:2]
        return (
            gradients(torch.channels_last, of_input=True) if input_needed else None,
            gradients(torch.contiguous_format, of_input=False) if weight_needed else None,
            None,
            None,
        )


def mix_layouts(network: Model) -> None:
    """Prepare the network for training, in place: each pass of a convolution runs in its fastest layout."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and layer.groups == 1 and layer.dilation == (1, 1):
            layer.__class__ = MixedLayoutConv2d  # the same parameters, another forward pass
