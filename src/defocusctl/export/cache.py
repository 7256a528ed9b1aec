"""The graphs for backends other than PyTorch: exported once for each set of weights, then cached."""

from pathlib import Path

import torch
from filelock import FileLock

from defocusctl import __version__
from defocusctl.errors import OutputError
from defocusctl.export.run import ExportSettings, export_network
from defocusctl.system import paths
from defocusctl.weights.checkpoint import Checkpoint
from defocusctl.weights.resolve import ResolvedWeights

SETTINGS = ExportSettings(format="onnx", precision="fp32", coefficients=True)


def graph_file(weights: ResolvedWeights) -> Path:
    """The path of the graph of ``weights``."""
    made_by = f"{__version__}-rgb-torch{torch.__version__.partition('+')[0]}"
    name = f"{weights.model}-{weights.checksum.kind}-{weights.checksum.hex}-{made_by}.onnx"
    return paths.cache_dir() / "graphs" / name


def cached_graph(checkpoint: Checkpoint, weights: ResolvedWeights) -> Path:
    """The ONNX file of ``checkpoint`` in the cache, exported and checked if needed.

    Each version of this program and of PyTorch has its own file.

    Raises:
        DeviceError: if a package that exporting needs is missing.
        OutputError: if the cache cannot be written, or the graph does not agree with the network.
    """
    path = graph_file(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                export_network(checkpoint, weights, path, SETTINGS)
    except OSError as error:
        remedy = "check its permissions, or move the cache with DEFOCUSCTL_CACHE"
        raise OutputError(f"cannot use {path} ({error.strerror or error})", remedy) from error
    return path
