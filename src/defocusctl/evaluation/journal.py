"""The rows of a run so far, so that an interrupted run can be resumed: one JSON value per line."""

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from defocusctl.errors import DataError
from defocusctl.evaluation.results import Row
from defocusctl.system.atomic import make_folder, refuse_foreign
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines

FILE = "scores.jsonl"


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
        self._done: dict[str, list[Row]] = {}
        self._lines: JsonLinesWriter | None = None
        if folder is None:
            return
        path = folder / FILE
        if path.exists():
            started = _read(path, run, self._done, resume=resume)
        else:
            refuse_foreign(folder / name for name in results)
            started = False
        make_folder(folder)
        self._lines = JsonLinesWriter(path)
        if not started:
            self._lines.append([run])

    def rows_of(self, image: str) -> list[Row] | None:
        """The rows of this image from an earlier run, or None."""
        return self._done.get(image)

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
        keys = sorted({*settings, *stored})
        if changed := [key for key in keys if settings.get(key) != stored.get(key)]:
            raise DataError(
                f"the run in '{path.parent}' has other settings ({', '.join(changed)})",
                "use the same ones, or choose another --out",
            )
        for rows in lines:
            of_image = [_with_nan(row) for row in rows]
            done.update({row.image: of_image for row in of_image[:1]})
    except (TypeError, AttributeError, KeyError) as error:
        raise DataError(f"'{path}' is damaged ({error})", "choose another --out") from error
    return True


def _with_nan(values: Mapping[str, Any]) -> Row:
    complete: dict[str, Any] = {key: nan if value is None else value for key, value in values.items()}
    return Row(**(complete | {"labels": tuple(complete["labels"])}))


def _without_nan(row: Row) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in row._asdict().items()}
