"""The tables of the report as text: summary per protocol, paired differences, and what the methods are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from defocusctl.evaluation.published import is_about
from defocusctl.evaluation.results import (
    LOWER_IS_BETTER,
    Comparison,
    Evaluation,
    Interval,
    Method,
    PublishedRow,
    mean,
)
from defocusctl.reports.evaluation.gains import input_label
from defocusctl.reports.evaluation.numbers import DECIMALS, METRIC_NAMES, MISSING, plain, short, signed

FIGURE_SPACE = "\N{FIGURE SPACE}"


@dataclass(frozen=True)
class Cell:
    """A figure of the summary; ``best`` of its column, or with differences of own methods to it."""

    text: str
    best: bool = False
    differences: tuple[tuple[str, str], ...] = ()
    """(label of the method, its mean minus this figure)"""


@dataclass(frozen=True)
class Line:
    """One method of the summary; ``note`` says where a published line is from."""

    label: str
    cells: tuple[Cell, ...]
    gain: str = ""
    images: str = ""
    published: bool = False
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Lines under a title of their own, which is empty for all images and for published lines."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Difference:
    """A paired comparison in words."""

    method: str
    against: str
    metric: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class Summary:
    """Everything the page says in tables about one protocol."""

    protocol: str
    headings: tuple[tuple[str, str], ...]
    """(name of the metric, which way is better)"""
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]

    @property
    def has_gains(self) -> bool:
        return any(name == METRIC_NAMES["psnr"] for name, _ in self.headings)


def summary(evaluation: Evaluation, protocol: str) -> Summary:
    """The methods' means under one protocol, those of every label, and the published figures below them."""
    metrics = evaluation.metrics
    labelled = [_own_group(evaluation, protocol, metrics, label) for label in evaluation.labels]
    published = tuple(_published_line(row, metrics, evaluation, protocol) for row in evaluation.published)
    groups = (_own_group(evaluation, protocol, metrics, None), *labelled, Group("", published))
    comparisons = [
        item for item in evaluation.comparisons if item.protocol == protocol and _has(item.difference.mean)
    ]
    headings = tuple((METRIC_NAMES[metric], "↓" if metric in LOWER_IS_BETTER else "↑") for metric in metrics)
    return Summary(protocol, headings, groups, tuple(_difference(item) for item in comparisons))


def seconds_per_megapixel(evaluation: Evaluation, method: Method) -> float | None:
    """All the time a method took over all the pixels it restored; None for the untouched photo."""
    rows = [row for row in evaluation.of(method.label, evaluation.protocols[0]) if _has(row.seconds)]
    megapixels = sum(row.megapixels for row in rows)
    if method.kind == "input" or not megapixels:
        return None
    return sum(row.seconds for row in rows) / megapixels


def method_facts(evaluation: Evaluation) -> list[dict[str, str]]:
    """What is known about each method, by the names of the page's columns."""
    return [
        {
            "label": method.label,
            "kind": method.kind,
            "weights": " ".join(part for part in (method.model, method.weights) if part) or MISSING,
            "source": method.source or "",
            "digest": method.digest or "",
            "device": " ".join(part for part in (method.device, method.precision) if part) or MISSING,
            "parameters": short(method.parameters),
            "macs": short(method.macs),
            "seconds": plain(seconds_per_megapixel(evaluation, method), 3),
        }
        for method in evaluation.methods
    ]


def _own_group(evaluation: Evaluation, protocol: str, metrics: Sequence[str], label: str | None) -> Group:
    """The methods' means over all images, with their mean gains, or over those of a label."""
    rows = {method.label: evaluation.of(method.label, protocol, label) for method in evaluation.methods}
    means = {method: {metric: mean(own, metric) for metric in metrics} for method, own in rows.items()}
    best = {metric: _best(metric, (of[metric] for of in means.values())) for metric in metrics}
    single = len(rows) == 1
    lines = []
    for method, own in rows.items():
        texts = {metric: plain(value, DECIMALS[metric]) for metric, value in means[method].items()}
        cells = tuple(Cell(text, best=not single and text == best[metric]) for metric, text in texts.items())
        gain = _gain(evaluation, method, protocol) if label is None else ""
        lines.append(Line(method, cells, gain=gain, images=str(len(own))))
    return Group(label or "", tuple(lines))


def _gain(evaluation: Evaluation, method: str, protocol: str) -> str:
    wanted = (method, input_label(evaluation), protocol, "psnr")
    for item in evaluation.comparisons:
        if (item.method, item.against, item.protocol, item.metric) == wanted:
            return _interval(item.difference, "psnr")
    return MISSING


def _published_line(row: PublishedRow, metrics: Sequence[str], evaluation: Evaluation, protocol: str) -> Line:
    """Papers give three decimals; a figure space keeps the digits below those of the own lines."""
    own = [method.label for method in evaluation.methods if is_about(row, method)]
    cells = []
    for metric in metrics:
        figure = getattr(row, metric)
        if figure is None:
            cells.append(Cell(MISSING))
            continue
        means = {label: mean(evaluation.of(label, protocol), metric) for label in own}
        differences = tuple(
            (label, signed(value - figure, 3)) for label, value in means.items() if _has(value)
        )
        text = plain(figure, 3) + FIGURE_SPACE * (DECIMALS[metric] - 3)
        cells.append(Cell(text, differences=differences))
    note = f"trained on {row.trained_on}; {row.source}, protocol {row.protocol}"
    return Line(row.method, tuple(cells), published=True, note=note)


def _difference(comparison: Comparison) -> Difference:
    low, high = comparison.difference[1:]
    if comparison.metric in LOWER_IS_BETTER:
        low, high = -high, -low
    verdict = "better" if low > 0 else "worse" if high < 0 else "not separated"
    return Difference(
        comparison.method,
        comparison.against,
        METRIC_NAMES[comparison.metric],
        _interval(comparison.difference, comparison.metric),
        verdict,
    )


def _interval(interval: Interval, metric: str) -> str:
    middle, low, high = (signed(value, DECIMALS[metric]) for value in interval)
    return f"{middle} [{low}, {high}]"


def _best(metric: str, values: Iterable[float]) -> str:
    """The best of the values as it is printed, so that equal figures are equally bold; empty if none is."""
    present = [value for value in values if _has(value)]
    if not present:
        return ""
    return plain(min(present) if metric in LOWER_IS_BETTER else max(present), DECIMALS[metric])


def _has(value: float | None) -> bool:
    return value is not None and not isnan(value)
