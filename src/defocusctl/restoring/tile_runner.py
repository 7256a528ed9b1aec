"""Runs the network on one tile: from pixels to the change of each, on any device and at any precision.

Photo pixels are (H, W, C) with C = 1 (grey) or 3 (RGB); tiles are (C, h, w) float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.engines import Engine
from defocusctl.restoring.tiles import Floats

GROSS_SHIFT = 0.15  # mean change of a colour over a tile, of full scale, that cannot be deblurring


@dataclass(frozen=True)
class TileResult:
    """The network's change of a tile, (3, h, w) as fractions of full scale, and its maps, each (K, h/s, w/s).

    ``rejected`` says why the network's output was not used; the change is then zero.
    """

    change: Floats
    coefficients: Mapping[str, Floats]
    rejected: str | None


class TileRunner:
    """Feeds tiles to an engine."""

    def __init__(self, engine: Engine, *, clip: bool) -> None:
        self._engine = engine
        self._range = (0.0, 1.0) if clip else (-inf, inf)

    def run(self, photos: Sequence[Photo], box: Box) -> list[TileResult]:
        """Restore the tile ``box`` of each photo (all of one size) in one batch.

        A tile fails if the output is not finite or the mean of a colour shifts grossly; it is then restored
        again on its own in float32.
        """
        tiles = [read_tile(photo.pixels, photo.full_scale, box) for photo in photos]
        images = np.stack([np.broadcast_to(tile, (3, *tile.shape[1:])) for tile in tiles])
        results = self._predict(images, exactly=False)
        for i, result in enumerate(results):
            if result.rejected and self._engine.precision != "fp32":
                results[i] = self._predict(images[i : i + 1], exactly=True)[0]
        return results

    def _predict(self, images: Floats, *, exactly: bool) -> list[TileResult]:
        """The change of each of (B, 3, h, w) images; zero for rejected ones."""
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
    """The (C, h, w) part of a photo in [0, 1]; outside the photo, its reflection.

    The edge pixel is not repeated. If a small photo's reflection does not fill the box, its last pixel does.
    """
    height, width, _ = pixels.shape
    if box == box.within(Size(height, width)):
        inside = pixels[box.slices]
    else:
        rows, columns = reflected(box.top, box.bottom, height), reflected(box.left, box.right, width)
        inside = pixels[rows[:, None], columns]
    tile = np.array(inside.transpose(2, 0, 1), dtype=np.float32, order="C")  # always a copy
    tile /= np.float32(full_scale)
    return np.clip(tile, 0.0, 1.0, out=tile)


def reflected(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    """The rows (or columns) of an image of ``length`` that stand for ``start`` to ``stop - 1``."""
    index = np.abs(np.arange(start, stop))
    return np.where(index < length, index, np.maximum(2 * (length - 1) - index, 0))


def _reason_to_reject(restored: Floats, change: Floats) -> str | None:
    if not np.isfinite(restored).all():
        return "the network's output is not finite"
    if np.abs(change.mean(axis=(1, 2))).max() > GROSS_SHIFT:
        return "the network shifts the colours grossly"
    return None
