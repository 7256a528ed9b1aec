"""The ablations of the two papers by the names they have there: which parts and losses they change.

Data alone, without PyTorch. docs/ablations.md has their sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from defocusctl.errors import ModelError


@dataclass(frozen=True)
class Variant:
    """One row of an ablation table: fields of the network's configuration, and of a recipe's ``[loss]``."""

    model: str
    name: str
    network: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = (
    Variant("iniknet", "Non-MS Dict", {"dictionary": "separate"}),
    Variant("iniknet", "Non-INR Dict", {"dictionary": "plain"}),
    Variant("iniknet", "Unidirectional", {"order": "unidirectional"}),
    Variant("nrknet", "NonAdaptive", {"kernels": "gaussian"}),
    Variant("nrknet", "NonRecursive", {"kernels": "independent"}),
    Variant("nrknet", "NonSeparable", {"kernels": "free"}),
    Variant("nrknet", "FullExp", {"expansion": "full"}),
    Variant("nrknet", "2Scales", {"scales": 2}),
    Variant("nrknet", "4Scales", {"scales": 4}),
    Variant("nrknet", "w/o LSTM", {"recurrence": "none"}),
    Variant("nrknet", "w/o L_reblur", loss={"reblur_weight": 0.0}),
    Variant("nrknet", "w/o FDR", loss={"frequency_weight": 0.0}),
    Variant("nrknet", "Single-scale", loss={"scales": "finest"}),
)


def find_variant(model: str, name: str) -> Variant:
    """The ablation of ``model`` called ``name``.

    Raises:
        ModelError: if there is none; the remedy lists those there are.
    """
    known = {variant.name: variant for variant in VARIANTS if variant.model == model}
    if name not in known:
        names = ", ".join(f"'{each}'" for each in known) or "none"
        raise ModelError(f"{model} has no variant '{name}'", f"known for {model}: {names}")
    return known[name]


def variant_of(model: str, configuration: Mapping[str, Any]) -> str:
    """The name of the ablation whose part a network has; empty if it has none, or several."""
    found = [
        variant.name
        for variant in VARIANTS
        if variant.model == model and variant.network and variant.network.items() <= configuration.items()
    ]
    return found[0] if len(found) == 1 else ""
