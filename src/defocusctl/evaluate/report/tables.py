"""The tables of the report as text: summary per protocol, paired differences, and what the methods are."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan

from defocusctl.evaluate.report.gains import input_label
from defocusctl.evaluate.report.numbers import DECIMALS, METRIC_NAMES, MISSING, plain, short, signed
from defocusctl.evaluate.results import (
    LOWER_IS_BETTER,
    METRICS,
    Comparison,
    Evaluation,
    Interval,
    Method,
    PublishedRow,
    mean,
)

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
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]


def shown_metrics(evaluation: Evaluation) -> tuple[str, ...]:
    """The metrics that at least one row or published line has."""
    lines = (*evaluation.rows, *evaluation.published)
    return tuple(metric for metric in METRICS if any(_has(getattr(line, metric)) for line in lines))


def summary(evaluation: Evaluation, protocol: str) -> Summary:
    """The methods' means under one protocol, and the published figures below them."""
    metrics = shown_metrics(evaluation)
    means = {
        method.label: {metric: mean(evaluation.of(method.label, protocol), metric) for metric in metrics}
        for method in evaluation.methods
    }
    best = {metric: _best(metric, (of[metric] for of in means.values())) for metric in metrics}
    own = [
        _own_line(evaluation, method, protocol, means[method.label], best) for method in evaluation.methods
    ]
    published = [
        _published_line(row, metrics, {m.label: means[m.label] for m in evaluation.methods if _same(m, row)})
        for row in evaluation.published
    ]
    comparisons = [item for item in evaluation.comparisons if item.protocol == protocol]
    headings = tuple((METRIC_NAMES[metric], "↓" if metric in LOWER_IS_BETTER else "↑") for metric in metrics)
    return Summary(protocol, headings, (*own, *published), tuple(_difference(item) for item in comparisons))


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


def _own_line(
    evaluation: Evaluation, method: Method, protocol: str, means: dict[str, float], best: dict[str, str]
) -> Line:
    texts = {metric: plain(value, DECIMALS[metric]) for metric, value in means.items()}
    single = len(evaluation.methods) == 1
    against = input_label(evaluation)
    gain = next(
        (
            item.difference
            for item in evaluation.comparisons
            if (item.method, item.against, item.protocol, item.metric)
            == (method.label, against, protocol, "psnr")
        ),
        None,
    )
    return Line(
        method.label,
        tuple(Cell(text, best=not single and text == best[metric]) for metric, text in texts.items()),
        gain=MISSING if gain is None else _interval(gain, "psnr"),
        images=str(len(evaluation.of(method.label, protocol))),
    )


def _published_line(row: PublishedRow, metrics: Iterable[str], own: dict[str, dict[str, float]]) -> Line:
    """Papers give three decimals; a figure space keeps the digits below those of the own lines."""
    cells = []
    for metric in metrics:
        figure = getattr(row, metric)
        if figure is None:
            cells.append(Cell(MISSING))
            continue
        differences = tuple(
            (label, signed(means[metric] - figure, 3)) for label, means in own.items() if _has(means[metric])
        )
        text = plain(figure, 3) + FIGURE_SPACE * (DECIMALS[metric] - 3)
        cells.append(Cell(text, differences=differences))
    note = f"trained on {row.trained_on}; {row.source}" if row.trained_on else row.source
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


def _same(method: Method, row: PublishedRow) -> bool:
    """Whether a paper's line is about this method, whatever it was trained on."""
    name = "input" if method.kind == "input" else method.model or method.label
    return _letters(name) == _letters(row.method)


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _has(value: float | None) -> bool:
    return value is not None and not isnan(value)
