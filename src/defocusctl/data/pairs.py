"""Photos in folders: single ones, and pairs of a blurred and a sharp one."""

from pathlib import Path
from typing import NamedTuple

from defocusctl.errors import DataError
from defocusctl.photo.targets import SUFFIXES, is_passed_over, may_be_photo


class PhotoPair(NamedTuple):
    """Two files of one scene and the name they are reported under."""

    name: str
    blurred: Path
    sharp: Path


def photos_in(folder: Path) -> list[Path]:
    """The photo files of ``folder``, sorted by name.

    Raises:
        DataError: if there is no such folder or no photo in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'", "check the path in the recipe, or --data")
    try:
        photos = sorted(path for path in folder.iterdir() if _is_photo(path))
    except OSError as error:
        raise DataError(
            f"cannot read the folder '{folder}' ({error.strerror})", "fix its permissions"
        ) from error
    if not photos:
        known = sorted(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise DataError(f"there is no photo in '{folder}'", f"it should hold {', '.join(known)} files")
    return photos


def pairs_in(blurred: Path, sharp: Path) -> list[PhotoPair]:
    """Pairs of the photos that have the same name, whatever the suffix, in both folders.

    Where no name is in both folders, as in DPDD, equally many photos are paired in the order of their names.

    Raises:
        DataError: if a photo has no partner or several; its name is in the message.
    """
    inputs, partners = _by_stem(blurred), _by_stem(sharp)
    if len(inputs) == len(partners) and not inputs.keys() & partners.keys():
        in_order = zip(inputs.items(), partners.values(), strict=True)
        return [PhotoPair(stem, path, partner) for (stem, path), partner in in_order]
    alone = sorted(inputs.keys() ^ partners.keys())
    if alone:
        raise DataError(
            f"{len(alone)} photos are in only one of '{blurred}' and '{sharp}', '{alone[0]}' among them",
            "give both photos of a pair the same name",
        )
    return [PhotoPair(stem, path, partners[stem]) for stem, path in inputs.items()]


def _is_photo(path: Path) -> bool:
    return may_be_photo(path) and not is_passed_over(path.name) and path.is_file()


def _by_stem(folder: Path) -> dict[str, Path]:
    photos = photos_in(folder)
    stems = {path.stem: path for path in photos}
    twice = sorted(path.name for path in photos if stems[path.stem] != path)
    if twice:
        raise DataError(f"'{folder}' holds '{twice[0]}' with several suffixes", "keep one file of every name")
    return stems
