"""The tables that ``defocusctl eval`` prints: methods by metrics, published rows beside them."""

from math import isinf, isnan

from rich.console import Console
from rich.table import Table

from defocusctl.evaluate.results import LOWER_IS_BETTER, METRICS, Comparison, Evaluation, Method
from defocusctl.evaluate.summary import means

DIGITS = {"psnr": 3, "ssim": 4, "mae": 4, "lpips": 4}
HEADS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mae": "MAE", "lpips": "LPIPS"}


def print_tables(evaluation: Evaluation) -> None:
    """One table per protocol, on stdout."""
    console = Console()
    scored = len({row.image for row in evaluation.rows})
    for protocol in evaluation.protocols:
        heads = [f"{HEADS[metric]} {'↓' if metric in LOWER_IS_BETTER else '↑'}" for metric in METRICS]
        table = Table("method", *heads, "gain (dB, 95 %)", "s/MP", "parameters", "MACs/pixel")
        for column in table.columns[1:]:
            column.justify = "right"
        table.title = f"{evaluation.title}, {scored} images, protocol {protocol}"
        for method in evaluation.methods:
            table.add_row(*_cells(evaluation, method, protocol))
        for row in evaluation.published:
            figures = (getattr(row, metric) for metric in METRICS)
            cells = ("" if value is None else f"{value:.3f}" for value in figures)
            table.add_row(f"{row.method} (published, {row.trained_on})", *cells, style="dim italic")
        console.print(table)
    for source in dict.fromkeys(row.source for row in evaluation.published):
        console.print(f"published: {source}", style="dim italic", highlight=False)


def _cells(evaluation: Evaluation, method: Method, protocol: str) -> list[str]:
    found = means(evaluation, method.label, protocol)
    gain = next(
        (
            comparison
            for comparison in evaluation.comparisons
            if (comparison.method, comparison.protocol, comparison.metric) == (method.label, protocol, "psnr")
            and _is_input(evaluation, comparison.against)
        ),
        None,
    )
    return [
        method.label,
        *(_number(found[metric], DIGITS[metric]) for metric in METRICS),
        "" if gain is None else _gain(gain),
        f"{found['seconds_per_megapixel']:.2f}" if method.kind != "input" else "",
        f"{method.parameters:,}" if method.parameters else "",
        f"{method.macs:,.0f}" if method.macs else "",
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
