"""The manifest of an output folder: one line for each finished input.

Beside it is a hidden list of reservations: the files that runs of this program are about to write. It is
written first, so a file that a killed run wrote but did not record is still recognised as ours. Other runs
withdraw at their end what they have not written.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from defocusctl.errors import OutputError
from defocusctl.system.interruption import collector_paused
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines

FILE = "defocusctl-manifest.jsonl"
RESERVATIONS = ".defocusctl-batch.claims"
LOCK = ".defocusctl-batch.lock"
REPORT = "defocusctl-report"  # the folder of the gallery
TICK = 20_000_000  # nanoseconds within which a file system may give two changes the same time
COARSE_TICK = 2_000_000_000  # the same for file systems that store whole seconds


class Status(StrEnum):
    """What happened to an input; ``skipped`` is a photo that this program made itself."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the manifest, described for users in ``docs/batch.md``.

    ``files`` maps every file written, the photo first, to its SHA-256; paths are relative to the output
    folder, with slashes, or absolute where they lie outside. Hashes are hexadecimal. ``error`` and
    ``exit_code`` are for a failed input; ``error`` says why one was skipped. ``report`` is the restoration's
    own, ``weights`` has name, source and hash. ``stamp`` is the source's, ``stamps`` are those of ``files``,
    taken before hashing; an unknown ``stamp`` is None, and unknown ``stamps`` are left out.
    """

    input: str
    status: Status
    source: str
    size: int | None
    sha256: str | None
    files: Mapping[str, str]
    settings: Mapping[str, Any]
    weights: Mapping[str, str]
    report: Mapping[str, Any]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    error: str | None
    exit_code: int
    software: str
    finished: str
    stamp: str | None = None
    stamps: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Entry":
        """An entry from its line; optional fields may be missing, and those of later versions are ignored.

        Raises:
            OutputError: if a field is missing or invalid.
        """
        try:
            return _ENTRIES.validate_python(values)
        except ValidationError as error:
            photo, first = values.get("input"), error.errors()[0]
            problem = f"the line of {photo!r} in '{FILE}' is invalid ({first['loc'][0]}: {first['msg']})"
            raise OutputError(problem, "fix or remove that line") from error


_ENTRIES = TypeAdapter(Entry)


class Stamp(NamedTuple):
    """Changes when a file does: size in bytes, modification time in nanoseconds, and inode number."""

    size: int
    modified: int
    number: int

    @classmethod
    def of(cls, path: str | Path) -> "Stamp | None":
        """The stamp of a file; None if there is no such file."""
        status = status_of(path)
        return None if status is None else cls.of_status(status)

    @classmethod
    def of_status(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    @property
    def recorded(self) -> str | None:
        """The stamp for the manifest, without the inode, which copying the folder would change.

        None if the file has only just changed: another change could leave the same size and time.
        """
        tick = COARSE_TICK if self.modified % 1_000_000_000 == 0 else TICK
        if abs(time.time_ns() - self.modified) <= tick:
            return None
        return f"{self.size}-{self.modified}"


def status_of(path: str | Path) -> os.stat_result | None:
    """The status of a file; None if there is no such file."""
    try:
        return os.stat(path)  # noqa: PTH116 - quicker than a Path, for many thousands
    except OSError:
        return None


def recorded_stamp(path: str | Path) -> str | None:
    """The stamp of a file for the manifest; None if there is no such file or it has only just changed.

    Take it before hashing the file: a file that still has the stamp then still has the hash.
    """
    stamp = Stamp.of(path)
    return None if stamp is None else stamp.recorded


@dataclass(frozen=True)
class History:
    """The records of earlier runs in a folder.

    ``entries`` has the last entry of each input by name, ``reserved`` every file that a run reserved, as
    ``manifest_path`` writes it. ``sizes`` are those of the files that were read.
    """

    entries: dict[str, Entry]
    reserved: set[str]
    sizes: list[int | None]

    @classmethod
    def read(cls, out: Path, before: "History | None" = None) -> "History":
        """Read the records of ``out``; return ``before`` if they, which can only grow, have not grown since.

        Raises:
            OutputError: if they cannot be read or are damaged (a truncated last line is not damage).
        """
        sizes = [stamp and stamp.size for stamp in map(Stamp.of, (out / FILE, out / RESERVATIONS))]
        if before is not None and before.sizes == sizes:
            return before
        with collector_paused():
            last = {str(values.get("input")): values for values in read_json_lines(out / FILE)}
            entries = [Entry.from_json(values) for values in last.values()]
            reserved: set[str] = set()
            for values in read_json_lines(out / RESERVATIONS):
                if "withdrawn" in values:
                    reserved.discard(str(values["withdrawn"]))
                else:
                    reserved.add(str(values.get("file")))
            reserved.update(*(entry.files for entry in entries))
            return cls({entry.input: entry for entry in entries}, reserved, sizes)


def manifest_path(out: Path, path: Path) -> str:
    """``path`` relative to ``out`` with slashes, or absolute if it is elsewhere."""
    text, folder = str(path), f"{out}{os.sep}"
    if text.startswith(folder):  # much faster than ``relative_to``
        return text.removeprefix(folder).replace(os.sep, "/")
    try:
        return path.relative_to(out).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def file_path(out: Path, recorded: str) -> str:
    """The inverse of ``manifest_path``."""
    return recorded if os.path.isabs(recorded) else f"{out}{os.sep}{recorded}"  # noqa: PTH117 - quicker


def record_reservations(out: Path, files: Iterable[str]) -> None:
    """Reserve files for this program before any of them is written.

    Raises:
        OutputError: if they cannot be recorded.
    """
    with closing(JsonLinesWriter(out / RESERVATIONS)) as reserved:
        reserved.append({"file": file} for file in files)


def withdraw_reservations(out: Path) -> None:
    """Withdraw the reservations of files that do not exist, at the end of a run that was not killed.

    A file that gets such a name later is not ours.

    Raises:
        OutputError: if that cannot be recorded.
    """
    unused = [name for name in History.read(out).reserved if not os.path.lexists(file_path(out, name))]
    if unused:
        with closing(JsonLinesWriter(out / RESERVATIONS)) as reserved:
            reserved.append({"withdrawn": name} for name in unused)


@contextmanager
def recording(out: Path) -> Iterator[Callable[[Iterable[Entry]], None]]:
    """Open or create the manifest; yield a function that appends entries, on the disk when it returns.

    A line truncated by a power failure is removed.

    Raises:
        OutputError: if it cannot be written.
    """
    with closing(JsonLinesWriter(out / FILE)) as lines:
        yield lambda entries: lines.append(asdict(entry) for entry in entries)
