"""PyTorch, on any of its devices and in any precision."""

import torch
from torch import Tensor

from defocusctl.models.catalogue import broken
from defocusctl.models.fast_layers import for_inference
from defocusctl.models.plugin_faults import code_of
from defocusctl.models.plugins import plugin_of
from defocusctl.models.prediction import Network, Prediction
from defocusctl.restoring.backends.engine import Answer
from defocusctl.restoring.tiles import Floats
from defocusctl.system.devices import PRECISIONS


class TorchEngine:
    """A network, moved to its device and made ready for inference once."""

    def __init__(self, network: Network, device: torch.device, precision: str) -> None:
        self.precision = precision
        self.bytes_per_pixel = network.bytes_per_pixel
        self.has_exact = precision != "fp32"
        self._device = device
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        with code_of(network.name):
            self._network = for_inference(network, device)

    @torch.inference_mode()
    def predict(self, tiles: Floats, *, exactly: bool = False) -> Answer:
        """See ``Engine``."""
        images = torch.from_numpy(tiles).to(self._device)
        reduced = self.has_exact and not exactly
        precision = PRECISIONS[self.precision] if reduced else None
        with torch.autocast(self._device.type, dtype=precision, enabled=reduced):
            restored, coefficients = self._answer(images.contiguous(memory_format=self._layout))
        return Answer(_to_host(restored), {name: _to_host(maps) for name, maps in coefficients.items()})

    def _answer(self, images: Tensor) -> Prediction:
        with code_of(self._network.name):
            answer = self._network(images)
        if not isinstance(answer, Prediction):
            wrong = f"returns a {type(answer).__name__}, not a Prediction"
        elif answer.image.shape != images.shape:
            wrong = f"makes {tuple(answer.image.shape)} of images {tuple(images.shape)}"
        elif answer.image.dtype is not torch.float32:
            wrong = f"returns {answer.image.dtype}, which rounds the image"
        else:
            return answer
        raise broken(plugin_of(self._network.name), f"it {wrong}")


def _to_host(batch: Tensor) -> Floats:
    array: Floats = batch.float().contiguous().cpu().numpy()
    return array
