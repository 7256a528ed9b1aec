"""An exported graph as what the tiler runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.engine import Answer
from defocusctl.restoring.backends.onnx_runtime import OnnxRuntimeGraph
from defocusctl.restoring.backends.openvino_graph import OpenVinoGraph
from defocusctl.restoring.tiles import Floats

MEMORY = {"onnxruntime": 2, "openvino": 3}
"""How many times the memory of PyTorch a tile takes, of both networks the larger, measured and rounded up."""

OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "not enough memory", "out of memory")


class Graph(Protocol):
    """An ONNX file in a program that runs it."""

    @property
    def outputs(self) -> Sequence[str]:
        """The names of its outputs."""

    def run(self, photo: Floats) -> Sequence[Floats]:
        """(B, 3, H, W) -> the arrays called ``outputs``, the restored photo first."""


def open_graph(backend: str, path: Path) -> Graph:
    """The graph in the file ``path`` in the program ``backend``.

    Raises:
        DeviceError: if that is not installed.
    """
    return OnnxRuntimeGraph(path) if backend == "onnxruntime" else OpenVinoGraph(path)


class GraphEngine:
    """A float32 graph; there is nothing more exact to fall back to."""

    precision = "fp32"
    has_exact = False

    def __init__(self, backend: str, network: type[Network], path: Path) -> None:
        self.bytes_per_pixel = MEMORY[backend] * network.bytes_per_pixel
        self._graph = open_graph(backend, path)

    def predict(self, tiles: Floats, *, exactly: bool = False) -> Answer:
        """See ``Engine``."""
        del exactly
        try:
            restored, *coefficients = self._graph.run(tiles)
        except Exception as error:  # both programs have errors of their own, and one for everything
            if any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise
        names = self._graph.outputs[1:]
        return Answer(restored, dict(zip(names, coefficients, strict=True)))
