"""Training throughput of recipes: steps and samples per hour, and where the time goes.

    OMP_NUM_THREADS=1 python benchmarks/training.py RECIPE... --data DIR [--rounds 5] [--device cpu]

Each recipe's last stage is trained from random weights as in `train`, in two variants: float32 and
channels_last ("fixed"), and `auto` for both `precision` and `layout`. A round takes one step of each; the
table shows medians. "Convolutions" is the rate in FLOP per second, relative to that of a 3 x 3 convolution of
64 channels on this device in the same run. With one thread, processor time is measured, which other programs
hardly affect.
"""

import argparse
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from defocusctl.data.batches import Crops, RenderedSource, Samples, StepCrops, render_crops
from defocusctl.data.pairs import PixelCache, photos_below
from defocusctl.training.execution import clock_of
from defocusctl.training.recipe import Recipe, read_recipe
from defocusctl.training.setup import network_of
from defocusctl.training.state import TrainingState

CACHE = 2 * 2**30  # bytes, as in recipes
COLUMNS = "recipe", "contender", "s/step", "samples/h", "loader", "renderer", "convolutions", "speed-up"


@dataclass
class Contender:
    """A variant of training and the seconds of its steps: reading, rendering, everything else."""

    name: str
    state: TrainingState
    loader: list[float] = field(default_factory=list)
    renderer: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)

    @property
    def step(self) -> float:
        return statistics.median(map(sum, zip(self.loader, self.renderer, self.network, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", type=Path, nargs="+", metavar="RECIPE")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    arguments = parser.parse_args()
    peak = convolution_rate(arguments.device)
    print(f"{arguments.device}, {torch.get_num_threads()} threads; convolutions: {peak / 1e9:.0f} GFLOP/s\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * 2 + "|---:" * (len(COLUMNS) - 2) + "|")
    for path in arguments.recipes:
        compare(path, arguments.data, arguments.rounds, arguments.device, peak)


def compare(path: Path, root: Path, rounds: int, device: torch.device, peak: float) -> None:
    """Print the rows for a recipe."""
    recipe = read_recipe(path)
    fixed = recipe.model_copy(update={"precision": "fp32", "layout": "channels_last"})
    auto = recipe.model_copy(update={"precision": "auto", "layout": "auto"})
    contenders = [
        Contender("fixed", state(fixed, root, device)),
        Contender("auto", state(auto, root, device)),
    ]
    chosen = contenders[1].state.execution
    contenders[1].name = f"auto: {chosen.precision}, {chosen.layout}"
    crops = step_crops(recipe, root)
    for step in range(rounds + 1):  # the first is a warm-up
        for contender in contenders:
            run_step(contender, crops, step, device)
    work = flop(contenders[0].state, render_crops(crops[0], recipe.stages[-1].rendering, 0))
    for contender in contenders:
        for seconds in (contender.loader, contender.renderer, contender.network):
            del seconds[0]
        cells = (
            path.stem,
            contender.name,
            f"{contender.step:.2f}",
            f"{recipe.stages[-1].batch * 3600 / contender.step:,.0f}",
            f"{statistics.median(contender.loader) / contender.step:.1%}",
            f"{statistics.median(contender.renderer) / contender.step:.1%}",
            f"{work / statistics.median(contender.network) / peak:.0%}",
            f"{contenders[0].step / contender.step:.2f}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


def state(recipe: Recipe, root: Path, device: torch.device) -> TrainingState:
    network, _ = network_of(recipe.model_copy(update={"start_from": None}), root)
    return TrainingState(recipe, network, device)


def step_crops(recipe: Recipe, root: Path) -> StepCrops:
    stage = recipe.stages[-1]
    photos, depth = photos_below(root, stage.sharp), photos_below(root, recipe.data.depth)
    source = RenderedSource(photos, depth, 1.0)
    cache = PixelCache(CACHE)
    return StepCrops([source], stage.rendering, cache, batch=stage.batch, crop=stage.crop, seed=stage.seed)


def run_step(contender: Contender, crops: StepCrops, step: int, device: torch.device) -> None:
    """One training step, timed in three parts."""
    state = contender.state
    recipe = state.recipe
    stage = recipe.stages[-1]
    clock = clock_of(device)
    times = [clock()]
    read = crops[step]
    depth = None if read.depth is None else read.depth.to(device)
    read = Crops(step, read.sharp.to(device), None, depth)
    times.append(clock())
    samples = render_crops(read, stage.rendering, stage.seed)
    times.append(clock())
    state.network.train()
    state.optimiser.zero_grad(set_to_none=True)
    state.execution.loss(
        state.network, samples.blurred, getattr(samples, state.network.target), recipe
    ).backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), stage.optimiser.clip_norm or torch.inf)
    state.optimiser.step()
    state.ema.update_parameters(state.network)
    times.append(clock())
    for seconds, start, end in zip(
        (contender.loader, contender.renderer, contender.network), times, times[1:], strict=False
    ):
        seconds.append(end - start)


def flop(state: TrainingState, samples: Samples) -> int:
    """Floating-point operations of a step's forward and backward pass."""
    device = next(state.network.parameters()).device
    blurred, target = samples.blurred.to(device), getattr(samples, state.network.target).to(device)
    with FlopCounterMode(display=False) as counter:
        state.execution.loss(state.network, blurred, target, state.recipe).backward()
    return counter.get_total_flops()


def convolution_rate(device: torch.device) -> float:
    """FLOP per second of the fastest of twenty convolutions."""
    layer = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False, device=device)
    layer = layer.to(memory_format=torch.channels_last)
    image = torch.rand(1, 64, 256, 256, device=device).to(memory_format=torch.channels_last)
    clock = clock_of(device)
    fastest = float("inf")
    with torch.inference_mode():
        for _ in range(20):
            started = clock()
            layer(image)
            fastest = min(fastest, clock() - started)
    return 2 * 64 * 64 * 9 * 256 * 256 / fastest


if __name__ == "__main__":
    main()
