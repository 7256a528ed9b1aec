"""An engine that runs an exported graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.engine import EngineOutput
from defocusctl.restoring.backends.onnx_runtime import OnnxRuntimeGraph
from defocusctl.restoring.backends.openvino_graph import OpenVinoGraph
from defocusctl.restoring.tiles import Floats

MEMORY = {"onnxruntime": 5, "openvino": 7}
"""Memory of a tile relative to ``Network.bytes_per_pixel``, measured; the larger ratio of both networks."""

OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "not enough memory", "out of memory")


class Graph(Protocol):
    """An ONNX file, loaded by a runtime."""

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the graph's outputs."""

    def run(self, photo: Floats) -> Sequence[Floats]:
        """(B, 3, H, W) -> the arrays called ``outputs``, the restored photo first."""


def open_graph(backend: str, path: Path) -> Graph:
    """Load the graph in the file ``path`` with the runtime ``backend``.

    Raises:
        DeviceError: if the runtime is not installed.
    """
    return OnnxRuntimeGraph(path) if backend == "onnxruntime" else OpenVinoGraph(path)


class GraphEngine:
    """Runs a float32 graph, so there is nothing more exact to fall back to."""

    precision = "fp32"
    has_exact = False

    def __init__(self, backend: str, network: Network, path: Path) -> None:
        self.bytes_per_pixel = MEMORY[backend] * network.bytes_per_pixel
        self._graph = open_graph(backend, path)

    def predict(self, tiles: Floats, *, exactly: bool = False) -> EngineOutput:
        """See ``Engine``."""
        del exactly
        try:
            restored, *coefficients = self._graph.run(tiles)
        except Exception as error:  # each runtime has its own exception classes
            if any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise
        names = self._graph.outputs[1:]
        return EngineOutput(restored, dict(zip(names, coefficients, strict=True)))
