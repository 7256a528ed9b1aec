"""Files of one JSON value per line that survive a crash of their writer.

A line counts once its line feed is on the disk. A partial line that a crash or power failure leaves at the
end is not read, and the next writer removes it.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from defocusctl.errors import OutputError
from defocusctl.system.atomic import write_error


def read_json_lines(path: Path, kind: type | tuple[type, ...] = dict) -> Iterator[Any]:
    """The values of the file, in order; none if there is no such file.

    Raises:
        OutputError: if it cannot be read, or a complete line is not a JSON value of this kind.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _parsed(path, number, line, kind)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot read '{path}' ({error.strerror})", "check its permissions") from error


def json_line(value: Any) -> bytes:
    """A JSON value as a line."""
    return json.dumps(value).encode() + b"\n"


class JsonLinesWriter:
    """Appends values to a file. Each call is durable when it returns; after a crash, a prefix may remain.

    Raises:
        OutputError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("ab+", buffering=0)
            self._length = _whole_length(path)
            self._file.truncate(self._length)
        except OSError as error:
            raise write_error(path, error) from error

    def append(self, values: Iterable[Any]) -> None:
        """Write one line for each value; on failure, try to restore the file as it was.

        Raises:
            OutputError: if they cannot be written.
        """
        content = b"".join(map(json_line, values))
        if not content:
            return
        try:
            remaining = memoryview(content)
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._length)
            raise write_error(self._path, error) from error
        self._length += len(content)

    def close(self) -> None:
        self._file.close()


def _parsed(path: Path, number: int, line: bytes, kind: type | tuple[type, ...]) -> Any:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise OutputError(f"line {number} of '{path}' is damaged", "fix or remove that line")
    return value


def _whole_length(path: Path) -> int:
    """Bytes up to and including the last line feed."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
