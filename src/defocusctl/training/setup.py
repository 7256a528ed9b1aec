"""What a recipe asks for: the network to begin with, its optimiser, the photos, and the sets to measure."""

from dataclasses import fields, replace
from math import cos, pi
from pathlib import Path

import torch
from torch.optim import Adam, AdamW, Optimizer

from defocusctl.data.batches import PairSource, RenderedSource, Source
from defocusctl.data.pairs import pairs_in, photos_below
from defocusctl.errors import DataError
from defocusctl.models.catalogue import model_class, network_errors
from defocusctl.models.prediction import Model, Network
from defocusctl.training.radius_validation import RadiusValidation
from defocusctl.training.recipe import Optimiser, Recipe
from defocusctl.training.validation import ValidationSets
from defocusctl.weights.checkpoint import load_checkpoint, load_model


def validation_of(recipe: Recipe, data_root: Path) -> ValidationSets | RadiusValidation:
    settings = recipe.validation, recipe.data.rendering, data_root, recipe.data.white
    if model_class(recipe.model).target == "radius":
        return RadiusValidation(*settings)
    return ValidationSets(*settings)


def network_of(recipe: Recipe, data_root: Path) -> Model:
    """The network to begin with.

    Raises:
        DataError: if the network cannot be trained, or ``[network]`` does not suit it.
        WeightsError: if the weights to start from cannot be loaded.
    """
    kind = model_class(recipe.model)
    if kind.training_output is Model.training_output:
        cause = f"{recipe.model} cannot be trained here: it does not say what its loss compares"
        remedy = "train it with its own package, or give it a training_output (docs/adding-a-model.md)"
        raise DataError(cause, remedy)
    if unknown := recipe.network.keys() - (known := {field.name for field in fields(kind().config)}):
        cause = f"[network] has the unknown key '{min(unknown)}'"
        raise DataError(cause, f"{recipe.model} has {', '.join(sorted(known))}")
    torch.manual_seed(recipe.seed)
    if recipe.start_from is not None:
        start = data_root / recipe.start_from
        if not issubclass(kind, Network):
            return load_model(start, kind)
        return load_checkpoint(start, model_name=recipe.model).model
    try:
        network = kind(replace(kind().config, **recipe.network)) if recipe.network else kind()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"[network] does not suit {recipe.model}: {error}", "see docs/training.md") from error
    with network_errors(network.name):
        network.initialise_as_published() if recipe.initialisation == "published" else network.initialise()
    return network


def sources_of(recipe: Recipe, root: Path) -> list[list[Source]]:
    """The photos that each stage trains on: pairs, and sharp ones to render from.

    Raises:
        DataError: if a folder is missing or empty.
    """
    data = recipe.data
    pairs: list[Source] = [
        PairSource(pairs_in(root / each.blurred, root / each.sharp), each.weight) for each in data.pairs
    ]
    depth = photos_below(root, data.depth)

    def rendered(folders: tuple[Path, ...]) -> list[Source]:
        return [RenderedSource(photos_below(root, folders), depth, data.rendered_weight)] if folders else []

    return [[*pairs, *rendered(stage.sharp)] for stage in recipe.stages]


def optimiser_of(settings: Optimiser, network: Model) -> Optimizer:
    """Adam, AdamW where ``weight_decay`` is above 0, or Muon.

    Muon (Jordan et al. 2024) makes the momentum of every weight matrix, convolutions flattened to
    (outputs, inputs), an orthogonal one; its steps are scaled to the size of AdamW's (Liu et al. 2025,
    section 2.2), which updates what is no matrix, so that one learning rate serves both.

    Raises:
        DataError: if the package that has Muon is not installed.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.algorithm == "muon":
        return _muon(network, rate, decay)
    if decay > 0:
        return AdamW(network.parameters(), lr=rate, weight_decay=decay)
    return Adam(network.parameters(), lr=rate)


def _muon(network: Model, rate: float, decay: float) -> Optimizer:
    try:
        from pytorch_optimizer import Muon
    except ImportError as error:
        remedy = "install it with: pip install 'defocusctl[train]'"
        raise DataError("the optimiser 'muon' needs the package pytorch-optimizer", remedy) from error
    parameters = list(network.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    shared = {"lr": rate, "weight_decay": decay}
    optimiser: Optimizer = Muon(
        [{"params": matrices, "use_muon": True, **shared}, {"params": others, "use_muon": False, **shared}],
        momentum=0.9,
        use_adjusted_lr=True,
    )
    return optimiser


def learning_rate(settings: Optimiser, step: int, steps: int) -> float:
    """The rate of ``step`` (from 0) in a training of ``steps``."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    match settings.schedule:
        case "iniknet":  # halved every quarter: 1e5 of 4e5 iterations
            return settings.learning_rate * 0.5 ** int(4 * step / steps)
        case "nrknet":  # constant for half of the epochs, then halved every quarter: 2000, 1000 of 4000
            return settings.learning_rate * 0.5 ** max(int(4 * step / steps) - 1, 0)
        case "cosine":
            done = (step - settings.warmup_steps) / max(steps - settings.warmup_steps, 1)
            return settings.learning_rate * (1 + cos(pi * done)) / 2
