"""Checks the output paths of one call: none is an input or occurs twice."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from defocusctl.errors import OutputError, UsageError

Identity: TypeAlias = tuple[int, int] | tuple[Path, str]
"""Device and inode of an existing file; folder and name of another."""


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Before anything runs, refuse a call in which a result would replace an input or another result.

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
                "use other names or folders, or separate calls",
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
    """Whether the file system ignores case, as is usual on Windows and macOS."""
    other = folder.with_name(folder.name.swapcase())
    return other.name != folder.name and other.exists() and other.samefile(folder)
