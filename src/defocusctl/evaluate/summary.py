"""What an evaluation comes to: means per method as a summary, files to keep, and figures to expect."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from defocusctl.atomic import atomic_write
from defocusctl.errors import DataError
from defocusctl.evaluate.results import METRICS, Evaluation, PublishedRow, Row, mean

CSV = "scores.csv"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Deviation:
    """A figure that was expected otherwise."""

    method: str
    protocol: str
    metric: str
    measured: float
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.method} ({self.protocol}): {self.metric} is {self.measured:.4f} instead of "
            f"{self.expected:.4f} ({self.measured - self.expected:+.4f})"
        )


def means(evaluation: Evaluation, method: str, protocol: str) -> dict[str, float]:
    """The mean of every metric, and seconds per megapixel."""
    rows = evaluation.of(method, protocol)
    found = {metric: mean(rows, metric) for metric in METRICS}
    megapixels = sum(row.megapixels for row in rows)
    found["seconds_per_megapixel"] = sum(row.seconds for row in rows) / megapixels if megapixels else 0.0
    return found


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The whole summary as plain JSON values; what is not a finite number is null."""
    return {
        "dataset": evaluation.dataset,
        "title": evaluation.title,
        "images": len({row.image for row in evaluation.rows}),
        "of": len(evaluation.images),
        "problems": list(evaluation.problems),
        "lpips": evaluation.lpips_variant,
        "versions": dict(evaluation.versions),
        "methods": [
            {
                **asdict(method),
                "means": {
                    protocol: _finite(means(evaluation, method.label, protocol))
                    for protocol in evaluation.protocols
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
    """``scores.csv``, a row per image, method and protocol, and ``summary.json``; replaces older ones."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(evaluation.rows)
    contents = {
        folder / CSV: text.getvalue(),
        folder / SUMMARY: json.dumps(as_json(evaluation), indent=2) + "\n",
    }
    for path, content in contents.items():
        with atomic_write(path, force=True) as file:
            file.write(content.encode())
    return list(contents)


def published_for(evaluation: Evaluation, label: str, trained_on: Mapping[str, str]) -> PublishedRow | None:
    """The published row of the same network trained on the same data, if a paper has one."""
    model = next((method.model for method in evaluation.methods if method.label == label), None)
    for row in evaluation.published:
        if model and row.method.lower() == model and row.trained_on == trained_on.get(label):
            return row
    return None


def deviations_from_published(
    evaluation: Evaluation, trained_on: Mapping[str, str], tolerance: float
) -> list[Deviation]:
    """What differs from the papers' rows by more than the tolerance.

    Raises:
        DataError: if no paper reports any of the methods on this data set.
    """
    expected = [
        (method.label, protocol, metric, value)
        for method in evaluation.methods
        if (row := published_for(evaluation, method.label, trained_on)) is not None
        for protocol in evaluation.protocols
        for metric in METRICS
        if (value := getattr(row, metric)) is not None
    ]
    if not expected:
        raise DataError(
            "no paper reports these weights on this data set", "give --expect the summary of an earlier run"
        )
    return _deviations(evaluation, expected, tolerance)


def deviations_from_file(evaluation: Evaluation, path: Path, tolerance: float) -> list[Deviation]:
    """What differs from an earlier run's ``summary.json`` by more than the tolerance.

    Raises:
        DataError: if the file cannot be read or shares no method and protocol with this run.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        expected = [
            (method["label"], protocol, metric, float(value))
            for method in summary["methods"]
            for protocol, values in method["means"].items()
            for metric in METRICS
            if (value := values.get(metric)) is not None
        ]
    except OSError as error:
        raise DataError(f"cannot read '{path}' ({error.strerror})", "check --expect") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{path}' is not the summary of a run", "give a summary.json of eval") from error
    labels = {method.label for method in evaluation.methods}
    shared = [row for row in expected if row[0] in labels and row[1] in evaluation.protocols]
    if not shared:
        raise DataError(f"'{path}' has no method and protocol of this run", "give the summary of a like run")
    return _deviations(evaluation, shared, tolerance)


def _deviations(
    evaluation: Evaluation, expected: list[tuple[str, str, str, float]], tolerance: float
) -> list[Deviation]:
    """``tolerance`` is in dB for PSNR; the other metrics, which lie in [0, 1], are held to a fiftieth."""
    found = []
    for label, protocol, metric, value in expected:
        measured = means(evaluation, label, protocol)[metric]
        allowed = tolerance if metric == "psnr" else tolerance / 50
        if not abs(measured - value) <= allowed:
            found.append(Deviation(label, protocol, metric, measured, value))
    return found


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if isfinite(value) else None for key, value in values.items()}
