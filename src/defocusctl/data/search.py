"""Finding a dataset below a folder, whichever of its usual layouts it has there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from defocusctl.data.catalogue import SETS, Dataset
from defocusctl.data.found import EvaluationImage, FoundData, folder_below, folders_in, some_photos_in
from defocusctl.data.pairs import pairs_in
from defocusctl.data.readers import alone
from defocusctl.errors import DataError, UsageError

ENVIRONMENT = "DEFOCUSCTL_DATA"
PAIR_FOLDERS = (("source", "target"), ("input", "target"), ("blur", "sharp"), ("inputC", "target"))
PAIRS, PHOTOS = "pairs", "photos"
WHOLE = "all"  # the split of data that have none


def data_root(given: Path | None) -> Path:
    """The folder of the datasets: ``--root``, or else what DEFOCUSCTL_DATA names.

    Raises:
        DataError: if neither is given, or there is no such folder.
    """
    said = given or os.environ.get(ENVIRONMENT)
    if not said:
        raise DataError("where the datasets are is not known", f"give --root, or set {ENVIRONMENT}")
    root = Path(said).expanduser()
    if not root.is_dir():
        cause = f"there is no folder '{root}'"
        raise DataError(cause, f"check {'--root' if given else f'what {ENVIRONMENT} says'}")
    return root


def find_data(dataset: str, root: Path, split: str = "test") -> FoundData:
    """One split of a set below ``root``: in a folder with a usual name of the set, or in ``root`` itself.

    ``pairs`` and ``photos`` are ``root``'s own, of any origin, and have no splits.

    Raises:
        UsageError: if there is no such set, or it has no such split.
        DataError: if nothing is there, with what was looked for and who offers it, or a folder has no photo.
    """
    if dataset in (PAIRS, PHOTOS) and split != "test":
        raise UsageError(f"the dataset '{dataset}' has no splits", "leave out --split")
    if dataset == PHOTOS:
        return photos_data(root)
    if dataset == PAIRS:
        return _pairs_below(root)
    if dataset not in SETS:
        raise UsageError(f"there is no dataset '{dataset}'", f"known are {', '.join((*SETS, PAIRS, PHOTOS))}")
    wanted = SETS[dataset]
    if not wanted.layouts:
        cause = f"how the files of {wanted.title} are named is not known to this program"
        raise DataError(cause, "give its folders with --dataset pairs, --blurred and --sharp")
    if split not in wanted.counts:
        raise UsageError(f"{wanted.title} has no split '{split}'", f"it has {', '.join(wanted.counts)}")
    return _first_whole(wanted, root, split, list(_places_with_a_layout(wanted, root, split)))


def present_data(dataset: str, root: Path, split: str = "test") -> FoundData | None:
    """As ``find_data`` of a known set, but None where it is not there or has no such split.

    RealDOF and CUHK have layouts that any photos may have: ``root`` itself counts only if its name is theirs.

    Raises:
        DataError: if the set is there, but a folder of it is missing or has no photo.
    """
    wanted = SETS[dataset]
    if split not in wanted.counts:
        return None
    anywhere = wanted.distinctive or _is_usual(root.resolve(), wanted)
    places = [
        place for place in _places_with_a_layout(wanted, root, split) if anywhere or place.folder != root
    ]
    return _first_whole(wanted, root, split, places) if places else None


def pairs_data(blurred: Path, sharp: Path) -> FoundData:
    """Two folders of any origin: the same names in both, or equally many in sorted order.

    Raises:
        DataError: if a folder or a partner is missing.
    """
    for folder in (blurred, sharp):
        if not folder.is_dir():
            raise DataError(f"there is no folder '{folder}'", "give one of blurred and one of sharp photos")
    images = tuple(EvaluationImage(*pair) for pair in pairs_in(blurred, sharp))
    folder = blurred.parent if blurred.parent == sharp.parent else blurred
    return FoundData(PAIRS, "pairs of photos", folder, WHOLE, images, ())


def photos_data(folder: Path) -> FoundData:
    """The photos of a folder, without reference.

    Raises:
        DataError: if there is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'", "give one with photos")
    return FoundData(PHOTOS, "photos without reference", folder, WHOLE, *alone(folder))


class _Place(NamedTuple):
    """A folder with at least the first part of a layout: its parts there, and the names of missing ones."""

    folder: Path
    parts: list[Path]
    lacking: list[str]


def _first_whole(wanted: Dataset, root: Path, split: str, places: list[_Place]) -> FoundData:
    place = next((place for place in places if not place.lacking), None)
    if place is None:
        raise _nothing_there(wanted, root, split, places)
    images, problems, ignored = wanted.read(*place.parts)
    expected = wanted.counts[split]
    if expected is not None and (len(images) > expected or (len(images) < expected and not wanted.subsets)):
        count = "1 image" if len(images) == 1 else f"{len(images)} images"
        problems += (
            f"{count}, but {wanted.title} has {expected} in its {split} split: "
            "unpack the set again into an empty folder, or expect scores unlike the papers'",
        )
    return FoundData(wanted.name, wanted.title, place.folder, split, images, problems, ignored)


def _places_with_a_layout(wanted: Dataset, root: Path, split: str) -> Iterator[_Place]:
    for home in _homes(root, wanted):
        for layout in wanted.layouts_of(split):
            folder = folder_below(home, layout.folder)
            if folder is None:
                continue
            parts = {name: folder_below(folder, name) for name in layout.parts}
            there = [path for path in parts.values() if path is not None]
            lacking = [name for name, path in parts.items() if path is None]
            flat = there == [folder]
            if layout.parts[0] not in lacking and (not flat or some_photos_in(folder)):
                yield _Place(folder, there, lacking)


def _homes(root: Path, wanted: Dataset) -> Iterator[Path]:
    """Folders of ``root`` with usual names of the set, each before those inside it; then ``root`` itself."""
    for folder in _usual_folders(root, wanted):
        yield folder
        yield from _usual_folders(folder, wanted)
    yield root


def _usual_folders(folder: Path, wanted: Dataset) -> list[Path]:
    usual = [name.casefold() for name in wanted.places]
    found = [path for path in folders_in(folder) if _is_usual(path, wanted)]
    return sorted(found, key=lambda path: (usual.index(path.name.casefold()), path.name))


def _is_usual(folder: Path, wanted: Dataset) -> bool:
    return folder.name.casefold() in {name.casefold() for name in wanted.places}


def _pairs_below(root: Path) -> FoundData:
    for names in PAIR_FOLDERS:
        blurred, sharp = (folder_below(root, name) for name in names)
        if blurred and sharp:
            return pairs_data(blurred, sharp)
    looked_for = ", ".join(f"{blurred} with {sharp}" for blurred, sharp in PAIR_FOLDERS)
    cause = f"no pairs in '{root}': looked for {looked_for}"
    raise DataError(cause, "name the folders so, or give the two folders")


def _nothing_there(wanted: Dataset, root: Path, split: str, partly: list[_Place]) -> DataError:
    remedy = f"it is offered by {wanted.offered}"
    if partly:
        place = partly[0]
        return DataError(
            f"the {split} split of {wanted.title} is incomplete: '{place.parts[0]}' is there, "
            f"but no '{place.lacking[0]}' in '{place.folder}'",
            f"unpack the set again; {remedy}",
        )
    looked_for = " or ".join(str(layout) for layout in wanted.layouts_of(split))
    return DataError(
        f"{wanted.title} ({split}) is not in '{root}': looked for {looked_for}, "
        f"there or in a folder named {' or '.join(wanted.places)}",
        remedy,
    )
