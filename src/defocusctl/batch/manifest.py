"""The manifest of an output folder: a line for each input that has ended, and what the folder may hold.

Beside the manifest lies a hidden list of reservations: the files that runs of this program have taken for
themselves, written before any of them is. A file that a killed run has written but not yet recorded is thus
known as ours.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from defocusctl.errors import OutputError
from defocusctl.system.atomic import write_error
from defocusctl.system.collector import collector_paused
from defocusctl.system.json_lines import JsonLinesWriter, read_json_lines

FILE = "defocusctl-manifest.jsonl"
RESERVATIONS = ".defocusctl-batch.claims"
LOCK = ".defocusctl-batch.lock"
REPORT = "defocusctl-report"
"""The folder of the gallery."""
TICK = 20_000_000
"""Nanoseconds within which file systems may give two changes one time."""
COARSE_TICK = 2_000_000_000
"""The same where they keep times in whole seconds."""


class Status(StrEnum):
    """What became of an input: ``skipped`` is a photo that this program made itself."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the manifest, described for users in ``docs/batch.md``.

    ``files`` maps every file written, the photo first, to its SHA-256; paths are relative to the output
    folder, with slashes, or absolute where they lie outside. Hashes are hexadecimal digits. ``error`` and
    ``exit_code`` are of a failed input; ``error`` of a skipped one says why. ``report`` is what the
    restoration reported of itself, ``weights`` name, source and hash. ``stamp`` is that of the source, and
    ``stamps`` has those of ``files``, from before they were hashed; what is not known is None or left out.
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

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` gave, also of versions that did not have the optional fields.

        Fields of later versions are left out.

        Raises:
            OutputError: if a field is missing or makes no sense.
        """
        try:
            known = {name: values[name] for name in _FIELDS if name in values}
            known["status"] = Status(values["status"])
            known["warnings"] = tuple(values["warnings"])
            for name in ("files", "settings", "stamps"):
                if not isinstance(known.get(name, {}), dict):
                    raise TypeError(f"{name} is not an object")
            return cls(**known)
        except (KeyError, ValueError, TypeError) as error:
            raise OutputError(
                f"the manifest has a line that is not understood ({error})", "fix or remove that line"
            ) from error


_FIELDS = tuple(field.name for field in fields(Entry))


class Stamp(NamedTuple):
    """What changes when a file does: size in bytes, time of change in nanoseconds, and its number (inode)."""

    size: int
    modified: int
    number: int

    @classmethod
    def of(cls, path: str | Path) -> "Stamp | None":
        """That of a file; None if there is none."""
        status = status_of(path)
        return None if status is None else cls.of_status(status)

    @classmethod
    def of_status(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    @property
    def recorded(self) -> str | None:
        """As the manifest has it, without the number, which a copy of the whole folder would change.

        None if the file changed just now: another change could still leave the same size and time.
        """
        tick = COARSE_TICK if self.modified % 1_000_000_000 == 0 else TICK
        if abs(time.time_ns() - self.modified) <= tick:
            return None
        return f"{self.size}-{self.modified}"


def status_of(path: str | Path) -> os.stat_result | None:
    """What the system knows of a file; None if there is none."""
    try:
        return os.stat(path)  # noqa: PTH116 - quicker than a Path, for many thousands
    except OSError:
        return None


def recorded_stamp(path: str | Path) -> str | None:
    """The stamp of a file for the manifest; None if there is no file, or it changed just now.

    Whoever hashes the file takes the stamp first: then a file that still has it has that hash, too.
    """
    stamp = Stamp.of(path)
    return None if stamp is None else stamp.recorded


@dataclass(frozen=True)
class Recorded:
    """What earlier runs left in a folder.

    ``entries`` has the last entry of each input by its name, ``reserved`` every file that a run took for
    itself, as ``place_in`` writes it. ``sizes`` are those of the two files that this was read from.
    """

    entries: dict[str, Entry]
    reserved: set[str]
    sizes: tuple[int, int]

    @classmethod
    def read(cls, out: Path, before: "Recorded | None" = None) -> "Recorded":
        """Read the records of ``out``; ``before`` if they, which only ever grow, have not grown since.

        Raises:
            OutputError: if they cannot be read or are damaged (a last line that is cut short is not damage).
        """
        manifest, reservations = status_of(out / FILE), status_of(out / RESERVATIONS)
        sizes = (manifest.st_size if manifest else 0, reservations.st_size if reservations else 0)
        if before is not None and before.sizes == sizes:
            return before
        with collector_paused():
            last = {values.get("input"): values for values in read_json_lines(out / FILE)}
            entries = [Entry.from_json(values) for values in last.values()]
            reserved = {str(values.get("file")) for values in read_json_lines(out / RESERVATIONS)}
            reserved.update(*(entry.files for entry in entries))
            return cls({entry.input: entry for entry in entries}, reserved, sizes)


def place_in(out: Path, path: Path) -> str:
    """``path`` relative to ``out`` with slashes, or absolute where it is elsewhere."""
    text, folder = str(path), f"{out}{os.sep}"
    if text.startswith(folder):  # much quicker than asking ``path``
        return text.removeprefix(folder).replace(os.sep, "/")
    try:
        return path.relative_to(out).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def path_of(out: Path, place: str) -> str:
    """The file that ``place_in`` calls ``place``."""
    return place if os.path.isabs(place) else f"{out}{os.sep}{place}"  # noqa: PTH117 - quicker


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
