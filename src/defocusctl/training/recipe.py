"""Training recipes: TOML in, typed and checked settings out."""

from collections.abc import Mapping
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from defocusctl.data.settings import Rendering
from defocusctl.errors import DataError, ModelError
from defocusctl.models.plugins import ESTIMATORS, check_trainable
from defocusctl.models.variants import find_variant
from defocusctl.system.toml import Table, read_toml

Count = Annotated[int, Field(strict=True, ge=1)]
Weight = Annotated[float, Field(strict=True, ge=0)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
StageNumbers = Annotated[tuple[Count, ...], Field(min_length=1)]

RENDERED = "rendered"  # what the validation set of rendered photos is called
NEEDS_RESTART = "algorithm", "weight_decay", "ema_decay"  # they are part of the optimiser or its mean


class Pairs(Table):
    """A folder of blurred and one of sharp photos with the same names."""

    blurred: Path
    sharp: Path
    weight: Weight = 1.0


class Data(Table):
    """What to train on; folders are relative to ``--data`` (by default the recipe's own folder)."""

    sharp: tuple[Path, ...] = ()
    depth: tuple[Path, ...] = ()
    rendered_weight: Weight = 1.0
    rendering: Rendering = Rendering()
    pairs: tuple[Pairs, ...] = ()
    white: Annotated[float, Field(strict=True, gt=0)] | None = None
    """White in floating-point photos, those for validation too; 1 by default."""
    cache_gib: Weight = 2.0
    workers: Annotated[int, Field(strict=True, ge=0)] = 0

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> "Data":
        if not self.sharp and not self.pairs:
            raise ValueError("give 'sharp' folders, 'pairs', or both")
        rendered = self.rendered_weight if self.sharp else 0.0
        if rendered + sum(pairs.weight for pairs in self.pairs) <= 0:
            raise ValueError("at least one 'weight' or 'rendered_weight' must be above 0")
        return self


class Optimiser(Table):
    """Adam (AdamW where ``weight_decay`` is above 0) or Muon, and the course of its learning rate."""

    algorithm: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(strict=True, gt=0)] = 2e-4
    schedule: Literal["iniknet", "nrknet", "cosine"] = "cosine"
    """The papers' halvings, scaled to the number of steps, or a warm-up and half a cosine down to zero."""
    schedule_steps: Count | None = None
    """Where the schedule ends; by default at the next restart, or with the run."""
    warmup_steps: Annotated[int, Field(strict=True, ge=0)] = 0
    weight_decay: Weight = 0.0
    clip_norm: Annotated[float, Field(strict=True, gt=0)] | None = None
    ema_decay: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.999


class Stage(Table):
    """A part of the training. Its seed, sharp photos and tables lie over those at the top of the recipe."""

    steps: Count
    batch: Count = 4
    accumulate: Count = 1
    """Parts that the batch of every process is computed in, one after the other, to save memory."""
    crop: Annotated[int, Field(strict=True, ge=32, multiple_of=16)] = 256
    restart_from: Literal["averaged", "last"] | StageNumbers | None = None
    """Begin as a run does whose ``start_from`` is the averaged, or the last, weights of the stage before, or
    the mean of the averaged weights at the end of earlier stages, counted from 1: with a new optimiser, a new
    running mean, and steps that count from 0 for seed and schedule."""
    seed: Seed = 0
    sharp: tuple[Path, ...] = ()
    """Folders of sharp photos, instead of those under ``data``."""
    rendering: Rendering = Rendering()
    optimiser: Optimiser = Optimiser()


def earlier(stage: Stage) -> tuple[int, ...]:
    """The stages, counted from 1, with whose mean this one begins."""
    return stage.restart_from if isinstance(stage.restart_from, tuple) else ()


class Span(NamedTuple):
    """Where a stage lies in the run, in steps from 0."""

    stage: Stage
    start: int
    end: int
    origin: int  # where the last restart was, or 0: crops and learning rate depend on the steps since then
    schedule_steps: int  # steps since ``origin`` at which the learning-rate schedule ends


class Loss(Table):
    """Weights of the papers' terms; every scale's own weight comes from the network."""

    pixel: Literal["mse", "l1"] = "mse"
    frequency_weight: Weight = 0.1
    reblur_weight: Weight = 0.1
    perceptual_weight: Weight = 0.0
    """Of LPIPS, which needs AlexNet's weights and crops of at least 31 pixels at the coarsest scale."""
    scales: Literal["all", "finest"] = "all"
    """Whether the estimates of coarser scales count as well."""


class Validation(Table):
    """Photos never trained on: sharp ones to be rendered, and folders with ``source`` and ``target``."""

    every_steps: Count = 1000
    sharp: tuple[Path, ...] = ()
    pairs: dict[str, Path] = Field(default_factory=dict)
    crop: Annotated[int, Field(strict=True, ge=32, multiple_of=16)] = 256
    limit: Count | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> "Validation":
        if self.sharp and RENDERED in self.pairs:
            raise ValueError(f"'{RENDERED}' is the name of the rendered set; name the pairs otherwise")
        return self


