"""Names of backend, device and precision -> an engine."""

from importlib.util import find_spec
from pathlib import Path

import torch

from defocusctl.errors import DeviceError
from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.engine import Engine, missing_extra
from defocusctl.restoring.backends.graph_engine import GraphEngine
from defocusctl.restoring.backends.probe import fastest_way
from defocusctl.restoring.backends.torch_engine import TorchEngine
from defocusctl.system.devices import choose_device

EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
"""The packages that backends need, and the extras that install them."""


def check_backend(backend: str, device: str, precision: str) -> None:
    """Refuse what a backend cannot do before spending a minute on exporting a graph.

    Raises:
        DeviceError: if its package is not installed, or it does not support the device or precision.
    """
    if backend == "torch":
        return
    if device not in ("auto", "cpu") or precision not in ("auto", "fp32"):
        raise DeviceError(
            f"the backend {backend} runs only on the CPU and in fp32",
            "leave out --device and --precision, or use --backend torch",
        )
    if find_spec(backend) is None:
        raise missing_extra(backend, EXTRAS[backend])


def open_engine(
    backend: str, network: Network, device: str, precision: str, graph: Path | None
) -> tuple[Engine, torch.device]:
    """The engine for ``network`` and its device. Backends other than ``torch`` run the exported ``graph``.

    Raises:
        DeviceError: if the device, the precision or the backend is not available.
    """
    if backend == "torch":
        chosen = choose_device(device)
        return TorchEngine(network, chosen, *fastest_way(network, chosen, precision)), chosen
    check_backend(backend, device, precision)
    if graph is None:
        raise ValueError(f"the backend {backend} needs an exported graph")
    return GraphEngine(backend, network, graph), torch.device("cpu")
