"""OpenVINO, on the CPU, in float32."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from defocusctl.restoring.backends.engine import missing_extra
from defocusctl.restoring.tiles import Floats


class OpenVinoGraph:
    """An exported graph in OpenVINO, with as many threads as PyTorch would use.

    By default, OpenVINO would compute in bfloat16 where the processor can, even the filtering.

    Raises:
        DeviceError: if OpenVINO is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import openvino
        except ImportError as error:
            raise missing_extra("openvino", "openvino") from error
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self._compiled = openvino.compile_model(path, "CPU", settings)
        self.outputs = tuple(output.get_any_name() for output in self._compiled.outputs)

    def run(self, photo: Floats) -> Sequence[Floats]:
        """(B, 3, H, W) -> the arrays called ``outputs``."""
        outputs = self._compiled(photo)
        return [np.array(outputs[name], dtype=np.float32) for name in self.outputs]
