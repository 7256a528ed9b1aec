"""What an evaluation finds out, as plain data: a row per image, method and protocol, and their summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

METRICS = ("psnr", "ssim", "mae", "lpips")
LOWER_IS_BETTER = frozenset({"mae", "lpips"})


@dataclass(frozen=True)
class Method:
    """Something that turns a blurred photo into another one, and what is known about it.

    ``kind`` is ``input`` (the untouched photo), ``baseline`` (classical sharpening) or ``model``;
    ``parameters`` counts trainable numbers, ``macs`` multiply-adds per pixel, ``trained_on`` names the data
    that the weights learnt from; all are None where there is no network.
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


class Row(NamedTuple):
    """One image under one method and protocol; PSNR in dB, MAE in [0, 1], seconds for restoring alone.

    Metrics that could not be had (no reference, no LPIPS weights) are not a number. ``labels`` are the groups
    of the image to average over as well, such as "indoor".
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


class Interval(NamedTuple):
    """The mean of a difference and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """The paired difference ``method`` minus ``against`` of one metric over the images both have."""

    method: str
    against: str
    protocol: str
    metric: str
    difference: Interval


@dataclass(frozen=True)
class PublishedRow:
    """A line of a paper's table for this data set, scored under the paper's own ``protocol``.

    Figures that the paper does not give are None.
    """

    method: str
    trained_on: str
    source: str
    protocol: str
    psnr: float | None = None
    ssim: float | None = None
    mae: float | None = None
    lpips: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """A whole run over one data set."""

    dataset: str
    title: str
    images: tuple[str, ...]
    methods: tuple[Method, ...]
    protocols: tuple[str, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    published: tuple[PublishedRow, ...]
    problems: tuple[str, ...]
    """Images that could not be scored, and a count that is not the data set's, one line each."""
    lpips_variant: str | None
    versions: tuple[tuple[str, str], ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that at least one row or published line has."""
        lines = (*self.rows, *self.published)
        return tuple(
            metric
            for metric in METRICS
            if any((value := getattr(line, metric)) is not None and value == value for line in lines)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that images have, sorted."""
        return tuple(sorted({label for row in self.rows for label in row.labels}))

    def of(self, method: str, protocol: str, label: str | None = None) -> list[Row]:
        """The rows of one method under one protocol, in the order of the images; only those of a label."""
        return [
            row
            for row in self.rows
            if row.method == method and row.protocol == protocol and (label is None or label in row.labels)
        ]


def mean(rows: Sequence[Row], metric: str) -> float:
    """The mean of a metric over the rows that have it; infinite PSNR counts as it is."""
    values = [value for row in rows if (value := getattr(row, metric)) == value]
    return sum(values) / len(values) if values else nan
