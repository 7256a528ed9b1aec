"""The files with a run's figures, and the comparison with an earlier run's or the papers' figures."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite, isnan
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.errors import DataError
from defocusctl.evaluation.protocols import PROTOCOLS
from defocusctl.evaluation.results import METRICS, Evaluation, Method, Row
from defocusctl.evaluation.table import published_rows
from defocusctl.system.atomic import atomic_write

CSV = "scores.csv"
SUMMARY = "summary.json"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The whole summary as plain JSON values; numbers that are not finite are null."""
    return {
        "dataset": evaluation.dataset,
        "title": evaluation.title,
        "images": len({row.image for row in evaluation.rows}),
        "of": len(evaluation.images),
        "problems": list(evaluation.problems),
        "protocols": {name: PROTOCOLS[name].summary for name in evaluation.protocols},
        "lpips": evaluation.lpips_variant,
        "versions": dict(evaluation.versions),
        "methods": [
            {
                **asdict(method),
                "means": _means_by_protocol(evaluation, method.label),
                "means_by_label": {
                    label: _means_by_protocol(evaluation, method.label, label) for label in evaluation.labels
                },
            }
            for method in evaluation.methods
        ],
        "comparisons": [
            {**asdict(comparison), "difference": _finite(comparison.difference._asdict())}
            for comparison in evaluation.comparisons
        ],
        "published": [asdict(row) for row in evaluation.published],
    }


def write_tables(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write or replace ``scores.csv``, a row per image, method and protocol, and ``summary.json``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows((*figures, " ".join(labels)) for *figures, labels in evaluation.rows)
    contents = {
        folder / CSV: text.getvalue(),
        folder / SUMMARY: json.dumps(as_json(evaluation), indent=2) + "\n",
    }
    for path, content in contents.items():
        with atomic_write(path, force=True) as file:
            file.write(content.encode())
    return list(contents)


def _means_by_protocol(
    evaluation: Evaluation, method: str, label: str | None = None
) -> dict[str, dict[str, float | None]]:
    return {protocol: _finite(evaluation.means(method, protocol, label)) for protocol in evaluation.protocols}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if isfinite(value) else None for key, value in values.items()}


DB_TO_UNIT = 1 / 50  # factor from the tolerance in dB to that of the other metrics, which are in [0, 1]


class Expectation(NamedTuple):
    """The mean that a method should have in one metric."""

    method: str
    protocol: str
    metric: str
    value: float


def expected_from_papers(
    dataset: str, methods: Sequence[Method], protocols: Sequence[str]
) -> list[Expectation]:
    """The papers' figures for networks trained on the same data as theirs.

    They apply under the paper's protocol or, if it is not one of ``protocols``, under each of these.

    Raises:
        DataError: if no paper reports any of the methods on this dataset.
    """
    expected = [
        Expectation(method.label, protocol, metric, value)
        for method in methods
        if method.trained_on
        for row in published_rows(dataset, frozenset({method.trained_on}))
        if method.is_reported_in(row) and row.trained_on == method.trained_on
        for protocol in ([row.protocol] if row.protocol in protocols else protocols)
        for metric in METRICS
        if (value := getattr(row, metric)) is not None
    ]
    if not expected:
        raise DataError(
            "no paper reports these weights on this dataset", "give --expect the summary of an earlier run"
        )
    return expected


def expected_from_file(path: Path, methods: Sequence[Method], protocols: Sequence[str]) -> list[Expectation]:
    """The means in an earlier run's ``summary.json``, for the methods and protocols that both runs have.

    Raises:
        DataError: if the file cannot be read or has no such means.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        expected = [
            Expectation(method["label"], protocol, metric, float(value))
            for method in summary["methods"]
            for protocol, values in method["means"].items()
            for metric in METRICS
            if (value := values.get(metric)) is not None
        ]
    except OSError as error:
        raise DataError(f"cannot read '{path}' ({error.strerror})", "check --expect") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{path}' is not the summary of a run", "give a summary.json from eval") from error
    labels = {method.label for method in methods}
    shared = [row for row in expected if row.method in labels and row.protocol in protocols]
    if not shared:
        raise DataError(
            f"'{path}' has no method and protocol of this run", "give the summary of a similar run"
        )
    return shared


def deviations(evaluation: Evaluation, expected: Sequence[Expectation], tolerance: float) -> list[str]:
    """The means that differ by more than the tolerance: dB for PSNR, a fiftieth of that for other metrics."""
    found = []
    for method, protocol, metric, value in expected:
        measured = evaluation.means(method, protocol)[metric]
        allowed = tolerance if metric == "psnr" else tolerance * DB_TO_UNIT
        if isnan(measured):
            found.append(f"{method} ({protocol}): {metric} was not scored, but {value:.4f} was expected")
        elif not abs(measured - value) <= allowed:
            figures = f"{measured:.4f} instead of {value:.4f} ({measured - value:+.4f})"
            found.append(f"{method} ({protocol}): {metric} is {figures}")
    return found
