"""PyTorch, on any of its devices and at any precision."""

import torch
from torch import Tensor

from defocusctl.models.catalogue import broken, network_errors
from defocusctl.models.fast_layers import for_inference, use_nnpack
from defocusctl.models.plugins import plugin_of
from defocusctl.models.prediction import Network, Prediction
from defocusctl.restoring.backends.engine import EngineOutput
from defocusctl.restoring.tiles import Floats
from defocusctl.system.devices import PRECISIONS

GAPS = 2.3
"""Memory of a tile on a CPU relative to its tensors: they leave gaps that others do not fit into."""

LAYOUTS = {
    "channels_last": torch.channels_last,
    "nchw": torch.contiguous_format,
    "nnpack": torch.contiguous_format,  # and the convolutions that NNPACK can compute, in float32 only
}


class TorchEngine:
    """Runs a network that is moved to its device and prepared for inference once."""

    def __init__(self, network: Network, device: torch.device, precision: str, layout: str) -> None:
        self.precision = precision
        self.bytes_per_pixel = round(network.bytes_per_pixel * (GAPS if device.type == "cpu" else 1))
        self._device = device
        self._layout = LAYOUTS[layout]
        with network_errors(network.name):
            self._network = for_inference(network, device, self._layout)
            if layout == "nnpack":
                use_nnpack(self._network)

    @torch.inference_mode()
    def predict(self, tiles: Floats, *, exactly: bool = False) -> EngineOutput:
        images = torch.from_numpy(tiles).to(self._device)
        reduced = self.precision != "fp32" and not exactly
        precision = PRECISIONS[self.precision] if reduced else None
        with torch.autocast(self._device.type, dtype=precision, enabled=reduced):
            restored, coefficients = self._run(images.contiguous(memory_format=self._layout))
        return EngineOutput(_to_host(restored), {name: _to_host(maps) for name, maps in coefficients.items()})

    def _run(self, images: Tensor) -> Prediction:
        with network_errors(self._network.name):
            output = self._network(images)
        if not isinstance(output, Prediction):
            wrong = f"returns a {type(output).__name__}, not a Prediction"
        elif output.image.shape != images.shape:
            wrong = f"returns {tuple(output.image.shape)} for images of {tuple(images.shape)}"
        elif output.image.dtype is not torch.float32:
            wrong = f"returns {output.image.dtype}, which rounds the image"
        else:
            return output
        raise broken(plugin_of(self._network.name), f"it {wrong}")


def _to_host(batch: Tensor) -> Floats:
    array: Floats = batch.float().contiguous().cpu().numpy()
    return array
