"""Which precision and memory layout train fastest on the processor at hand, found by a probe of a few steps.

Processors differ: with AVX-512 BF16 bfloat16 is the fast choice; without, it is several times
slower than float32.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from defocusctl.evaluation.metrics import Lpips
from defocusctl.models.catalogue import network_errors
from defocusctl.models.fast_layers import mix_layouts
from defocusctl.models.prediction import Model
from defocusctl.training.losses import total_loss
from defocusctl.training.recipe import Recipe

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
PROBE_CROP = 128  # pixels; large enough to rank the candidates
PROBE_STEPS = 2  # after one to warm up


@dataclass(frozen=True)
class Execution:
    """How the steps of a run are computed: ``precision`` of autocast, memory ``layout`` of the features.

    ``lpips`` is for losses with a perceptual term, on the device of the run.
    """

    precision: str
    layout: str
    lpips: Lpips | None = None

    def prepare(self, network: Model, device: torch.device) -> Model:
        """The network itself on ``device`` in this layout."""
        network.to(device)
        network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        if self.layout == "mixed":
            mix_layouts(network)
        return network

    def loss(self, network: Model, blurred: Tensor, target: Tensor, recipe: Recipe) -> Tensor:
        """The recipe's loss of one batch: photos (B, 3, H, W) and what the network learns from them."""
        dtype = AUTOCAST.get(self.precision)
        blurred = blurred.contiguous(memory_format=self.memory_format)
        with (
            network_errors(network.name),
            torch.autocast(blurred.device.type, dtype=dtype, enabled=dtype is not None),
        ):
            output = network.training_output(blurred, target)
        return total_loss(output, recipe.loss, self.lpips)

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.contiguous_format if self.layout == "nchw" else torch.channels_last


def choose_execution(
    recipe: Recipe, network: Model, device: torch.device, lpips: Lpips | None = None
) -> Execution:
    """What the recipe says, and for ``auto`` what is fastest on this device; the network is not changed."""
    candidates = [
        Execution(precision, layout, None if lpips is None else lpips.to(device))
        for precision in _precisions(recipe, device)
        for layout in _layouts(recipe, device)
        if precision == "fp32" or layout != "mixed"
    ]
    if len(candidates) == 1:
        return candidates[0]
    fastest, best = candidates[0], inf
    for candidate in candidates:
        seconds = _seconds_per_step(candidate, recipe, network, device, give_up_above=2 * best)
        if seconds < best:
            fastest, best = candidate, seconds
    return fastest


def clock_of(device: torch.device) -> Callable[[], float]:
    """A clock, in seconds, for work on ``device``.

    A single thread's own time does not count other programs' work on a busy machine.
    """
    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def _precisions(recipe: Recipe, device: torch.device) -> list[str]:
    if recipe.precision != "auto":
        return [recipe.precision]
    return ["fp32"] if device.type == "mps" else ["fp32", "bf16"]


def _layouts(recipe: Recipe, device: torch.device) -> list[str]:
    if recipe.layout != "auto":
        return [recipe.layout]
    return ["mixed", "channels_last", "nchw"] if device.type == "cpu" else ["channels_last", "nchw"]


def _seconds_per_step(
    candidate: Execution, recipe: Recipe, network: Model, device: torch.device, *, give_up_above: float
) -> float:
    """The fastest of some steps, or of the first alone where that one took too long."""
    trial = candidate.prepare(deepcopy(network).train(), device)
    generator = torch.Generator().manual_seed(0)
    batch = min(recipe.stages[0].batch, 2)
    blurred, sharp = torch.rand(2, batch, 3, PROBE_CROP, PROBE_CROP, generator=generator).to(device)
    target = sharp[:, 0] if network.target == "radius" else sharp
    clock = clock_of(device)
    best = inf
    for _ in range(1 + PROBE_STEPS):
        trial.zero_grad(set_to_none=True)
        started = clock()
        candidate.loss(trial, blurred, target, recipe).backward()
        best = min(best, clock() - started)
        if best > give_up_above:
            break
    return best
