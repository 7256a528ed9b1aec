"""PyTorch, on any of its devices and in any precision."""

import torch
from torch import Tensor

from defocusctl.backends.engine import Answer
from defocusctl.devices import PRECISIONS
from defocusctl.models.inference import for_inference
from defocusctl.models.prediction import Network
from defocusctl.tiling import Floats


class TorchEngine:
    """A network, moved to its device and made ready for inference once."""

    def __init__(self, network: Network, device: torch.device, precision: str) -> None:
        self.precision = precision
        self.bytes_per_pixel = network.bytes_per_pixel
        self.has_exact = precision != "fp32"
        self._device = device
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        self._network = for_inference(network, device)

    @torch.inference_mode()
    def predict(self, tile: Floats, *, exactly: bool = False) -> Answer:
        """See ``Engine``."""
        image = torch.from_numpy(tile).to(self._device).unsqueeze(0)
        reduced = self.has_exact and not exactly
        precision = PRECISIONS[self.precision] if reduced else None
        with torch.autocast(self._device.type, dtype=precision, enabled=reduced):
            restored, coefficients = self._network(image.contiguous(memory_format=self._layout))
        return Answer(_to_host(restored), {name: _to_host(maps) for name, maps in coefficients.items()})


def _to_host(batch: Tensor) -> Floats:
    array: Floats = batch[0].float().contiguous().cpu().numpy()
    return array