class Recipe(Table):
    """One training run."""

    model: str
    """The network; its package is imported when the run begins."""
    variant: str | None = None
    """The paper's name of an ablation, whose network and loss lie over those of the recipe."""
    network: dict[str, int | float | str] = Field(default_factory=dict)
    """Fields of the network's configuration that differ from the usual ones; not with ``start_from``."""
    seed: Seed = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Of autocast; ``auto`` takes what a probe at the start of every run finds fastest on its device."""
    layout: Literal["auto", "channels_last", "nchw", "mixed"] = "channels_last"
    """Of features in memory; ``mixed`` is channels_last but for the gradients of weights, in NCHW."""
    start_from: Path | None = None
    """Weights to go on from instead of random ones."""
    initialisation: Literal["near-identity", "published"] = "near-identity"
    """Random weights that make the output start near the photo, or those of the network's paper."""
    trained_on: str = "not stated"
    licence: str = "not stated"
    mean_of: StageNumbers | None = None
    """Stages, counted from 1, whose averaged weights at their ends have the mean that the run ends with
    (Wortsman et al., Model soups, ICML 2022); by default the last stage alone."""
    checkpoint_minutes: Annotated[float, Field(strict=True, gt=0)] = 5.0
    log_every: Count = 20
    data: Data
    optimiser: Optimiser = Optimiser()
    loss: Loss = Loss()
    validation: Validation = Validation()
    stages: Annotated[
        tuple[Stage, ...], Field(min_length=1)
    ]  # last: errors in what they inherit are named first

    @model_validator(mode="before")
    @classmethod
    def _stages_inherit(cls, content: Any) -> Any:
        match content:
            case {"stages": [*stages]}:
                data = content.get("data")
                of_data = data if isinstance(data, dict) else {}
                shared = {
                    "seed": content.get("seed", 0),
                    "sharp": of_data.get("sharp", ()),
                    "rendering": of_data.get("rendering", {}),
                    "optimiser": content.get("optimiser", {}),
                }
                return {**content, "stages": [_laid_over(shared, stage) for stage in stages]}
        return content

    @model_validator(mode="before")
    @classmethod
    def _variant_lies_over(cls, content: Any) -> Any:
        match content:
            case {"model": str(model), "variant": str(name)}:
                try:
                    variant = find_variant(model, name)
                except ModelError as error:
                    raise ValueError(str(error)) from error
                return _laid_over(content, {"network": dict(variant.network), "loss": dict(variant.loss)})
        return content

    @field_validator("model")
    @classmethod
    def _is_known(cls, model: str) -> str:
        try:
            return check_trainable(model)
        except ModelError as error:
            raise ValueError(str(error)) from error

    @field_validator("network")
    @classmethod
    def _sizes_are_positive(cls, network: dict[str, int | float | str]) -> dict[str, int | float | str]:
        for key, value in network.items():
            if not isinstance(value, str) and not value > 0:
                raise ValueError(f"'{key}' must be above 0")
        return network

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        if self.layout == "mixed" and self.precision != "fp32":
            raise ValueError("layout 'mixed' needs precision 'fp32'; 'auto' for both finds the fastest")
        if self.model in ESTIMATORS and (self.data.pairs or self.validation.pairs):
            raise ValueError(f"{self.model} learns from rendered photos only; leave out 'pairs'")
        if self.network and self.start_from is not None:
            raise ValueError("'start_from' brings its own sizes; leave out [network]")
        return self

    @model_validator(mode="after")
    def _stages_follow(self) -> "Recipe":
        if self.stages[0].restart_from is not None:
            raise ValueError(
                "stages entry 1 has nothing to restart from; weights of another run are 'start_from'"
            )
        if max(self.mean_of or (), default=0) > len(self.stages):
            raise ValueError(f"'mean_of' names stages that are not there; there are {len(self.stages)}")
        for number, span in enumerate(self.spans, 1):
            if max(earlier(span.stage), default=0) >= number:
                raise ValueError(f"stages entry {number} can only restart from stages before it")
            if self.data.sharp and not span.stage.sharp:
                raise ValueError(
                    f"stages entry {number} has an empty 'sharp'; leave it out to use data.sharp"
                )
            if not self.data.depth and span.stage.rendering.geometry.is_depth_only:
                raise ValueError(
                    f"stages entry {number} has a geometry of depth scenes only; give data.depth folders, "
                    "or 'plane', 'layers' or 'smooth' a frequency above 0"
                )
            if span.end - span.origin > span.schedule_steps:
                raise ValueError(f"stages entry {number} goes on after the end of its 'schedule_steps'")
        for number, (before, stage) in enumerate(pairwise(self.stages), 2):
            for key in NEEDS_RESTART if stage.restart_from is None else ():
                if getattr(stage.optimiser, key) != getattr(before.optimiser, key):
                    raise ValueError(f"stages entry {number} changes '{key}', which needs a 'restart_from'")
        return self

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def kept(self) -> set[int]:
        """The numbers of the stages whose weights are needed after they have ended."""
        return {*(self.mean_of or ()), *chain.from_iterable(map(earlier, self.stages))}

    @property
    def spans(self) -> list[Span]:
        """The stages in their order, and where they lie."""
        ends = list(accumulate(stage.steps for stage in self.stages))
        starts = [0, *ends[:-1]]
        restarted = [start for start, stage in zip(starts, self.stages, strict=True) if stage.restart_from]
        spans = []
        for stage, start, end in zip(self.stages, starts, ends, strict=True):
            origin = max(step for step in (0, *restarted) if step <= start)
            following = min(step for step in (*restarted, self.steps) if step > start)
            scheduled = stage.optimiser.schedule_steps or following - origin
            spans.append(Span(stage, start, end, origin, scheduled))
        return spans


def _laid_over(shared: Mapping[str, Any], own: Any) -> Any:
    """The keys of both tables, and of tables in them; where both have one, its own value."""
    if not isinstance(own, dict):
        return own
    both = {key: _laid_over(shared[key], own[key]) for key in own if isinstance(shared.get(key), dict)}
    return {**shared, **own, **both}


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        DataError: if it cannot be read or does not fit, naming the key and what is wrong with it.
    """
    return read_toml(path, Recipe, DataError, "see docs/training.md for the keys")
