"""The rows of a run as they come, so that an interrupted one can go on: one JSON object per line."""

import json
import os
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from defocusctl.errors import DataError, OutputError
from defocusctl.evaluation.results import Row
from defocusctl.system.atomic import refuse_foreign

FILE = "scores.jsonl"


class Journal:
    """Appends the rows of each image at once; the first line says what the run is.

    Without a folder it remembers nothing.
    """

    def __init__(
        self, folder: Path | None, run: Mapping[str, Any], results: Sequence[str] = (), *, resume: bool
    ) -> None:
        """Begin, or with ``resume`` go on with, the journal of ``folder``.

        ``results`` are the names of what the run will write there at its end. Without a journal of an
        earlier run, files of these names are foreign.

        Raises:
            DataError: if the folder holds a run and ``resume`` is not wanted, or that of other settings.
            OutputError: if it cannot be written, or a result would replace a file of another origin.
        """
        self._done: dict[str, list[Row]] = {}
        self._file = None
        if folder is None:
            return
        path = folder / FILE
        try:
            if path.exists():
                self._read(path, run, resume)
            else:
                refuse_foreign(folder / name for name in results)
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            if self._file.tell() == 0:
                self._append(run)
        except OSError as error:
            raise OutputError(f"cannot write '{path}' ({error.strerror})", "choose another --out") from error

    def rows_of(self, image: str) -> list[Row] | None:
        """What an earlier run scored this image with; None if it did not."""
        return self._done.get(image)

    def write(self, rows: Sequence[Row]) -> None:
        """Keep the rows of one image, all of them or, if the power fails, none."""
        if self._file is not None:
            self._append([_without_nan(row) for row in rows])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def _append(self, value: Any) -> None:
        assert self._file is not None
        self._file.write(json.dumps(value) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, path: Path, run: Mapping[str, Any], resume: bool) -> None:
        if not resume:
            raise DataError(
                f"'{path.parent}' already holds a run", "go on with --resume, or choose another --out"
            )
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        lines = whole.splitlines()
        if not lines:
            path.unlink()
            return
        try:
            begun, *scored = (json.loads(line) for line in lines)
            images = [[_with_nan(row) for row in rows] for rows in scored]
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise DataError(f"'{path}' is damaged ({error})", "choose another --out") from error
        now = json.loads(json.dumps(run))
        changed = sorted(key for key in {*now, *begun} if now.get(key) != begun.get(key))
        if changed:
            raise DataError(
                f"the run in '{path.parent}' has other settings ({', '.join(changed)})",
                "give the same ones, or choose another --out",
            )
        self._done = {rows[0].image: rows for rows in images if rows}
        with path.open("r+", encoding="utf-8") as file:  # a line cut short by a power failure is begun again
            file.truncate(len(whole.encode()) + 1)


def _with_nan(values: Mapping[str, Any]) -> Row:
    complete: dict[str, Any] = {key: nan if value is None else value for key, value in values.items()}
    return Row(**(complete | {"labels": tuple(complete["labels"])}))


def _without_nan(row: Row) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in row._asdict().items()}
