"""The results of an evaluation as data: a row per image, method and protocol, means and differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import inf, isfinite, nan
from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap

METRICS = ("psnr", "ssim", "mae", "lpips")
LOWER_IS_BETTER = frozenset({"mae", "lpips"})
RESAMPLES = 9_999
LEVEL = 0.95


@dataclass(frozen=True)
class PublishedRow:
    """A row of a paper's table for a dataset, scored under the paper's own ``protocol``.

    Figures that the paper does not give are None. ``ablation_of`` names the network in an ablation.
    """

    method: str
    trained_on: str
    source: str
    protocol: str
    psnr: float | None = None
    ssim: float | None = None
    mae: float | None = None
    lpips: float | None = None
    ablation_of: str | None = None


@dataclass(frozen=True)
class Method:
    """A method that restores a photo, and its properties.

    ``kind`` is ``input`` (the untouched photo), ``baseline`` (classical sharpening), ``model`` (a network
    alone, as in the papers) or ``tool`` (a network as ``deblur`` uses it at another scale). ``variant`` is
    the paper's name of an ablation, None for the network as published. ``parameters`` is
    the number of parameters, ``macs`` the multiply-adds per pixel, ``trained_on`` the training data; all are
    None without a network.
    """

    label: str
    kind: str
    model: str | None = None
    weights: str | None = None
    source: str | None = None
    digest: str | None = None
    device: str | None = None
    precision: str | None = None
    parameters: int | None = None
    macs: float | None = None
    trained_on: str | None = None
    variant: str | None = None

    def is_reported_in(self, row: PublishedRow) -> bool:
        """Whether a paper's row is about this method, on whatever training data."""
        if self.kind == "tool":
            return False
        own = self.kind if self.kind == "input" else f"{self.model or self.label} {self.variant or ''}"
        names = ([letter for letter in name.casefold() if letter.isalnum()] for name in (own, row.method))
        return next(names) == next(names)


RADIUS_EDGES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, inf)
"""Ranges of the blur radius in pixels, for gains by radius; the first one is in focus."""


class RadiusGain(NamedTuple):
    """A method's gain over the input where the blur radius is from ``low`` to ``high`` pixels.

    ``share`` is that of all pixels; ``gain`` is in dB, from the squared errors of all images.
    """

    low: float
    high: float
    share: float
    gain: float


class Row(NamedTuple):
    """One image under one method and protocol; PSNR in dB, MAE in [0, 1], seconds for restoring only.

    Metrics that could not be computed (no reference, no LPIPS weights) are NaN. ``labels`` are the image's
    groups, such as "indoor", which have their own means. ``by_radius`` has for each range of blur radii
    (``RADIUS_EDGES``) the number of pixels and their summed squared errors, if the radius was estimated.
    """

    image: str
    method: str
    protocol: str
    psnr: float
    ssim: float
    mae: float
    lpips: float
    seconds: float
    megapixels: float
    labels: tuple[str, ...] = ()
    by_radius: tuple[tuple[int, float], ...] = ()


