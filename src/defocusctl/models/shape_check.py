"""A network without numbers, which shows what a file of weights must hold before memory is spent on it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from defocusctl.models.prediction import Model

Builder = Callable[[Mapping[str, Tensor]], Model]

CALL = 1000  # the cost of one PyTorch call, as a count of numbers
LIMIT = 10_000_000  # the largest count for building a network; the released ones stay below 1,000,000


def built_without_numbers(build: Builder, state: Mapping[str, Tensor]) -> Model:
    """The network that ``build``, a ``from_state``, makes for ``state``, its parameters on ``meta``.

    Raises:
        KeyError: if a tensor that determines a size is missing.
        IndexError: if such a tensor has too few axes.
        ValueError: if a tensor is empty, or building the network would take more than ``LIMIT``.
    """
    for key, tensor in state.items():
        if tensor.numel() == 0:
            raise ValueError(f"{key} is empty")
    with _ShapesOnly():
        return build(state)


class _ShapesOnly(TorchFunctionMode):
    """Creates parameters on the ``meta`` device, where they take no memory; counts everything else.

    Only parameters, because creating constants there would make PyTorch load a compiler for a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.effort = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})})
        self.effort += CALL
        if isinstance(made, Tensor) and not made.is_meta:
            self.effort += made.numel()
        if self.effort > LIMIT:
            raise ValueError("it claims sizes far beyond the released ones")
        return made
