"""The photos of a folder, pairs of them, and their pixels as RGB arrays, decoded once where there is room."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from defocusctl.errors import DataError
from defocusctl.photo import read_photo
from defocusctl.photo.targets import SUFFIXES, is_passed_over, may_be_photo
from defocusctl.photo.white import HOW_TO_SAY, doubt_of_white


class PhotoPair(NamedTuple):
    """Two files of one scene and the name they are reported under."""

    name: str
    blurred: Path
    sharp: Path


def visible_in(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """The wanted files or folders in ``folder``, sorted by name; hidden ones are left out.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not is_passed_over(path.name) and wanted(path))
    except OSError as error:
        cause = f"cannot read the folder '{folder}' ({error.strerror})"
        raise DataError(cause, "fix its permissions") from error


def photos_in(folder: Path) -> list[Path]:
    """The photo files of ``folder``, sorted by name.

    Raises:
        DataError: if there is no such folder or no photo in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder '{folder}'", "check the path in the recipe, or --data")
    photos = visible_in(folder, lambda path: may_be_photo(path) and path.is_file())
    if not photos:
        known = sorted(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise DataError(f"there is no photo in '{folder}'", f"it should hold {', '.join(known)} files")
    return photos


def photos_below(root: Path, folders: Iterable[Path]) -> list[Path]:
    """The photos of several folders, whose paths are relative to ``root``; raises what ``photos_in`` does."""
    return [path for folder in folders for path in photos_in(root / folder)]


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
        cause = f"{len(alone)} photos are in only one of '{blurred}' and '{sharp}', '{alone[0]}' among them"
        raise DataError(cause, "give both photos of a pair the same name")
    return [PhotoPair(stem, path, partners[stem]) for stem, path in inputs.items()]


def _by_stem(folder: Path) -> dict[str, Path]:
    photos = photos_in(folder)
    stems = {path.stem: path for path in photos}
    twice = sorted(path.name for path in photos if stems[path.stem] != path)
    if twice:
        raise DataError(f"'{folder}' holds '{twice[0]}' with several suffixes", "keep one file of every name")
    return stems


Pixels = NDArray[np.uint8 | np.uint16]


class PixelCache:
    """Decoded photos, kept until ``limit`` bytes are full; what does not fit is decoded again each time.

    ``white`` is the value of white in floating-point photos, by default 1.
    """

    def __init__(self, limit: int, white: float | None = None) -> None:
        self._room = limit
        self._white = white
        self._kept: dict[Path, Pixels] = {}

    def rgb(self, path: Path) -> Pixels:
        """(H, W, 3) of the file's own integer depth; grey is repeated, float is brought to 16 bits.

        Raises:
            InputError: if it cannot be read.
            DataError: if no white is given and it is in doubt.
        """
        if path in self._kept:
            return self._kept[path]
        photo = read_photo(path, white=self._white)
        pixels = photo.pixels
        if pixels.dtype == np.float32:
            if self._white is None and (doubt := doubt_of_white(pixels)):
                raise DataError(f"the white of '{path}' is in doubt: {doubt}", HOW_TO_SAY)
            pixels = np.round(np.clip(pixels / np.float32(photo.full_scale), 0, 1) * 65535).astype(np.uint16)
        rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
        if rgb.nbytes <= self._room:
            self._room -= rgb.nbytes
            self._kept[path] = rgb
        return rgb

    def both(self, blurred: Path, sharp: Path) -> tuple[Pixels, Pixels]:
        """A blurred photo and its sharp reference.

        Raises:
            DataError: if they differ in size, because then nobody knows how they lie on each other.
        """
        both = self.rgb(blurred), self.rgb(sharp)
        if both[0].shape != both[1].shape:
            sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in both)
            raise DataError(f"'{blurred}' and '{sharp}' differ in size, {sizes}", "crop them alike")
        return both


def as_float(pixels: Pixels) -> NDArray[np.float32]:
    """Integer pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
