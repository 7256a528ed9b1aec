"""The files with a run's figures: ``scores.csv`` and ``summary.json``."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from defocusctl.evaluation.metrics import PROTOCOLS
from defocusctl.evaluation.results import Evaluation, Row
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
