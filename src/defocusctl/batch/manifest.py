"""The manifest of an output folder: a line for each input that has ended, and what the folder may hold.

Beside the manifest lies a hidden list of reservations: the files that runs of this program have taken for
themselves, written before any of them is. A file that a killed run has written but not yet recorded is thus
known as ours.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.job import Entry
from defocusctl.batch.stamps import Stamp
from defocusctl.errors import OutputError
from defocusctl.system.atomic import write_error
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines

FILE = "defocusctl-manifest.jsonl"
RESERVATIONS = ".defocusctl-batch.claims"
LOCK = ".defocusctl-batch.lock"
REPORT = "defocusctl-report"
"""The folder of the gallery."""


class Recorded(NamedTuple):
    """The last entry of each input by its name, and the size of the manifest that they were read from."""

    entries: dict[str, Entry]
    size: int


def read_entries(out: Path) -> dict[str, Entry]:
    """The last entry of each input by its name; empty if there is no manifest in ``out``.

    Raises:
        OutputError: if the manifest cannot be read or is damaged (a last line that is cut short is not
            damage).
    """
    last = {values.get("input"): values for values in read_json_lines(out / FILE)}
    entries = (Entry.from_json(values) for values in last.values())
    return {entry.input: entry for entry in entries}


def read_recorded(out: Path, before: Recorded | None = None) -> Recorded:
    """As ``read_entries``; ``before`` if the manifest, which only ever grows, has not grown since.

    Raises:
        OutputError: as ``read_entries``.
    """
    stamp = Stamp.of(out / FILE)
    size = 0 if stamp is None else stamp.size
    return before if before is not None and before.size == size else Recorded(read_entries(out), size)


def read_reservations(out: Path) -> set[str]:
    """The files that earlier runs took for themselves, as ``place_in`` writes them."""
    return {str(values.get("file")) for values in read_json_lines(out / RESERVATIONS)}


def place_in(out: Path, path: Path) -> str:
    """``path`` relative to ``out`` with slashes, or absolute where it is elsewhere."""
    text, folder = str(path), f"{out}{os.sep}"
    if text.startswith(folder):  # much quicker than asking ``path``
        return text.removeprefix(folder).replace(os.sep, "/")
    try:
        return path.relative_to(out).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def record_reservations(out: Path, places: Iterable[str]) -> None:
    """Take files for this program before any of them is written.

    Raises:
        OutputError: if that cannot be recorded.
    """
    with closing(JsonLinesWriter(out / RESERVATIONS)) as reserved:
        reserved.append({"file": place} for place in places)


class Manifest:
    """The manifest of one folder, open for writing."""

    def __init__(self, out: Path) -> None:
        """Open or begin it; a line cut short by a power failure is removed.

        Raises:
            OutputError: if it cannot be written.
        """
        self._entries = JsonLinesWriter(out / FILE)

    def append(self, *entries: Entry) -> None:
        """Record inputs that have ended; they are on the disk when this returns.

        Raises:
            OutputError: if it cannot be written.
        """
        self._entries.append(entry.as_json() for entry in entries)

    def close(self) -> None:
        self._entries.close()


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Create ``out`` if need be and keep other runs out of it during this block.

    Raises:
        OutputError: if another run is in it, or it cannot be created or written.
    """
    from filelock import FileLock, Timeout

    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"another batch is writing to '{out}'", "wait until it has ended, or choose another folder"
        ) from error
    except OSError as error:
        raise write_error(out, error) from error
    try:
        yield
    finally:
        lock.release()
