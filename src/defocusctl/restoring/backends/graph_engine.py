"""An engine that runs an exported graph in ONNX Runtime or OpenVINO, on the CPU and in float32."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.engine import EngineOutput, missing_extra
from defocusctl.restoring.tiles import Floats

MEMORY = {"onnxruntime": 5, "openvino": 7}
"""Memory of a tile relative to ``Network.bytes_per_pixel``, measured; the larger ratio of both networks."""

OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "not enough memory", "out of memory")


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
        return EngineOutput(restored, dict(zip(names, coefficients, strict=True)))
