"""What a recipe asks for: the network to begin with, the photos to train on, and the sets to measure."""

from dataclasses import fields, replace
from pathlib import Path

import torch

from defocusctl.data.batches import PairSource, RenderedSource, Source
from defocusctl.data.pairs import pairs_in, photos_below
from defocusctl.errors import DataError
from defocusctl.models.catalogue import model_class, network_errors
from defocusctl.models.prediction import Model, Network
from defocusctl.training.radius_validation import RadiusValidation
from defocusctl.training.recipe import Recipe
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