class Interval(NamedTuple):
    """The mean of a difference and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The paired difference ``method`` minus ``against`` of one metric over the images that both have."""

    method: str
    against: str
    protocol: str
    metric: str
    difference: Interval

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` or, if the interval contains zero, ``not separated``."""
        _, low, high = self.difference
        better, worse = (high < 0, low > 0) if self.metric in LOWER_IS_BETTER else (low > 0, high < 0)
        return "better" if better else "worse" if worse else "not separated"


@dataclass(frozen=True)
class Evaluation:
    """A whole run over one dataset."""

    dataset: str
    title: str
    images: tuple[str, ...]
    methods: tuple[Method, ...]
    protocols: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    published: tuple[PublishedRow, ...]
    problems: tuple[str, ...]  # images that could not be scored, and a wrong number of images, one line each
    lpips_variant: str | None
    versions: tuple[tuple[str, str], ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in at least one measured or published row."""
        rows = (*self.rows, *self.published)
        return tuple(
            metric
            for metric in METRICS
            if any((value := getattr(row, metric)) is not None and value == value for row in rows)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({label for row in self.rows for label in row.labels}))

    @property
    def input_label(self) -> str | None:
        """The label of the untouched photo among the methods; None if it was not scored."""
        return next((method.label for method in self.methods if method.kind == "input"), None)

    def of(self, method: str, protocol: str, label: str | None = None) -> list[Row]:
        """The rows of one method under one protocol, and of one label if given, in image order."""
        return [
            row
            for row in self.rows
            if row.method == method and row.protocol == protocol and (label is None or label in row.labels)
        ]

    def means(self, method: str, protocol: str, label: str | None = None) -> dict[str, float]:
        """The mean of each metric over the rows that have it, and seconds per megapixel over all rows.

        Without rows they are NaN; an infinite PSNR makes its mean infinite.
        """
        rows = self.of(method, protocol, label)
        means = {metric: _mean([getattr(row, metric) for row in rows]) for metric in METRICS}
        timed = [row for row in rows if row.seconds == row.seconds]
        megapixels = sum(row.megapixels for row in timed)
        means["seconds_per_megapixel"] = sum(row.seconds for row in timed) / megapixels if megapixels else nan
        return means

    def gains_by_radius(self, method: str, protocol: str) -> list[RadiusGain]:
        """The gain over the input in each range of blur radii that has any pixels."""
        before = {row.image: row.by_radius for row in self.of(self.input_label or "", protocol)}
        pairs = [
            (before[row.image], row.by_radius)
            for row in self.of(method, protocol)
            if row.by_radius and before.get(row.image)
        ]
        if not pairs:
            return []
        first, last = (np.sum([pair[i] for pair in pairs], axis=0) for i in (0, 1))  # (ranges, 2)
        found = []
        for (low, high), (count, error), (_, rest) in zip(pairwise(RADIUS_EDGES), first, last, strict=True):
            if count:
                gain = 10 * np.log10(error / rest) if error and rest else nan
                found.append(RadiusGain(low, high, float(count / first[:, 0].sum()), float(gain)))
        return found

    def psnr_gains(self, method: str, protocol: str) -> dict[str, float]:
        """PSNR minus the input's in dB, by image, in the order of the rows.

        Images that lack a PSNR, and those where both are infinite, are left out. A gain may be infinite.
        """
        before = {row.image: row.psnr for row in self.of(self.input_label or "", protocol)}
        after = self.of(method, protocol)
        gains = {row.image: row.psnr - before[row.image] for row in after if row.image in before}
        return {image: gain for image, gain in gains.items() if gain == gain}


def compare(rows: Sequence[Row], methods: Sequence[Method], protocols: Sequence[str]) -> list[Comparison]:
    """Compare every method with the input and the networks with each other, image by image.

    A comparison leaves out images for which either figure is missing or infinite.
    """
    base = [method for method in methods if method.kind == "input"]
    models = [method for method in methods if method.kind == "model"]
    pairs = [(method, base[0]) for method in methods if base and method is not base[0]]
    pairs += [(second, first) for first, second in combinations(models, 2)]
    scores = {(row.method, row.protocol, row.image): row for row in rows}
    images = list(dict.fromkeys(row.image for row in rows))

    def comparison(method: str, against: str, protocol: str, metric: str) -> Comparison:
        both = (
            [getattr(scores[label, protocol, image], metric) for label in (method, against)]
            for image in images
        )
        differences = [first - second for first, second in both if isfinite(first - second)]
        return Comparison(method, against, protocol, metric, interval(differences))

    return [
        comparison(method.label, against.label, protocol, metric)
        for protocol in protocols
        for method, against in pairs
        for metric in METRICS
    ]


def interval(differences: Sequence[float]) -> Interval:
    """The mean and its 95 % percentile bootstrap interval, which is NaN for fewer than two values."""
    mean = float(np.mean(differences)) if differences else nan
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


def _mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN."""
    present = [value for value in values if value == value]
    return sum(present) / len(present) if present else nan
