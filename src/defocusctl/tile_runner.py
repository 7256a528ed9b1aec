"""One tile through the network: from the photo's pixels to the change of each, on any device and precision.

Photo pixels are (H, W, C), C = 1 for grey and 3 for red, green, blue; tiles are (C, h, w) float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defocusctl.devices import PRECISIONS
from defocusctl.errors import ModelError
from defocusctl.geometry import Box
from defocusctl.models.inference import for_inference
from defocusctl.models.prediction import Network, Prediction
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
    """The network, moved to its device and made ready for inference once."""

    def __init__(
        self,
        network: Network,
        channel_order: str,
        device: torch.device,
        precision: str,
        *,
        clip: bool,
    ) -> None:
        if sorted(channel_order.upper()) != sorted("RGB"):
            raise ValueError(f"channel order {channel_order!r}")
        self._device = device
        self._precision = PRECISIONS[precision]
        self._order = ["RGB".index(colour) for colour in channel_order.upper()]
        self._back = [channel_order.upper().index(colour) for colour in "RGB"]
        self._range = (0.0, 1.0) if clip else (-inf, inf)
        self._network = for_inference(network, device)

    def run(self, pixels: npt.NDArray[Any], full_scale: float, box: Box) -> TileResult:
        """Restore the tile that ``box`` cuts from the padded photo, in float32 if the chosen precision fails.

        A tile fails if the answer is not finite or a colour's mean is shifted grossly.
        """
        tile = read_tile(pixels, full_scale, box)
        image = torch.from_numpy(tile).to(self._device).expand(3, -1, -1)[self._order].unsqueeze(0)
        result = self._predict(image, self._precision)
        if result.rejected and self._precision is not torch.float32:
            result = self._predict(image, torch.float32)
        if len(tile) == 3:
            return TileResult(result.change[self._back], result.coefficients, result.rejected)
        return TileResult(result.change.mean(axis=0, keepdims=True), result.coefficients, result.rejected)

    def _answer(self, image: Tensor) -> Prediction:
        answer = self._network(image)
        if not isinstance(answer, Prediction):
            wrong = f"answers with a {type(answer).__name__}, not a Prediction"
        elif answer.image.shape != image.shape:
            wrong = f"makes {tuple(answer.image.shape)} of an image {tuple(image.shape)}"
        elif answer.image.dtype is not torch.float32:
            wrong = f"answers in {answer.image.dtype}, which rounds the image"
        else:
            return answer
        raise ModelError(f"the network '{self._network.name}' {wrong}", "mend or uninstall its package")

    @torch.inference_mode()
    def _predict(self, image: Tensor, precision: torch.dtype) -> TileResult:
        """The change of a (1, 3, h, w) image; zero everywhere if it must be rejected."""
        layout = torch.contiguous_format if self._device.type == "mps" else torch.channels_last
        reduced = precision is not torch.float32
        with torch.autocast(self._device.type, dtype=precision if reduced else None, enabled=reduced):
            restored, coefficients = self._answer(image.contiguous(memory_format=layout))
        change = (restored.clamp(*self._range) - image)[0]
        rejected = _reason_to_reject(restored, change)
        if rejected:
            change = torch.zeros_like(change)
            coefficients = {name: torch.nan_to_num(maps) for name, maps in coefficients.items()}
        return TileResult(
            _to_host(change), {name: _to_host(maps[0]) for name, maps in coefficients.items()}, rejected
        )


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


def _reason_to_reject(restored: Tensor, change: Tensor) -> str | None:
    if not torch.isfinite(restored).all():
        return "the network's answer is not finite"
    if change.mean(dim=(1, 2)).abs().max() > GROSS_SHIFT:
        return "the network shifts the colours grossly"
    return None


def _to_host(values: Tensor) -> Floats:
    array: Floats = values.float().contiguous().cpu().numpy()
    return array
