"""ONNX Runtime, on the CPU."""

from collections.abc import Sequence
from pathlib import Path

import torch

from defocusctl.restoring.backends.engine import missing_extra
from defocusctl.restoring.tiles import Floats


class OnnxRuntimeGraph:
    """An exported graph in ONNX Runtime, with as many threads as PyTorch would use.

    It keeps no memory between runs: the C library's allocator does (``devices.keep_freed_memory``), and can
    release it when a smaller tile is needed.

    Raises:
        DeviceError: if ONNX Runtime is not installed.
        WeightsError: if it cannot run the graph in the file.
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
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self._input = self._session.get_inputs()[0].name

    def run(self, photo: Floats) -> Sequence[Floats]:
        """(B, 3, H, W) -> the arrays called ``outputs``."""
        outputs: Sequence[Floats] = self._session.run(None, {self._input: photo})
        return outputs
