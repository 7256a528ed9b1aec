"""The files of a run: the journal to resume it, scores, summary; and what its figures are compared with."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl.errors import DataError
from defocusctl.evaluation.protocols import PROTOCOLS
from defocusctl.evaluation.results import METRICS, Evaluation, Method, Row
from defocusctl.evaluation.table import published_rows
from defocusctl.system.atomic import atomic_write, make_folder, refuse_foreign
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines

JOURNAL, CSV, SUMMARY = "scores.jsonl", "scores.csv", "summary.json"
DB_TO_UNIT = 1 / 50  # factor from the tolerance in dB to that of the other metrics, which are in [0, 1]


class Journal:
    """Appends the rows of each image at once; the first line has the run's settings.

    Without a folder it stores nothing.
    """

    def __init__(
        self, folder: Path | None, run: Mapping[str, Any], results: Sequence[str] = (), *, resume: bool
    ) -> None:
        """Start the journal in ``folder``, or with ``resume`` continue it.

        ``results`` are the files that the run will write at its end. Without a journal of an earlier run,
        existing files of these names are foreign.

        Raises:
            DataError: if the folder holds a run and ``resume`` is not set, or a run with other settings.
            OutputError: if it cannot be read or written, or a result would replace a foreign file.
        """
        self.done: dict[str, list[Row]] = {}  # the rows of images from an earlier run
        self._lines: JsonLinesWriter | None = None
        if folder is None:
            return
        path = folder / JOURNAL
        if path.exists():
            started = _read(path, run, self.done, resume=resume)
        else:
            refuse_foreign(folder / name for name in results)
            started = False
        make_folder(folder)
        self._lines = JsonLinesWriter(path)
        if not started:
            self._lines.append([run])

    def write(self, rows: Sequence[Row]) -> None:
        """Store the rows of one image: all of them or, if the power fails, none."""
        if self._lines is not None:
            self._lines.append([[_without_nan(row) for row in rows]])

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()


def _read(path: Path, run: Mapping[str, Any], done: dict[str, list[Row]], *, resume: bool) -> bool:
    """Fill ``done`` with the rows of each image; False if the journal is empty."""
    if not resume:
        remedy = "continue it with --resume, or choose another --out"
        raise DataError(f"'{path.parent}' already holds a run", remedy)
    lines = read_json_lines(path, kind=(dict, list))
    stored = next(lines, None)
    if stored is None:
        return False
    try:
        settings = json.loads(json.dumps(run))
        if changed := [key for key in sorted(stored) if settings.get(key) != stored[key]]:
            cause = f"the run in '{path.parent}' has other settings ({', '.join(changed)})"
            raise DataError(cause, "use the same ones, or choose another --out")
        for rows in lines:
            of_image = [_with_nan(row) for row in rows]
            done.update({row.image: of_image for row in of_image[:1]})
    except (TypeError, AttributeError, KeyError) as error:
        raise DataError(f"'{path}' is damaged ({error})", "choose another --out") from error
    return True


def _with_nan(values: Mapping[str, Any]) -> Row:
    complete: dict[str, Any] = {key: nan if value is None else value for key, value in values.items()}
    by_radius = tuple((count, error) for count, error in complete.get("by_radius", ()))
    return Row(**(complete | {"labels": tuple(complete["labels"]), "by_radius": by_radius}))


def _without_nan(row: Row) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in row._asdict().items()}


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
                "gains_by_radius": {
                    protocol: [
                        _finite(gain._asdict()) for gain in evaluation.gains_by_radius(method.label, protocol)
                    ]
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
    """Write or replace ``scores.csv``, a row per image, method and protocol, and ``summary.json``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields[:-1])
    writer.writerows((*figures, " ".join(labels)) for *figures, labels, _ in evaluation.rows)
    contents = {
        folder / CSV: text.getvalue(),
        folder / SUMMARY: json.dumps(as_json(evaluation), indent=2) + "\n",
    }
    for path, content in contents.items():
        with atomic_write(path, force=True) as file:
            file.write(content.encode(errors="backslashreplace"))  # file names need not be valid Unicode
    return list(contents)


def _means_by_protocol(
    evaluation: Evaluation, method: str, label: str | None = None
) -> dict[str, dict[str, float | None]]:
    return {protocol: _finite(evaluation.means(method, protocol, label)) for protocol in evaluation.protocols}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if isfinite(value) else None for key, value in values.items()}


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
        for row in published_rows(dataset, frozenset({method.trained_on}), frozenset({method.model or ""}))
        if method.is_reported_in(row) and row.trained_on == method.trained_on
        for protocol in ([row.protocol] if row.protocol in protocols else protocols)
        for metric in METRICS
        if (value := getattr(row, metric)) is not None
    ]
    if not expected:
        cause = "no paper reports these weights on this dataset"
        raise DataError(cause, "give --expect the summary of an earlier run")
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
    if lacking := labels - {row.method for row in shared}:
        cause = f"'{path}' has no figures of {min(lacking)} with the protocols of this run"
        raise DataError(cause, "give the summary of a run that has them")
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
