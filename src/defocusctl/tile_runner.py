"""One tile through the network: from the photo's pixels to the change of each, on any device and precision.

Photo pixels are (H, W, C), C = 1 for grey and 3 for red, green, blue; tiles are (C, h, w) float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from defocusctl.backends.engine import Engine
from defocusctl.geometry import Box
from defocusctl.tiling import Floats

GROSS_SHIFT = 0.15
"""Mean change of a colour over a tile, of full scale, that no deblurring makes: it moves light around."""


@dataclass(frozen=True)
class TileResult:
    """What the network changes in a tile, (C, h, w) in units of full scale, and its maps, each (K, h/s, w/s).

    ``rejected`` says why the network's answer was not used; the change is then zero.
    """

    change: Floats
    coefficients: Mapping[str, Floats]
    rejected: str | None


class TileRunner:
    """An engine that is fed with tiles in the channel order of its weights."""

    def __init__(self, engine: Engine, channel_order: str, *, clip: bool) -> None:
        if sorted(channel_order.upper()) != sorted("RGB"):
            raise ValueError(f"channel order {channel_order!r}")
        self._engine = engine
        self._order = ["RGB".index(colour) for colour in channel_order.upper()]
        self._back = [channel_order.upper().index(colour) for colour in "RGB"]
        self._range = (0.0, 1.0) if clip else (-inf, inf)

    def run(self, pixels: npt.NDArray[Any], full_scale: float, box: Box) -> TileResult:
        """Restore the tile that ``box`` cuts from the padded photo, in float32 if the chosen precision fails.

        A tile fails if the answer is not finite or a colour's mean is shifted grossly.
        """
        tile = read_tile(pixels, full_scale, box)
        image = np.broadcast_to(tile, (3, *tile.shape[1:]))[self._order]
        result = self._predict(image, exactly=False)
        if result.rejected and self._engine.has_exact:
            result = self._predict(image, exactly=True)
        if len(tile) == 3:
            return TileResult(result.change[self._back], result.coefficients, result.rejected)
        return TileResult(result.change.mean(axis=0, keepdims=True), result.coefficients, result.rejected)

    def _predict(self, image: Floats, *, exactly: bool) -> TileResult:
        """The change of a (3, h, w) image; zero everywhere if it must be rejected."""
        restored, coefficients = self._engine.predict(image, exactly=exactly)
        change = np.clip(restored, *self._range) - image
        rejected = _reason_to_reject(restored, change)
        if rejected:
            change = np.zeros_like(change)
            coefficients = {name: np.nan_to_num(maps) for name, maps in coefficients.items()}
        return TileResult(change, coefficients, rejected)


def read_tile(pixels: npt.NDArray[Any], full_scale: float, box: Box) -> Floats:
    """The (C, h, w) part of a photo in [0, 1]; what lies below or right of it is its reflection.

    The edge is not repeated. A photo too small for its reflection to fill the box goes on with the last pixel
    of the reflection.
    """
    height, width, _ = pixels.shape
    inside = pixels[box.top : min(box.bottom, height), box.left : min(box.right, width)]
    if inside.shape[:2] != box.size:
        rows, columns = _reflected(box.top, box.bottom, height), _reflected(box.left, box.right, width)
        inside = pixels[rows[:, None], columns]
    tile = np.ascontiguousarray(inside.transpose(2, 0, 1), dtype=np.float32)
    tile /= np.float32(full_scale)
    return np.clip(tile, 0.0, 1.0, out=tile)


def _reflected(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    index = np.arange(start, stop)
    return np.where(index < length, index, np.maximum(2 * (length - 1) - index, 0))


def _reason_to_reject(restored: Floats, change: Floats) -> str | None:
    if not np.isfinite(restored).all():
        return "the network's answer is not finite"
    if np.abs(change.mean(axis=(1, 2))).max() > GROSS_SHIFT:
        return "the network shifts the colours grossly"
    return None
