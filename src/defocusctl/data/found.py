"""What a reader finds in the folders of a dataset, looking into folders, and the headers of the files."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from defocusctl.data.pairs import photos_in, visible_in
from defocusctl.errors import DataError, InputError
from defocusctl.photo import read_photo
from defocusctl.photo.geometry import Size

SHOWN = 4


class EvaluationImage(NamedTuple):
    """A blurred photo and, where the set has one, its sharp one.

    ``name`` is unique within the set and can name a file. ``labels`` are groups to average over as well,
    such as "indoor". ``white`` is that of floating-point files where it is not 1.
    """

    name: str
    blurred: Path
    sharp: Path | None
    labels: tuple[str, ...] = ()
    white: float | None = None


class Reading(NamedTuple):
    """What one reader got: images, one line per problem with its remedy, and folders it knows but leaves."""

    images: tuple[EvaluationImage, ...]
    problems: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundData:
    """The images of one split of a set that are in ``folder``.

    ``problems`` are one line each, with files and remedy: a wrong count, files without a partner, files that
    cannot be paired (they are not among the images) or have an unexpected name. ``ignored`` names folders of
    the set that are not scored.
    """

    dataset: str
    title: str
    folder: Path
    split: str
    images: tuple[EvaluationImage, ...]
    problems: tuple[str, ...]
    ignored: tuple[str, ...] = ()


def naming(paths: Sequence[Path]) -> str:
    """The first few files with their folders, and how many more there are."""
    shown = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:SHOWN])
    return f"{shown} and {len(paths) - SHOWN} more" if len(paths) > SHOWN else shown


def folders_in(folder: Path) -> list[Path]:
    """The folders in ``folder``, sorted by name; hidden ones are left out.

    Raises:
        DataError: if it cannot be read.
    """
    return visible_in(folder, Path.is_dir)


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


PNG_END = b"IEND\xaeB`\x82"


class Headers(NamedTuple):
    """The sizes of the blurred photos with their counts, the most frequent first, and a line per problem."""

    sizes: tuple[tuple[Size, int], ...]
    problems: tuple[str, ...]


def read_headers(found: FoundData, on_progress: Callable[[int, int], None] | None = None) -> Headers:
    """Read the size of every file, without its pixels, and compare those of a pair.

    ``on_progress`` is called with the number of files read and in total.
    """
    sizes: dict[Path, Size] = {}
    problems = []
    paths = dict.fromkeys(path for image in found.images for path in (image.blurred, image.sharp) if path)
    for done, path in enumerate(paths, start=1):
        try:
            sizes[path] = _size(path)
        except InputError as error:
            problems.append(str(error))
        if on_progress is not None:
            on_progress(done, len(paths))
    unequal = [
        (image.blurred, image.sharp)
        for image in found.images
        if image.sharp and {image.blurred, image.sharp} <= sizes.keys()
        if sizes[image.blurred] != sizes[image.sharp]
    ]
    if unequal:
        first, second = (f"{sizes[path].width}x{sizes[path].height}" for path in unequal[0])
        problems.append(
            f"photos of two sizes in {len(unequal)} of {len(found.images)} pairs, such as "
            f"{naming(unequal[0])} with {first} and {second}: "
            "get both photos of a pair from one source, unscaled"
        )
    counts = Counter(sizes[image.blurred] for image in found.images if image.blurred in sizes)
    return Headers(tuple(counts.most_common()), tuple(problems))


def _size(path: Path) -> Size:
    """The size in a file's header; a file whose header or end is not as it should be is read in full."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            width, height = image.size
            whole = image.format != "PNG" or _ends_as_png(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        whole = False
    return Size(height, width) if whole else read_photo(path, white=1).size


def _ends_as_png(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(-len(PNG_END), 2)
        return handle.read() == PNG_END
