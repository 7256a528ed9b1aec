"""Looking into folders: what they hold, upper and lower case alike where a set's copies differ in it."""

from pathlib import Path

from defocusctl.data.pairs import photos_in
from defocusctl.errors import DataError
from defocusctl.photo.targets import is_passed_over


def folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder``, sorted by name; hidden ones are left out.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not is_passed_over(path.name))
    except OSError as error:
        raise DataError(
            f"cannot read the folder '{folder}' ({error.strerror})", "fix its permissions"
        ) from error


def some_photos_in(folder: Path) -> list[Path]:
    """The photos in ``folder``, which may have none."""
    try:
        return photos_in(folder)
    except DataError:
        return []


def folder_below(folder: Path, relative: str) -> Path | None:
    """The folder at ``relative`` in ``folder``, or None; one of exactly that name goes before other cases."""
    for name in Path(relative).parts:
        fitting = [path for path in folders_in(folder) if path.name.casefold() == name.casefold()]
        if not fitting:
            return None
        folder = min(fitting, key=lambda path: path.name != name)
    return folder
