"""Looking at the headers of a set's files: pairs of two sizes, and files that are damaged."""

import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from defocusctl.data.datasets.found import FoundData, naming
from defocusctl.errors import InputError
from defocusctl.geometry import Size
from defocusctl.photo import read_photo

PNG_END = b"IEND\xaeB`\x82"


class Headers(NamedTuple):
    """The sizes of the blurred photos with their counts, the most frequent first, and a line per problem."""

    sizes: tuple[tuple[Size, int], ...]
    problems: tuple[str, ...]


def read_headers(found: FoundData) -> Headers:
    """Read the size of every file, without its pixels, and compare those of a pair."""
    sizes: dict[Path, Size] = {}
    problems = []
    for path in dict.fromkeys(
        path for image in found.images for path in (image.blurred, image.sharp) if path
    ):
        try:
            sizes[path] = _size(path)
        except InputError as error:
            problems.append(str(error))
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
    """The size in a file's header; a file whose header or end is not as it should be is read in full.

    Raises:
        InputError: if that fails.
    """
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
