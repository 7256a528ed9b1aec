"""The per-image table as compact data that the page's script draws."""

from math import isinf, isnan, nan
from typing import Any

from defocusctl.evaluation.results import Evaluation
from defocusctl.reports.evaluation.gains import input_label, psnr_gains
from defocusctl.reports.evaluation.numbers import DECIMALS, METRIC_NAMES

SIGNIFICANT = 7  # digits kept of each figure


def table_data(evaluation: Evaluation) -> dict[str, Any]:
    """Names and labels of images once, and rows: protocol, method, image (as indices), a figure per column.

    A figure that is not there is None, an infinite one the string ``Infinity`` or ``-Infinity``.
    """
    metrics = evaluation.metrics
    against = input_label(evaluation)
    with_gain = against is not None and "psnr" in metrics
    columns = [{"title": METRIC_NAMES[metric], "decimals": DECIMALS[metric]} for metric in metrics]
    if with_gain:
        columns.append({"title": "Gain (dB)", "decimals": DECIMALS["psnr"], "signed": True})
    columns += [{"title": "Seconds", "decimals": 2}, {"title": "Megapixels", "decimals": 2}]
    labels = {row.image: " ".join(row.labels) for row in evaluation.rows}
    images = {image: i for i, image in enumerate(labels)}
    rows = []
    for p, protocol in enumerate(evaluation.protocols):
        for m, method in enumerate(evaluation.methods):
            gains = psnr_gains(evaluation, method.label, protocol) if method.label != against else {}
            for row in evaluation.of(method.label, protocol):
                figures = [getattr(row, metric) for metric in metrics]
                if with_gain:
                    figures.append(gains.get(row.image, nan))
                figures += [row.seconds, row.megapixels]
                rows.append([p, m, images[row.image], *map(_figure, figures)])
    return {
        "images": list(images),
        "labels": list(labels.values()) if evaluation.labels else None,
        "methods": [method.label for method in evaluation.methods],
        "protocols": list(evaluation.protocols),
        "columns": columns,
        "rows": rows,
    }


def _figure(value: float) -> float | str | None:
    if isnan(value):
        return None
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.{SIGNIFICANT}g}")
