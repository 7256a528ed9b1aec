"""This process among those that ``torchrun`` started; alone without it.

Every process takes the same steps with the same weights: it learns from its share of each batch, and
gradients are averaged before the optimiser steps. The first process alone writes, validates and reports.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

from defocusctl.errors import DataError, DeviceError

PATIENCE = timedelta(hours=2)  # how long the others wait while the first one validates or writes


class LostProcessError(DeviceError):
    """Another process ended or cannot be reached."""


@dataclass(frozen=True)
class Processes:
    """``rank`` counts from 0 to ``count`` - 1; ``device`` is what this process computes on."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def parts(self, batch: int, accumulate: int) -> list[slice]:
        """Which samples of a batch this process learns from, in ``accumulate`` equal parts.

        Raises:
            DataError: if the batch cannot be divided so.
        """
        pieces = self.count * accumulate
        if batch % pieces:
            cause = f"a batch of {batch} is not divisible by {pieces}, the processes times 'accumulate'"
            raise DataError(cause, "choose another 'batch' or number of processes")
        size = batch // pieces
        first = self.rank * accumulate
        return [slice(size * i, size * (i + 1)) for i in range(first, first + accumulate)]

    def average(self, loss: Tensor, parameters: Iterable[Parameter]) -> Tensor:
        """Replace gradients by their mean over the processes; returns the mean of the losses.

        Raises:
            LostProcessError: if another process is gone.
        """
        if self.count == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)])
        self._sum(flat)
        flat /= self.count
        start = 1
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return flat[0]

    def any(self, yes: bool) -> bool:
        """Whether any process says yes; all wait for each other here.

        Raises:
            LostProcessError: if another process is gone.
        """
        if self.count == 1:
            return yes
        votes = torch.tensor(float(yes), device=self.device)
        self._sum(votes)
        return bool(votes > 0)

    def _sum(self, values: Tensor) -> None:
        try:
            dist.all_reduce(values)
        except RuntimeError as error:
            cause = f"process {self.rank} of {self.count} lost another one"
            raise LostProcessError(cause, "see what that one said, then continue with --resume") from error


@contextmanager
def started_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, or be alone; each gets the GPU of its local rank."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(device, dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
