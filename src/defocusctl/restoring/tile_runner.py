"""One tile through the network: from the photo's pixels to the change of each, on any device and precision.

Photo pixels are (H, W, C), C = 1 for grey and 3 for red, green, blue; tiles are (C, h, w) float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from defocusctl.geometry import Box, Size
from defocusctl.photo import Photo
from defocusctl.restoring.backends.engine import Engine
from defocusctl.restoring.tiles import Floats

GROSS_SHIFT = 0.15
"""Mean change of a colour over a tile, of full scale, that no deblurring makes: it moves light around."""


@dataclass(frozen=True)
class TileResult:
    """What the network changes in a tile, (3, h, w) in units of full scale, and its maps, each (K, h/s, w/s).

    ``rejected`` says why the network's answer was not used; the change is then zero.
    """

    change: Floats
    coefficients: Mapping[str, Floats]
    rejected: str | None


class TileRunner:
    """An engine that is fed with tiles."""

    def __init__(self, engine: Engine, *, clip: bool) -> None:
        self._engine = engine
        self._range = (0.0, 1.0) if clip else (-inf, inf)

    def run(self, photos: Sequence[Photo], box: Box) -> list[TileResult]:
        """Restore the tile that ``box`` cuts from each reflected photo, together, all of them of one size.

        A tile fails if the answer is not finite or a colour's mean is shifted grossly; it is then restored
        again by itself in float32.
        """
        tiles = [read_tile(photo.pixels, photo.full_scale, box) for photo in photos]
        images = np.stack([np.broadcast_to(tile, (3, *tile.shape[1:])) for tile in tiles])
        results = self._predict(images, exactly=False)
        for i, result in enumerate(results):
            if result.rejected and self._engine.has_exact:
                results[i] = self._predict(images[i : i + 1], exactly=True)[0]
        return results

    def _predict(self, images: Floats, *, exactly: bool) -> list[TileResult]:
        """The change of each of (B, 3, h, w) images; zero everywhere if it must be rejected."""
        restored, coefficients = self._engine.predict(images, exactly=exactly)
        changes = np.clip(restored, *self._range) - images
        results = []
        for i, change in enumerate(changes):
            maps = {name: values[i] for name, values in coefficients.items()}
            rejected = _reason_to_reject(restored[i], change)
            if rejected:
                change = np.zeros_like(change)
                maps = {name: np.nan_to_num(values) for name, values in maps.items()}
            results.append(TileResult(change, maps, rejected))
        return results


def read_tile(pixels: npt.NDArray[Any], full_scale: float, box: Box) -> Floats:
    """The (C, h, w) part of a photo in [0, 1]; what lies around it is its reflection.

    The edge is not repeated. A photo too small for its reflection to fill the box goes on with the last pixel
    of the reflection.
    """
    height, width, _ = pixels.shape
    if box == box.within(Size(height, width)):
        inside = pixels[box.slices]
    else:
        rows, columns = _reflected(box.top, box.bottom, height), _reflected(box.left, box.right, width)
        inside = pixels[rows[:, None], columns]
    tile = np.array(inside.transpose(2, 0, 1), dtype=np.float32, order="C")  # always a copy
    tile /= np.float32(full_scale)
    return np.clip(tile, 0.0, 1.0, out=tile)


def _reflected(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    index = np.abs(np.arange(start, stop))
    return np.where(index < length, index, np.maximum(2 * (length - 1) - index, 0))


def _reason_to_reject(restored: Floats, change: Floats) -> str | None:
    if not np.isfinite(restored).all():
        return "the network's answer is not finite"
    if np.abs(change.mean(axis=(1, 2))).max() > GROSS_SHIFT:
        return "the network shifts the colours grossly"
    return None
