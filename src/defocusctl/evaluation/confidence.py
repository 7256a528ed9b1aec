"""How sure a mean difference is: paired bootstrap intervals."""

from collections.abc import Sequence
from itertools import combinations
from math import isfinite, nan

import numpy as np
from scipy.stats import bootstrap

from defocusctl.evaluation.results import METRICS, Comparison, Interval, Method, Row

RESAMPLES = 9_999
LEVEL = 0.95


def interval(differences: Sequence[float]) -> Interval:
    """The mean and its 95 % percentile bootstrap interval; not a number for fewer than two values."""
    if not differences:
        return Interval(nan, nan, nan)
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Interval(mean, nan, nan)
    found = bootstrap(
        (np.asarray(differences),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def compare(rows: Sequence[Row], methods: Sequence[Method], protocols: Sequence[str]) -> list[Comparison]:
    """Every method against the input, and the networks against each other, image by image.

    Images on which either figure is missing or infinite are left out of that comparison.
    """
    base = [method for method in methods if method.kind == "input"]
    models = [method for method in methods if method.kind == "model"]
    pairs = [(method, base[0]) for method in methods if base and method is not base[0]]
    pairs += [(second, first) for first, second in combinations(models, 2)]
    scores = {(row.method, row.protocol, row.image): row for row in rows}
    images = list(dict.fromkeys(row.image for row in rows))
    return [
        Comparison(
            method.label,
            against.label,
            protocol,
            metric,
            interval(
                [
                    difference
                    for image in images
                    if isfinite(
                        difference := getattr(scores[method.label, protocol, image], metric)
                        - getattr(scores[against.label, protocol, image], metric)
                    )
                ]
            ),
        )
        for protocol in protocols
        for method, against in pairs
        for metric in METRICS
    ]
