"""Names of backend, device and precision -> an engine that is as fast as it can be on this machine.

Processors differ: the memory layout that suits one slows another down, and bfloat16 pays only where the
processor computes in it. So this is measured once per machine and network, and remembered. One case is clear
without measuring: with AVX2 but not AVX-512, NNPACK is fastest.
"""

import json
import os
import platform
import time
from contextlib import suppress
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from defocusctl.errors import DeviceError, OutputError
from defocusctl.models.fast_layers import nnpack_helps
from defocusctl.models.prediction import Network
from defocusctl.restoring.engines import Engine, GraphEngine, TorchEngine, missing_extra
from defocusctl.system import paths
from defocusctl.system.atomic import atomic_write
from defocusctl.system.devices import PRECISIONS, choose_device, choose_precision
from defocusctl.system.threads import torch_threads

EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}  # the extras that install the backends' packages
SWITCH = "DEFOCUSCTL_PROBE"  # environment variable; "off" computes as by default, without measuring
SIDE = 128  # pixels; large enough to rank the ways
RUNS = 2  # after one to warm up
MEASURED = ("channels_last", "nchw")
MARGIN = 0.9  # another way than the default must take less than this share of its time


def check_backend(backend: str, device: str, precision: str) -> None:
    """Refuse what a backend cannot do before spending a minute on exporting a graph.

    Raises:
        DeviceError: if its package is not installed, or it does not support the device or precision.
    """
    if backend == "torch":
        return
    if device not in ("auto", "cpu") or precision not in ("auto", "fp32"):
        cause = f"the backend {backend} runs only on the CPU and in fp32"
        raise DeviceError(cause, "leave out --device and --precision, or use --backend torch")
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
    assert graph is not None
    return GraphEngine(backend, network, graph), torch.device("cpu")


class Way(NamedTuple):
    """A precision, and a layout of ``LAYOUTS``."""

    precision: str
    layout: str


def fastest_way(network: Network, device: torch.device, precision: str) -> Way:
    """How to compute with ``precision``, which is measured on most CPUs if it is ``auto``.

    Raises:
        DeviceError: if the device does not have the precision.
    """
    default = Way(choose_precision(precision, device), "nchw" if device.type == "mps" else "channels_last")
    capability = torch.backends.cpu.get_cpu_capability()
    avx2 = device.type == "cpu" and capability == "AVX2"
    if avx2 and default.precision == "fp32" and nnpack_helps(network):
        return Way("fp32", "nnpack")
    if device.type != "cpu" or precision != "auto" or os.environ.get(SWITCH) == "off":
        return default
    processor = " ".join(filter(None, (platform.machine(), platform.processor(), capability)))
    key = f"{processor}, PyTorch {torch.__version__}, {network.name} {network.config}"
    remembered = _remembered()
    if key not in remembered:
        remembered[key] = _measured(network, device, default)
        with suppress(OSError, OutputError):  # without a writable cache, it is measured again
            _file().parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(_file(), force=True) as file:
                file.write(json.dumps(remembered, indent=1).encode())
    return remembered[key]


def _measured(network: Network, device: torch.device, default: Way) -> Way:
    ways = {Way(precision, layout) for precision in (default.precision, "fp32") for layout in MEASURED}
    seconds = {way: _seconds(network, device, way) for way in sorted(ways)}
    fastest = min(seconds, key=seconds.__getitem__)
    return fastest if seconds[fastest] < MARGIN * seconds[default] else default


def _seconds(network: Network, device: torch.device, way: Way) -> float:
    """The processor time that one thread takes for a tile; other programs' work does not count."""
    engine = TorchEngine(deepcopy(network), device, *way)
    tile = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    runs = []
    with torch_threads(1):
        for _ in range(1 + RUNS):
            started = time.thread_time()
            engine.predict(tile)
            runs.append(time.thread_time() - started)
    return min(runs)


def _file() -> Path:
    return paths.cache_dir() / "fastest.json"


def _remembered() -> dict[str, Way]:
    """What was measured before; nothing if the file is not there or damaged."""
    try:
        found = json.loads(_file().read_bytes())
        ways = {key: Way(*way) for key, way in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {key: way for key, way in ways.items() if way.precision in PRECISIONS and way.layout in MEASURED}
