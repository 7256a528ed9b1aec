"""One photo of a batch, where everything that comes of it goes, and what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import OutputError


@dataclass(frozen=True)
class Job:
    """One photo to do.

    ``name`` is its path below the folder it was found in, with slashes on every system; it is unique in a
    batch and names the photo in the manifest and to the user. ``target`` is the file to write, ``outputs``
    the pictures beside it and whether files that exist may be replaced. ``size`` is the file's size in
    bytes when it was found, 0 if unknown: it weighs the photos against each other for the time left.
    ``stamp`` is what says without reading the file that it has not changed (``stamps``), None if nothing
    does. Jobs can be pickled.
    """

    name: str
    source: Path
    target: Path
    outputs: Outputs
    size: int
    stamp: str | None = None

    def files(self, model: str) -> tuple[Path, ...]:
        """Every file it writes, the photo first."""
        return self.target, *self.outputs.pictures(self.target.stem, model)

    def replacing(self) -> Self:
        """The same job, allowed to replace the files that are there."""
        return replace(self, outputs=replace(self.outputs, force=True))

    def absolute(self) -> Self:
        """The same job for a process in another folder."""
        return replace(
            self,
            source=self.source.absolute(),
            target=self.target.absolute(),
            outputs=self.outputs.absolute(),
        )


@dataclass(frozen=True)
class BatchSettings:
    """What decides how a result looks; a photo done with other settings is done again.

    ``weights`` is the hash of the weights. ``tile``, ``overlap``, ``precision``, ``quality`` and ``format``
    are as they were asked for, None or "auto" if the program chose: a batch may go on on another machine.
    """

    model: str
    weights: str
    strength: float
    tile: int | None
    overlap: int | None
    precision: str
    quality: int | None
    format: str | None
    maps: bool
    maps_data: bool
    compare: bool
    white: float | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Status(StrEnum):
    """What became of an input: ``skipped`` is a photo that this program made itself."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
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
            known = {name: values[name] for name in _FIELDS if name in values or name not in _OPTIONAL}
            known["status"] = Status(known["status"])
            known["warnings"] = tuple(known["warnings"])
            for name in known.keys() & {"files", "settings", "stamps"}:
                known[name] = dict(known[name])
        except (KeyError, ValueError, TypeError) as error:
            raise OutputError(
                f"the manifest has a line that is not understood ({error})", "fix or remove that line"
            ) from error
        return cls(**known)


_FIELDS = tuple(field.name for field in fields(Entry))
_OPTIONAL = ("stamp", "stamps")


class Outcome(NamedTuple):
    """A job that has ended; ``fatal`` says that no other one could succeed, as on a full disk."""

    job: Job
    entry: Entry
    fatal: bool
