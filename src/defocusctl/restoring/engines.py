"""The engines that run a network: PyTorch, or its exported graph in ONNX Runtime or OpenVINO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from defocusctl.errors import DeviceError
from defocusctl.models.catalogue import broken, network_errors
from defocusctl.models.fast_layers import for_inference, use_nnpack
from defocusctl.models.plugins import plugin_of
from defocusctl.models.prediction import Network, Prediction
from defocusctl.restoring.tiles import Floats
from defocusctl.system.devices import PRECISIONS

GAPS = 2.3  # memory of a tile on a CPU relative to its tensors: they leave gaps that others do not fit into

LAYOUTS = {
    "channels_last": torch.channels_last,
    "nchw": torch.contiguous_format,
    "nnpack": torch.contiguous_format,  # and the convolutions that NNPACK can compute, in float32 only
}

MEMORY = {"onnxruntime": 5, "openvino": 7}
"""Memory of a tile relative to ``Network.bytes_per_pixel``, measured; the larger ratio of both networks."""

OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "not enough memory", "out of memory")


EngineOutput = tuple[Floats, Mapping[str, Floats]]
"""Restored tiles (B, 3, h, w), not clipped, and their maps, each (B, K, h/s, w/s)."""


class Engine(Protocol):
    """A network ready to run on any backend."""

    precision: str  # ``fp32``, ``bf16`` or ``fp16``: the precision of ``predict``
    bytes_per_pixel: int  # memory per pixel of a tile

    def predict(self, tiles: Floats, *, exactly: bool = False) -> EngineOutput:
        """Restore (B, 3, h, w) RGB tiles in [0, 1], h and w multiples of 16.

        With ``exactly``, it computes in float32 if the backend can.

        Raises:
            MemoryError: or another error that ``devices.is_out_of_memory`` recognises, if memory runs out.
            ModelError: if the network's output is not what ``Network`` requires.
        """


def missing_extra(package: str, extra: str) -> DeviceError:
    """The error for a request that needs the optional ``package``."""
    return DeviceError(f"{package} is not installed", f"run: pip install 'defocusctl[{extra}]'")


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
        return _to_host(restored), {name: _to_host(maps) for name, maps in coefficients.items()}

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


class OnnxRuntimeGraph:
    """An exported graph in ONNX Runtime, with as many threads as PyTorch would use.

    It keeps no memory between runs: the C library's allocator does (``devices.keep_freed_memory``), and can
    release it when a smaller tile is needed.

    Raises:
        DeviceError: if ONNX Runtime is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_extra("onnxruntime", "onnx") from error
        onnxruntime.set_default_logger_severity(4)  # errors are raised as exceptions anyway
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self._input = self._session.get_inputs()[0].name

    def run(self, photo: Floats) -> Sequence[Floats]:
        """(B, 3, H, W) -> the arrays called ``outputs``, the restored photo first."""
        outputs: Sequence[Floats] = self._session.run(None, {self._input: photo})
        return outputs


class OpenVinoGraph:
    """An exported graph in OpenVINO, with as many threads as PyTorch would use.

    By default, OpenVINO would compute in bfloat16 where the processor can, even the filtering.
    """

    def __init__(self, path: Path) -> None:
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self._compiled = openvino.compile_model(path, "CPU", settings)
        self.outputs = tuple(output.get_any_name() for output in self._compiled.outputs)

    def run(self, photo: Floats) -> Sequence[Floats]:
        """As ``OnnxRuntimeGraph.run``."""
        outputs = self._compiled(photo)
        return [np.array(outputs[name], dtype=np.float32) for name in self.outputs]


class GraphEngine:
    """Runs a float32 graph, so there is nothing more exact to fall back to."""

    precision = "fp32"

    def __init__(self, backend: str, network: Network, path: Path) -> None:
        self.bytes_per_pixel = MEMORY[backend] * network.bytes_per_pixel
        self._graph = OnnxRuntimeGraph(path) if backend == "onnxruntime" else OpenVinoGraph(path)

    def predict(self, tiles: Floats, *, exactly: bool = False) -> EngineOutput:
        del exactly
        try:
            restored, *coefficients = self._graph.run(tiles)
        except Exception as error:  # each runtime has its own exception classes
            if any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise
        names = self._graph.outputs[1:]
        return restored, dict(zip(names, coefficients, strict=True))
