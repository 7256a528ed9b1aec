"""The report of an evaluation: tables, the distribution of gains, pictures, and a table of all images."""

import io
import re
from collections.abc import Sequence
from math import isfinite, isinf, isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure

from defocusctl.evaluation.results import Evaluation, RadiusGain
from defocusctl.evaluation.table import (
    DECIMALS,
    METRIC_NAMES,
    interval_text,
    score_table,
    seconds_per_megapixel,
    signed,
)
from defocusctl.reports.evaluation_pictures import ReportPicture
from defocusctl.reports.page import write_page

MANY_PROBLEMS = 8  # more are collapsed
SIGNIFICANT = 7  # digits kept of each figure of the table
GOLDEN = 0.618033988749895
INK, SOFT, LINE, ACCENT = "#000001", "#000002", "#000003", "#000004"
"""Placeholders in the plots for the page's colours, which depend on its light or dark theme."""


def write_report(path: Path, evaluation: Evaluation, pictures: Sequence[ReportPicture]) -> None:
    """Write the report as one HTML file with all its styles, scripts and pictures inside.

    Raises:
        OutputError: if the file cannot be written; an older one is then unchanged.
    """
    protocols = evaluation.protocols
    values = {
        "evaluation": evaluation,
        "tables": [score_table(evaluation, protocol) for protocol in protocols],
        "distributions": {name: strips for name in protocols if (strips := distribution(evaluation, name))},
        "radius_tables": radius_tables(evaluation),
        "pictures": pictures,
        "data": table_data(evaluation),
        "many_problems": MANY_PROBLEMS,
        "metric_names": METRIC_NAMES,
        "decimals": DECIMALS,
        "signed": signed,
        "interval_text": interval_text,
        "seconds_per_megapixel": seconds_per_megapixel,
    }
    write_page(path, "evaluation", values)


class RadiusTable(NamedTuple):
    """Gains by blur radius under one protocol: (range and share of the pixels) and a gain per method."""

    protocol: str
    methods: list[str]
    rows: list[tuple[str, str, list[float]]]


def radius_tables(evaluation: Evaluation) -> list[RadiusTable]:
    """A table for each protocol under which the blur radius is known."""
    tables = []
    for protocol in evaluation.protocols:
        gains = {
            method.label: found
            for method in evaluation.methods
            if method.kind != "input" and (found := evaluation.gains_by_radius(method.label, protocol))
        }
        if gains:
            columns = list(zip(*gains.values(), strict=True))
            rows = [
                (_range_text(each[0]), f"{each[0].share:.1%}", [one.gain for one in each]) for each in columns
            ]
            tables.append(RadiusTable(protocol, list(gains), rows))
    return tables


def _range_text(gain: RadiusGain) -> str:
    if gain.low == 0:
        return f"below {gain.high:g} (in focus)"
    return f"{gain.low:g} and more" if isinf(gain.high) else f"{gain.low:g} to {gain.high:g}"


class Strip(NamedTuple):
    """The gains of one method: a plot, and a note that summarises it."""

    label: str
    note: str
    svg: str


def distribution(evaluation: Evaluation, protocol: str) -> list[Strip]:
    """The PSNR gains of every method over the input, by image, on a common axis in dB that includes zero.

    Infinite gains are counted in the note. Methods without a finite one are left out.
    """
    gains = {}
    for method in evaluation.methods:
        found = list(evaluation.psnr_gains(method.label, protocol).values())
        finite = np.array([gain for gain in found if isfinite(gain)])
        if method.kind != "input" and finite.size:
            gains[method.label] = finite, len(found) - finite.size
    if not gains:
        return []
    drawn = np.concatenate([[0.0], *(finite for finite, _ in gains.values())])
    low, high = float(drawn.min()), float(drawn.max())
    edge = 0.04 * (high - low) or 0.5
    strips = []
    for label, (finite, unseen) in gains.items():
        middle = signed(float(np.median(finite)), 2)
        note = f"median {middle} dB, {np.count_nonzero(finite > 0)} of {finite.size} better"
        note += f"; {unseen} not drawn: infinite gain" if unseen else ""
        strips.append(Strip(label, note, _drawing(finite, low - edge, high + edge)))
    return strips


def _drawing(gains: np.ndarray[Any, np.dtype[np.float64]], low: float, high: float) -> str:
    """A dot per image, and a box of the quartiles with whiskers, as SVG."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gains"}):
        figure = Figure(figsize=(8, 0.8), layout="constrained")
        axes = figure.subplots()
        heights = (np.arange(gains.size) * GOLDEN) % 1  # spread, but deterministic
        axes.plot(gains, heights, "o", color=ACCENT, markersize=4, markeredgewidth=0, alpha=0.55)
        box = boxplot_stats(gains)[0]
        ends = [box["whislo"], box["q3"]], [box["q1"], box["whishi"]]
        axes.hlines([0.5, 0.5], *ends, color=INK, linewidth=1)
        axes.fill_between([box["q1"], box["q3"]], 0.2, 0.8, facecolor="none", edgecolor=INK)
        axes.vlines(box["med"], 0.2, 0.8, color=INK, linewidth=2)
        axes.axvline(0, color=SOFT, linestyle="--", linewidth=1)
        for artist in (*axes.lines, *axes.collections):
            artist.set_clip_on(False)  # clip paths need ids, which the page has none of
        axes.grid(color=LINE, linewidth=0.8, clip_on=False)
        axes.set(xlim=(low, high), ylim=(-0.1, 1.1), yticks=[], axisbelow=True)
        axes.spines[:].set_visible(False)
        axes.tick_params(bottom=False, labelcolor=SOFT)
        axes.xaxis.set_major_formatter("{x:+g}")
        file = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    svg = file.getvalue()
    for name, colour in {"ink": INK, "soft": SOFT, "line": LINE, "accent": ACCENT}.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r' xmlns(:xlink)?="[^"]*"| id="(?!m)[^"]*"', "", svg[svg.index("<svg") :])


def table_data(evaluation: Evaluation) -> dict[str, Any]:
    """The table of all images, as data for the page's script.

    Each row has the indices of protocol, method and image, and a figure per column. Missing figures are None,
    infinite ones the string ``Infinity`` or ``-Infinity``.
    """
    metrics = evaluation.metrics
    with_gain = evaluation.input_label is not None and "psnr" in metrics
    columns = [{"title": METRIC_NAMES[metric], "decimals": DECIMALS[metric]} for metric in metrics]
    if with_gain:
        columns.append({"title": "Gain (dB)", "decimals": DECIMALS["psnr"], "signed": True})
    columns += [{"title": "Seconds", "decimals": 2}, {"title": "Megapixels", "decimals": 2}]
    labels = {row.image: " ".join(row.labels) for row in evaluation.rows}
    images = {image: i for i, image in enumerate(labels)}
    rows = []
    for p, protocol in enumerate(evaluation.protocols):
        for m, method in enumerate(evaluation.methods):
            gains = {} if method.kind == "input" else evaluation.psnr_gains(method.label, protocol)
            for row in evaluation.of(method.label, protocol):
                figures = [getattr(row, metric) for metric in metrics]
                figures += [gains.get(row.image, nan)] if with_gain else []
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
