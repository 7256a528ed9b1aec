"""Convolutions for training on a CPU, each pass in its fastest memory layout.

Without AVX-512, oneDNN is mostly fastest in channels_last for a 3 x 3 convolution and the gradient of its
input, but two to four times faster in NCHW for the gradient of its weight. A 1 x 1 convolution is computed as
a matrix product. The results are those of ``nn.Conv2d`` up to the order of summation.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from defocusctl.models.prediction import Model


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
            both = torch.ops.aten.convolution_backward(
                *arguments,
                None,
                ctx.stride,
                ctx.padding,
                [1, 1],
                False,
                [0, 0],
                1,
                [of_input, not of_input, False],
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
    """Replace the network's convolutions in place."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and layer.groups == 1 and layer.dilation == (1, 1):
            layer.__class__ = MixedLayoutConv2d  # the same parameters, another forward pass
