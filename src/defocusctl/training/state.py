"""Everything a training run needs to go on as if it had never stopped, in one file."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from defocusctl.errors import DataError, OutputError
from defocusctl.evaluation.metrics import Lpips
from defocusctl.models.prediction import Model
from defocusctl.system import atomic
from defocusctl.training.execution import choose_execution
from defocusctl.training.recipe import Optimiser, Recipe
from defocusctl.training.setup import optimiser_of

Weights = dict[str, Tensor]

FILE = "checkpoint.pt"
PART = f".{FILE}.part"


class TrainingState:
    """The network, its exponential moving average, the optimiser and the number of steps done."""

    def __init__(
        self, recipe: Recipe, network: Model, device: torch.device, lpips: Lpips | None = None
    ) -> None:
        self.recipe = recipe
        self.execution = choose_execution(recipe, network, device, lpips)
        self.network = self.execution.prepare(network, device)
        self.device = device
        self.step = 0
        self.seconds = 0.0
        self.ends: dict[int, Weights] = {}  # averaged weights of stages by number, if the recipe needs them
        for stage in recipe.stages:  # a missing package is an error now, not hours later
            optimiser_of(stage.optimiser, self.network)
        self._begin(recipe.stages[0].optimiser)

    def _begin(self, settings: Optimiser) -> None:
        """New optimiser, running mean and loss scale, for the network's weights as they are."""
        average = get_ema_multi_avg_fn(settings.ema_decay)
        self.ema = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimiser = optimiser_of(settings, self.network)
        self.scaler = GradScaler(self.device.type, enabled=self.recipe.precision == "fp16")

    def enter(self, number: int) -> None:
        """Restart if the stage that begins now, counted from 1, says so; otherwise everything goes on."""
        if number - 1 in self.recipe.kept:
            self.ends[number - 1] = _copied(self.ema.module)
        match self.recipe.stages[number - 1].restart_from:
            case None:
                return
            case "averaged":
                self.network.load_state_dict(self.ema.module.state_dict())
            case (*numbers,):
                self.network.load_state_dict(_mean([self.ends[each] for each in numbers]))
        self._begin(self.recipe.stages[number - 1].optimiser)

    @property
    def averaged(self) -> Model:
        """The averaged network, in evaluation mode; at the end of the run, the recipe's mean of stages."""
        network = self.ema.module.eval()
        assert isinstance(network, Model)
        if self.recipe.mean_of is None or self.step < self.recipe.steps:
            return network
        ends = {**self.ends, len(self.recipe.stages): _copied(network)}
        mean = deepcopy(network)
        mean.load_state_dict(_mean([ends[number] for number in self.recipe.mean_of]))
        return mean

    def save(self, folder: Path) -> None:
        """Write the checkpoint whole or not at all, replacing the last one.

        Raises:
            OutputError: if it cannot be written; the last one is then as it was.
        """
        content = {
            "recipe": self.recipe.model_dump(mode="json"),
            "step": self.step,
            "channel_order": "RGB",
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "ends": self.ends,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        target = folder / FILE
        part = folder / PART
        try:
            torch.save(content, part)
            atomic.publish(part, target, force=True)
        except (OSError, RuntimeError) as error:  # torch's archive writer raises the latter on a full disk
            reason = error.strerror if isinstance(error, OSError) else "is the disk full?"
            cause = f"cannot write the checkpoint '{target}' ({reason})"
            raise OutputError(cause, "make room there, then --resume") from error
        finally:
            part.unlink(missing_ok=True)

    def load(self, folder: Path) -> None:
        """Go on from the checkpoint in ``folder``.

        Raises:
            DataError: if it is damaged or belongs to another recipe.
        """
        path = folder / FILE
        try:
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            recipe = Recipe.model_validate(saved["recipe"])  # keys that are newer than the run get defaults
        except Exception as error:  # torch raises many kinds for a damaged file
            raise DataError(f"cannot read the checkpoint '{path}'", "start again in a new folder") from error
        if recipe != self.recipe:
            cause = f"the checkpoint '{path}' was made with another recipe"
            raise DataError(cause, "resume with that recipe, or start in a new folder with 'start_from'")
        try:
            self.step = saved["step"]
            self._begin(next(span.stage for span in self.recipe.spans if self.step <= span.end).optimiser)
            self.network.load_state_dict(saved["network"])
            self.ema.load_state_dict(saved["ema"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.scaler.load_state_dict(saved["scaler"])
            self.seconds = saved["seconds"]
            self.ends = saved.get("ends", {})  # absent in older checkpoints
        except (KeyError, RuntimeError, StopIteration, TypeError, ValueError) as error:
            cause = f"the checkpoint '{path}' does not fit its recipe"
            raise DataError(cause, "start again in a new folder") from error


def _copied(network: torch.nn.Module) -> Weights:
    """A copy of the tensors, on the CPU."""
    return {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}


def _mean(states: Sequence[Weights]) -> Weights:
    """The mean of several networks' tensors; counters, which have none, are those of the last."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }
