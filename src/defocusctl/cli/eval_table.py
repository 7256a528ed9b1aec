"""The tables that ``defocusctl eval`` prints: methods by metrics, published rows below them, and costs."""

from collections.abc import Sequence
from itertools import groupby
from math import isinf, isnan

from rich import box
from rich.table import Column, Table

from defocusctl.cli.console import plain, put, put_table
from defocusctl.evaluation.published import is_about
from defocusctl.evaluation.results import (
    LOWER_IS_BETTER,
    Comparison,
    Evaluation,
    Method,
    PublishedRow,
)
from defocusctl.evaluation.summary import means

DIGITS = {"psnr": 3, "ssim": 4, "mae": 4, "lpips": 4}
HEADS = {"psnr": "PSNR", "ssim": "SSIM", "mae": "MAE", "lpips": "LPIPS"}
QUOTED = "dim italic"


def print_tables(evaluation: Evaluation) -> None:
    """On stdout: a table per protocol with what was scored, networks against each other, and the costs."""
    metrics = evaluation.metrics
    for protocol in evaluation.protocols if metrics else ():
        put_table(_scores(evaluation, protocol, metrics))
        for comparison in _between_networks(evaluation, protocol):
            put(f"{comparison.method} minus {comparison.against}: {_gain(comparison)} dB")
    if not metrics:
        put(f"{evaluation.title}, {_images(evaluation)}: nothing to score them by")
    else:
        _cite(evaluation)
    if any(method.kind != "input" for method in evaluation.methods):
        put_table(_costs(evaluation))


def _scores(evaluation: Evaluation, protocol: str, metrics: Sequence[str]) -> Table:
    heads = [f"{HEADS[metric]} {'↓' if metric in LOWER_IS_BETTER else '↑'}" for metric in metrics]
    table = Table(
        Column("method", overflow="fold"),
        *(Column(head, justify="right", no_wrap=True) for head in (*heads, "gain (dB, 95 %)")),
        box=box.HORIZONTALS,
        pad_edge=False,
        title=plain(f"{evaluation.title}, {_images(evaluation)}, protocol {protocol}"),
    )
    for method in evaluation.methods:
        table.add_row(
            plain(method.label),
            *_means(evaluation, method, protocol, metrics),
            _gain_over_input(evaluation, method, protocol),
        )
    for label in evaluation.labels:
        table.add_section()
        table.add_row(plain(label, "bold"))
        for method in evaluation.methods:
            table.add_row(plain(method.label), *_means(evaluation, method, protocol, metrics, label))
    for trained_on, rows in groupby(evaluation.published, lambda row: row.trained_on):
        table.add_section()
        table.add_row(plain(f"published ({trained_on})"), style="bold")
        for row in rows:
            _add_published(table, evaluation, row, protocol, metrics)
    return table


def _add_published(
    table: Table, evaluation: Evaluation, row: PublishedRow, protocol: str, metrics: Sequence[str]
) -> None:
    """A paper's line, and below it by how much methods of the same name differ."""
    figures = {metric: getattr(row, metric) for metric in metrics}
    cells = ("" if figure is None else f"{figure:.3f}" for figure in figures.values())
    table.add_row(plain(row.method), *cells, style=QUOTED)
    for method in evaluation.methods:
        if is_about(row, method):
            own = means(evaluation, method.label, protocol)
            differences = (
                "" if figure is None or isnan(own[metric]) else f"{own[metric] - figure:+.3f}"
                for metric, figure in figures.items()
            )
            table.add_row(plain(f"Δ {method.label}"), *differences)


def _costs(evaluation: Evaluation) -> Table:
    table = Table(
        Column("method", overflow="fold"),
        *(Column(head, justify="right") for head in ("seconds/megapixel", "parameters", "MACs/pixel")),
        box=box.HORIZONTALS,
        pad_edge=False,
    )
    for method in evaluation.methods:
        if method.kind != "input":
            seconds = means(evaluation, method.label, evaluation.protocols[0])["seconds_per_megapixel"]
            table.add_row(
                plain(method.label),
                f"{seconds:.2f}",
                f"{method.parameters:,}" if method.parameters else "",
                f"{method.macs:,.0f}" if method.macs else "",
            )
    return table


def _cite(evaluation: Evaluation) -> None:
    if any(is_about(row, method) for row in evaluation.published for method in evaluation.methods):
        put("Δ: this run minus the published figure")
    sources = dict.fromkeys((row.source, row.protocol) for row in evaluation.published)
    for source, protocol in sources:
        put(f"published: {source}, protocol {protocol}")


def _images(evaluation: Evaluation) -> str:
    count = len({row.image for row in evaluation.rows})
    return "1 image" if count == 1 else f"{count} images"


def _means(
    evaluation: Evaluation, method: Method, protocol: str, metrics: Sequence[str], label: str | None = None
) -> list[str]:
    found = means(evaluation, method.label, protocol, label)
    return [_number(found[metric], DIGITS[metric]) for metric in metrics]


def _gain_over_input(evaluation: Evaluation, method: Method, protocol: str) -> str:
    for comparison in evaluation.comparisons:
        wanted = (comparison.method, comparison.protocol, comparison.metric)
        if wanted == (method.label, protocol, "psnr") and _is_input(evaluation, comparison.against):
            return _gain(comparison)
    return ""


def _between_networks(evaluation: Evaluation, protocol: str) -> list[Comparison]:
    return [
        comparison
        for comparison in evaluation.comparisons
        if (comparison.protocol, comparison.metric) == (protocol, "psnr")
        and not _is_input(evaluation, comparison.against)
    ]


def _is_input(evaluation: Evaluation, label: str) -> bool:
    return any(method.label == label and method.kind == "input" for method in evaluation.methods)


def _gain(comparison: Comparison) -> str:
    mean, low, high = comparison.difference
    if isnan(mean):
        return ""
    return f"{mean:+.2f}" if isnan(low) else f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _number(value: float, digits: int) -> str:
    if isnan(value):
        return "-"
    return "∞" if isinf(value) else f"{value:.{digits}f}"
