"""The tables of a run as text, computed once for the terminal and the report, and those of the papers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from math import isinf, isnan
from pathlib import Path

from defocusctl.errors import DataError
from defocusctl.evaluation.results import (
    LOWER_IS_BETTER,
    Comparison,
    Evaluation,
    Interval,
    Method,
    PublishedRow,
)
from defocusctl.system.toml import Table, read_toml

PUBLISHED = Path(__file__).with_name("published.toml")
METRIC_NAMES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mae": "MAE", "lpips": "LPIPS"}
DECIMALS = {"psnr": 3, "ssim": 4, "mae": 4, "lpips": 4}
PUBLISHED_DECIMALS = 3
FIGURE_SPACE = "\N{FIGURE SPACE}"
GAIN_DECIMALS = 2
MISSING = "–"


class PaperTable(Table):
    """A table of a paper for one data set and one training set."""

    source: str
    protocol: str
    data: str
    trained_on: str
    ablation_of: str | None = None
    """The network whose parts the table takes away; such a table stands beside that network's rows only."""
    rows: tuple[tuple[str, float, float, float] | tuple[str, float, float], ...]
    """(method, PSNR, SSIM, LPIPS), without the last where it is not given"""


class _Papers(Table):
    table: tuple[PaperTable, ...]


@cache
def published_tables() -> tuple[PaperTable, ...]:
    return read_toml(PUBLISHED, _Papers, DataError, "reinstall defocusctl").table


def published_rows(
    dataset: str, trained_on: frozenset[str], models: frozenset[str] = frozenset()
) -> tuple[PublishedRow, ...]:
    """The rows for a dataset and models trained on any of ``trained_on``, or all rows if there are none.

    Those of ablation studies come last, and only for the networks ``models``.
    """
    tables = [
        table
        for table in published_tables()
        if table.data == dataset and (table.ablation_of is None or table.ablation_of in models)
    ]
    chosen = [table for table in tables if table.trained_on in trained_on] or tables
    return tuple(
        PublishedRow(
            method,
            table.trained_on,
            table.source,
            table.protocol,
            psnr,
            ssim,
            lpips=lpips[0] if lpips else None,
            ablation_of=table.ablation_of,
        )
        for table in sorted(chosen, key=lambda table: table.ablation_of is not None)
        for method, psnr, ssim, *lpips in table.rows
    )


@dataclass(frozen=True)
class Cell:
    """A figure in a table; ``best`` in its column among the methods that were run.

    For a published figure, ``differences`` has by label how far the means of methods that were run exceed it.
    """

    text: str
    best: bool = False
    differences: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One method: a figure per column, its gain over the input, and the number of images."""

    label: str
    cells: tuple[Cell, ...]
    gain: str = ""
    images: str = ""
    note: str = ""  # the source of a published line


@dataclass(frozen=True)
class Group:
    """Lines under a title: empty for all images, else a label of images or a training set."""

    title: str
    lines: tuple[Line, ...]
    is_published: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """All tables for one protocol."""

    protocol: str
    headings: tuple[tuple[str, str], ...]  # (name of the metric, arrow in the direction that is better)
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]  # those with a mean, in the order of the evaluation


def score_table(evaluation: Evaluation, protocol: str) -> ScoreTable:
    """The methods' means under one protocol, overall and by label, and the published figures."""
    comparisons = [
        item
        for item in evaluation.comparisons
        if item.protocol == protocol and not isnan(item.difference.mean)
    ]
    gains = {
        item.method: interval_text(item.difference, GAIN_DECIMALS)
        for item in comparisons
        if item.metric == "psnr" and item.against == evaluation.input_label
    }
    labelled = [_measured(evaluation, protocol, {}, label) for label in evaluation.labels]
    published = [
        Group(title, tuple(_published_line(evaluation, protocol, row) for row in rows), is_published=True)
        for title, rows in groupby(evaluation.published, _published_title)
    ]
    return ScoreTable(
        protocol,
        tuple((METRIC_NAMES[m], "↓" if m in LOWER_IS_BETTER else "↑") for m in evaluation.metrics),
        (_measured(evaluation, protocol, gains, None), *labelled, *published),
        tuple(comparisons),
    )


def seconds_per_megapixel(evaluation: Evaluation, method: Method) -> str:
    """A method's time per megapixel; a dash for the input."""
    means = evaluation.means(method.label, evaluation.protocols[0])
    return MISSING if method.kind == "input" else number(means["seconds_per_megapixel"], 2)


def interval_text(interval: Interval, decimals: int) -> str:
    """A mean difference with its interval, if it has one."""
    middle, low, high = (signed(value, decimals) for value in interval)
    return middle if low == MISSING else f"{middle} [{low}, {high}]"


def number(value: float, decimals: int) -> str:
    """A figure with a fixed number of decimals, or a dash for NaN."""
    if isnan(value):
        return MISSING
    return f"{value:.{decimals}f}" if not isinf(value) else "∞" if value > 0 else "-∞"


def signed(value: float, decimals: int) -> str:
    """A difference, with its sign unless it rounds to zero."""
    text = number(value, decimals)
    if text == MISSING or text.startswith("-"):
        return text if text.strip("-0.") else text.removeprefix("-")
    return f"+{text}" if text.strip("0.") else text


def _measured(evaluation: Evaluation, protocol: str, gains: dict[str, str], label: str | None) -> Group:
    """The methods' means over all images or those of one label."""
    metrics = evaluation.metrics
    means = {method.label: evaluation.means(method.label, protocol, label) for method in evaluation.methods}
    best = {metric: _best(metric, (each[metric] for each in means.values())) for metric in metrics}
    lines = []
    for method, values in means.items():
        texts = {metric: number(values[metric], DECIMALS[metric]) for metric in metrics}
        cells = tuple(Cell(text, best=len(means) > 1 and text == best[m]) for m, text in texts.items())
        images = str(len(evaluation.of(method, protocol, label)))
        lines.append(Line(method, cells, gains.get(method, ""), images))
    return Group(label or "", tuple(lines))


def _best(metric: str, values: Iterable[float]) -> str:
    """The best value as printed, so that equal figures are equally best; empty if there is none."""
    present = [value for value in values if not isnan(value)]
    if not present:
        return ""
    return number(min(present) if metric in LOWER_IS_BETTER else max(present), DECIMALS[metric])


def _published_title(row: PublishedRow) -> str:
    kind = f"published ablations of {row.ablation_of}" if row.ablation_of else "published"
    return f"{kind} ({row.trained_on})"


def _published_line(evaluation: Evaluation, protocol: str, row: PublishedRow) -> Line:
    """A paper's figures, and how much the methods of the same name differ."""
    means = {
        method.label: evaluation.means(method.label, protocol)
        for method in evaluation.methods
        if method.is_reported_in(row)
    }
    cells = []
    for metric in evaluation.metrics:
        figure = getattr(row, metric)
        if figure is None:
            cells.append(Cell(MISSING))
            continue
        differences = {
            label: signed(values[metric] - figure, PUBLISHED_DECIMALS)
            for label, values in means.items()
            if not isnan(values[metric])
        }
        padding = FIGURE_SPACE * (DECIMALS[metric] - PUBLISHED_DECIMALS)  # aligns with measured figures
        cells.append(Cell(number(figure, PUBLISHED_DECIMALS) + padding, differences=differences))
    note = f"trained on {row.trained_on}; {row.source}, protocol {row.protocol}"
    return Line(row.method, tuple(cells), note=note)
