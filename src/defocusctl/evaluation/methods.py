"""The methods compared: the untouched input, classical sharpening and networks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import UsageError
from defocusctl.evaluation.classical import CLASSICAL
from defocusctl.evaluation.results import Method
from defocusctl.models.plugin_faults import network_errors
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo

INPUT = "input"
_PROBE = 128  # side in pixels of the image for counting multiply-adds


@dataclass(frozen=True)
class Candidate:
    """A method and its function on (H, W, 3) float32 RGB pixels in [0, 1]; the result is not clipped."""

    info: Method
    restore: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def untouched() -> Candidate:
    """The identity, the baseline for all other methods."""
    return Candidate(Method(INPUT, "input"), lambda image: image)


def classical(name: str, radius: float) -> Candidate:
    """One of ``CLASSICAL`` for a blur of ``radius`` pixels."""
    function = CLASSICAL[name]
    return Candidate(Method(f"{name} ({radius:g} px)", "baseline"), lambda image: function(image, radius))


def network(loaded: Deblurrer) -> Candidate:
    """A loaded network on the same path as ``deblur``, with unclipped float pixels."""
    restorer = loaded.restorer
    weights = loaded.weights
    info = Method(
        label=f"{weights.model}/{weights.name}",
        kind="model",
        model=weights.model,
        weights=weights.name,
        source=weights.source,
        digest=str(weights.checksum),
        device=str(restorer.device),
        precision=restorer.precision,
        parameters=sum(parameter.numel() for parameter in loaded.network.parameters()),
        macs=macs_per_pixel(loaded.network),
        trained_on=loaded.trained_on,
    )
    return Candidate(info, lambda image: restorer.restore([Photo.of_pixels(image, 1.0)])[0].pixels)


def macs_per_pixel(network: Network) -> float:
    """Multiply-adds of convolutions and matrix products per pixel, counted on a 128 x 128 image.

    Sums of shifted images (NRKNet's separable kernels) and element-wise work are not counted.
    """
    with network_errors(network.name), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        probe = type(network)(network.config).eval()
        probe(torch.zeros(1, 3, _PROBE, _PROBE))
    return float(counter.get_total_flops()) / 2 / _PROBE**2


def with_distinct_labels(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with distinct labels: weights whose file names are equal are labelled by path.

    Raises:
        UsageError: if a method occurs twice.
    """
    counts = Counter(candidate.info.label for candidate in candidates)
    named = [
        replace(each, info=replace(each.info, label=f"{each.info.model}/{each.info.source}"))
        if counts[each.info.label] > 1
        else each
        for each in candidates
    ]
    if len({candidate.info.label for candidate in named}) < len(named):
        remedy = "name each baseline, and each model with its weights, once"
        raise UsageError("a method is named twice", remedy)
    return named
