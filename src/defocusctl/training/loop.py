"""The training loop: read, render, predict, compare, step; validate and save as it goes."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from defocusctl.data.batches import Crops, Source, StepCrops, render_crops
from defocusctl.data.pairs import PixelCache
from defocusctl.errors import DataError, DefocusctlError, OutputError
from defocusctl.evaluation.metrics import Lpips
from defocusctl.system.atomic import locked_folder, refuse_foreign
from defocusctl.system.interruption import Interruption
from defocusctl.training.journal import LOG, SAMPLES, Journal, is_log
from defocusctl.training.processes import LostProcessError, Processes
from defocusctl.training.radius_validation import RadiusScore, RadiusValidation
from defocusctl.training.recipe import Recipe, Span
from defocusctl.training.setup import learning_rate, network_of, sources_of, validation_of
from defocusctl.training.state import FILE, TrainingState
from defocusctl.training.validation import Gain, ValidationSets
from defocusctl.weights.checkpoint import save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata

WEIGHTS = {"weights.safetensors": torch.float32, "weights-half.safetensors": torch.float16}
"""What a finished run leaves in its folder."""
LOCK = ".defocusctl-train.lock"


@dataclass(frozen=True)
class Progress:
    """Where a run is, reported after every step; ``scores`` only when it has just validated."""

    step: int
    steps: int
    loss: float
    scores: Mapping[str, Gain] | Mapping[str, RadiusScore] | None = None


def train(
    recipe: Recipe,
    *,
    data_root: Path,
    out: Path,
    device: torch.device,
    resume: bool,
    max_minutes: float | None,
    on_progress: Callable[[Progress], None],
    lpips: Lpips | None = None,
    processes: Processes | None = None,
) -> TrainingState:
    """Run a recipe to its end, or until ``max_minutes`` are over or Ctrl-C; the checkpoint is in ``out``.

    ``lpips`` must be given if the recipe's loss has a perceptual term. Of several ``processes``, the first
    one writes and validates.

    Raises:
        DataError: for data that is missing, a folder that already holds another run, or a loss that is not
            a finite number; the last checkpoint is then from before.
        InputError: for a photo that cannot be read.
        ModelError: if the network's package is broken.
        WeightsError: if ``start_from`` is missing or of another network.
        OutputError: if the run's folder cannot be written, is that of a run under way, or holds files that
            are not of a run.
        LostProcessError: if another process is gone; the checkpoint is then of the last step that all took.
        KeyboardInterrupt: after the step at hand is finished and saved.
    """
    processes = processes or Processes(device)
    if (out / FILE).exists() and not resume:
        raise DataError(f"'{out}' already holds a run", "go on with --resume, or choose a new folder")
    _check_nothing_is_replaced(out)
    sources = sources_of(recipe, data_root)
    validation = validation_of(recipe, data_root)
    network = network_of(recipe, data_root)
    for stage in recipe.stages:
        processes.parts(stage.batch, stage.accumulate)
    state = TrainingState(recipe, network, device, lpips)
    if resume and (out / FILE).exists():
        state.load(out)
    deadline = inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    processes.any(False)  # nobody writes before all have looked
    if not processes.is_first:
        return _follow(state, sources, processes, deadline)
    try:
        with (
            locked_folder(out, LOCK, "run"),
            closing(Journal(out, state.step)) as journal,
            Interruption() as interruption,
        ):
            try:
                _run(state, sources, validation, journal, out, deadline, processes, interruption, on_progress)
            except LostProcessError:
                state.save(out)
                raise
            state.save(out)
    except OSError as error:
        cause = f"cannot write the run '{out}' ({error.strerror})"
        raise OutputError(cause, "check the folder, its permissions and room") from error
    if interruption.requested:
        raise KeyboardInterrupt
    for name, dtype in WEIGHTS.items():
        save_weights(state, out / name, dtype)
    return state


def _check_nothing_is_replaced(out: Path) -> None:
    """Refuse a folder without a checkpoint that has weights, or a log or samples that no run has written."""
    if (out / FILE).exists():
        return
    refuse_foreign(out / name for name in WEIGHTS)
    if not (out / LOG).exists():
        refuse_foreign([out / SAMPLES])
    elif not is_log(out / LOG):
        refuse_foreign([out / LOG])


def save_weights(state: TrainingState, path: Path, dtype: torch.dtype) -> None:
    """The averaged weights of a run as a file that ``--weights`` takes."""
    recipe = state.recipe
    metadata = WeightsMetadata.of_network(
        state.averaged,
        source=f"defocusctl train, seed {recipe.seed}, {state.step} of {recipe.steps} steps",
        licence=recipe.licence,
        trained_on=recipe.trained_on,
        variant=recipe.variant or "",
    )
    save_checkpoint(path, state.averaged, metadata, dtype=dtype)


def _follow(
    state: TrainingState, sources: Sequence[Sequence[Source]], processes: Processes, deadline: float
) -> TrainingState:
    """What all processes but the first do: the same steps, and nothing else."""
    with Interruption() as interruption:
        for _ in _steps(state, sources, processes):
            if processes.any(interruption.requested or time.monotonic() >= deadline):
                break
    if interruption.requested:
        raise KeyboardInterrupt
    return state


def _run(
    state: TrainingState,
    sources: Sequence[Sequence[Source]],
    validation: ValidationSets | RadiusValidation,
    journal: Journal,
    out: Path,
    deadline: float,
    processes: Processes,
    interruption: Interruption,
    on_progress: Callable[[Progress], None],
) -> None:
    recipe = state.recipe
    ends = [span.end for span in recipe.spans]
    saved = started = time.monotonic()
    losses: list[float] = []
    for loss in _steps(state, sources, processes):
        now = time.monotonic()
        state.seconds += now - started
        started = now
        losses.append(loss)
        scores: Mapping[str, Gain] | Mapping[str, RadiusScore] | None = None
        if state.step % recipe.log_every == 0:
            rate = state.optimiser.param_groups[0]["lr"]
            mean = sum(losses) / len(losses)
            journal.write(state.step, {"loss": mean, "learning_rate": rate, "seconds": state.seconds})
            losses.clear()
        if validation.sets and (state.step % recipe.validation.every_steps == 0 or state.step in ends):
            scores = validation.measure(state.averaged, state.device)
            for name, score in scores.items():
                journal.write(state.step, {f"{name}/{key}": value for key, value in score._asdict().items()})
            strips = validation.strips(state.averaged, state.device)
            journal.picture(state.step, strips)
        on_progress(Progress(state.step, recipe.steps, loss, scores))
        if processes.any(interruption.requested or time.monotonic() >= deadline):
            return
        if time.monotonic() - saved > 60 * recipe.checkpoint_minutes:
            state.save(out)
            saved = time.monotonic()


def _steps(
    state: TrainingState, sources: Sequence[Sequence[Source]], processes: Processes
) -> Iterator[float]:
    """Take the steps that are left, stage by stage; yields the loss of each."""
    data = state.recipe.data
    cache = PixelCache(int(data.cache_gib * 2**30), data.white)
    for number, (span, photos) in enumerate(zip(state.recipe.spans, sources, strict=True), 1):
        if state.step >= span.end:
            continue
        stage = span.stage
        if state.step == span.start:
            state.enter(number)
        crops = StepCrops(photos, stage.rendering, cache, batch=stage.batch, crop=stage.crop, seed=stage.seed)
        for batch in _batches(crops, range(state.step - span.origin, span.end - span.origin), data.workers):
            yield _step(state, batch, span, processes)


def _step(state: TrainingState, crops: Crops, span: Span, processes: Processes) -> float:
    """One step with the whole batch, of which this process computes its parts; returns the batch's loss."""
    optimiser = span.stage.optimiser
    samples = render_crops(_moved(crops, state.device), span.stage.rendering, span.stage.seed)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(optimiser, crops.step, span.schedule_steps)
    state.network.train()
    target = getattr(samples, state.network.target)
    state.optimiser.zero_grad(set_to_none=True)
    losses = []
    parts = processes.parts(span.stage.batch, span.stage.accumulate)
    for part in parts:
        loss = state.execution.loss(state.network, samples.blurred[part], target[part], state.recipe)
        state.scaler.scale(loss / len(parts)).backward()
        losses.append(loss.detach())
    loss = processes.average(torch.stack(losses).mean(), state.network.parameters())
    state.scaler.unscale_(state.optimiser)
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), optimiser.clip_norm or inf)
    # Float16's loss scaling leaves out a step that overflowed, as long as it can lower its scale.
    is_skipped = state.scaler.is_enabled() and state.scaler.get_scale() > 1
    if not torch.isfinite(loss + norm) and not is_skipped:
        cause = f"the loss of step {state.step + 1} or its gradient is not a finite number"
        raise DataError(cause, "lower 'learning_rate' or set 'clip_norm' under [optimiser]")
    state.scaler.step(state.optimiser)
    state.scaler.update()
    state.ema.update_parameters(state.network)
    state.step += 1
    return float(loss)


def _batches(crops: StepCrops, steps: range, workers: int) -> Iterator[Crops]:
    loader = DataLoader(
        crops, batch_size=None, sampler=steps, num_workers=workers, worker_init_fn=_leave_interrupts_to_parent
    )
    following = steps.start
    try:
        for batch in loader:
            following = batch.step + 1
            yield batch
    except DefocusctlError:
        crops[following]  # raises the error itself: a worker's arrives with a traceback in its text
        raise


def _leave_interrupts_to_parent(_worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _moved(crops: Crops, device: torch.device) -> Crops:
    def to_device(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device, non_blocking=True)

    return Crops(crops.step, crops.sharp.to(device), to_device(crops.blurred), to_device(crops.depth))
