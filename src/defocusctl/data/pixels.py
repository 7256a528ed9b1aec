"""Photo files as plain RGB arrays in memory, decoded once where there is room."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from defocusctl.data.pairs import PhotoPair
from defocusctl.errors import DataError
from defocusctl.photo import read_photo
from defocusctl.photo.white import HOW_TO_SAY, doubt_of_white

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

    def both(self, pair: PhotoPair) -> tuple[Pixels, Pixels]:
        """The blurred and the sharp photo of a pair.

        Raises:
            DataError: if they differ in size, because then nobody knows how they lie on each other.
        """
        blurred, sharp = self.rgb(pair.blurred), self.rgb(pair.sharp)
        if blurred.shape != sharp.shape:
            sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in (blurred, sharp))
            raise DataError(f"'{pair.blurred}' and '{pair.sharp}' differ in size, {sizes}", "crop them alike")
        return blurred, sharp


def as_float(pixels: Pixels) -> NDArray[np.float32]:
    """Integer pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
