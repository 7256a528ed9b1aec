"""The methods that ``defocusctl eval`` was asked for, with their weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from defocusctl.cli.console import download_bar, say, say_warning
from defocusctl.cli.eval_options import Baseline
from defocusctl.errors import UsageError, WeightsError
from defocusctl.models.plugins import DEFAULT_MODEL

if TYPE_CHECKING:
    from defocusctl.evaluation.methods import Candidate
    from defocusctl.evaluation.metrics import Lpips
    from defocusctl.restoring.settings import RestoreSettings

DEFAULT_WEIGHTS = "default"


def models_with_weights(
    models: Sequence[str] | None, weights: Sequence[str] | None, baselines: Sequence[Baseline] | None
) -> list[tuple[str, str | None]]:
    """The names of the networks with what ``--weights`` says for each, None for the usual ones.

    Raises:
        UsageError: if there are not as many of both.
    """
    names = list(models or ([] if baselines and not weights else [DEFAULT_MODEL]))
    if weights and len(weights) != len(names):
        raise UsageError(
            f"{len(weights)} --weights for {len(names)} --model",
            f"give one for each, in the same order; '{DEFAULT_WEIGHTS}' takes the usual ones",
        )
    specs = [None if spec == DEFAULT_WEIGHTS else spec for spec in weights or [DEFAULT_WEIGHTS] * len(names)]
    return list(zip(names, specs, strict=True))


def load_candidates(
    models: Sequence[tuple[str, str | None]],
    baselines: Sequence[Baseline],
    radius: float,
    settings: "RestoreSettings",
    *,
    offline: bool,
    quiet: bool,
) -> "list[Candidate]":
    """The untouched input, the classical methods and the networks, each under a name of its own.

    Raises:
        UsageError: if one is named twice.
        WeightsError: if weights cannot be had.
    """
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.evaluation.methods import classical, network, untouched

    candidates = [untouched(), *(classical(baseline.value, radius) for baseline in baselines)]
    for model, spec in models:
        with download_bar(f"weights for {model}", quiet=quiet) as on_download:
            loaded = Deblurrer.load(model, spec, settings, offline=offline, on_download=on_download)
        if loaded.weights.note:
            say(loaded.weights.note)
        candidates.append(network(loaded))
    return _told_apart(candidates)


def load_metric(*, offline: bool, quiet: bool) -> "Lpips | None":
    """LPIPS, or None and a warning where AlexNet's weights cannot be had."""
    from defocusctl.evaluation.metrics import load_lpips

    try:
        with download_bar("AlexNet for LPIPS", quiet=quiet) as on_download:
            return load_lpips(offline=offline, on_progress=on_download)
    except WeightsError as error:
        say_warning(f"no LPIPS: {error}")
        return None


def _told_apart(candidates: "Sequence[Candidate]") -> "list[Candidate]":
    """Weights in files of one name get the name of their whole path."""
    counts = Counter(candidate.info.label for candidate in candidates)
    apart = [
        replace(
            candidate, info=replace(candidate.info, label=f"{candidate.info.model}/{candidate.info.source}")
        )
        if counts[candidate.info.label] > 1
        else candidate
        for candidate in candidates
    ]
    twice = [
        label for label, count in Counter(candidate.info.label for candidate in apart).items() if count > 1
    ]
    if twice:
        raise UsageError(
            "a method is named twice", "name each baseline, and each model with its weights, once"
        )
    return apart
