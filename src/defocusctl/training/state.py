"""Everything a training run needs to go on as if it had never stopped, in one file."""

from pathlib import Path
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from defocusctl.errors import DataError, OutputError
from defocusctl.evaluation.lpips import Lpips
from defocusctl.models.prediction import Model
from defocusctl.system import atomic
from defocusctl.training.execution import choose_execution
from defocusctl.training.optimisers import optimiser_of
from defocusctl.training.recipe import Optimiser, Recipe, Stage

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
        for stage in recipe.stages:  # a missing package is an error now, not hours later
            optimiser_of(stage.optimiser, self.network)
        self._begin(recipe.stages[0].optimiser)

    def _begin(self, settings: Optimiser) -> None:
        """New optimiser, running mean and loss scale, for the network's weights as they are."""
        average = get_ema_multi_avg_fn(settings.ema_decay)
        self.ema = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.optimiser = optimiser_of(settings, self.network)
        self.scaler = GradScaler(self.device.type, enabled=self.recipe.precision == "fp16")

    def enter(self, stage: Stage) -> None:
        """Restart if the stage that begins now says so; otherwise everything goes on."""
        if stage.restart_from == "averaged":
            self.network.load_state_dict(self.ema.module.state_dict())
        if stage.restart_from is not None:
            self._begin(stage.optimiser)

    @property
    def averaged(self) -> Model:
        """The averaged network, in evaluation mode."""
        network = self.ema.module.eval()
        assert isinstance(network, Model)
        return network

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
            raise OutputError(
                f"cannot write the checkpoint '{target}' ({reason})", "make room there, then --resume"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def load(self, folder: Path, was_bgr: bool) -> None:
        """Go on from the checkpoint in ``folder``; ``was_bgr`` is that of the weights the run started from.

        Raises:
            DataError: if it is damaged, belongs to another recipe, or is of a network for BGR images.
        """
        path = folder / FILE
        try:
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            recipe = Recipe.model_validate(saved["recipe"])  # keys that are newer than the run get defaults
        except Exception as error:  # torch raises many kinds for a damaged file
            raise DataError(f"cannot read the checkpoint '{path}'", "start again in a new folder") from error
        if recipe != self.recipe:
            raise DataError(
                f"the checkpoint '{path}' was made with another recipe",
                "resume with that recipe, or start in a new folder with 'start_from'",
            )
        if was_bgr and "channel_order" not in saved:
            raise DataError(
                f"the checkpoint '{path}' is of a version that trained on BGR images as its weights did",
                "finish the run with that version, or start again in a new folder",
            )
        try:
            self.step = saved["step"]
            self._begin(next(span.stage for span in self.recipe.spans if self.step <= span.end).optimiser)
            self.network.load_state_dict(saved["network"])
            self.ema.load_state_dict(saved["ema"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.scaler.load_state_dict(saved["scaler"])
            self.seconds = saved["seconds"]
        except (KeyError, RuntimeError, StopIteration, TypeError, ValueError) as error:
            raise DataError(
                f"the checkpoint '{path}' does not fit its recipe", "start again in a new folder"
            ) from error
