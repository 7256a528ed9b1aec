"""Which files one call would write: none of them an input, none of them twice."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from defocusctl.errors import OutputError, UsageError

Identity: TypeAlias = tuple[int, int] | tuple[Path, str]
"""Device and number of a file that exists; folder and name of one that does not."""


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse, before anything runs, a call in which a result would replace an input or another result.

    Raises:
        OutputError: if an output is an input, under whatever name.
        UsageError: if two outputs are one file.
    """
    read = {_identity(path) for path in inputs}
    written: set[Identity] = set()
    for path in outputs:
        identity = _identity(path)
        if identity in read:
            raise OutputError(f"the result '{path}' would replace an input", "write elsewhere with -o")
        if identity in written:
            raise UsageError(
                f"several results would be written to '{path}'",
                "give other names or folders, or run them apart",
            )
        written.add(identity)


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except OSError:
        folder = path.parent.resolve()
        return folder, path.name.casefold() if _ignores_case(folder) else path.name
    return status.st_dev, status.st_ino


def _ignores_case(folder: Path) -> bool:
    """Whether the folder can also be had in the other case, as on the usual disks of Windows and macOS."""
    other = folder.with_name(folder.name.swapcase())
    return other.name != folder.name and other.exists() and other.samefile(folder)
