"""A network as an ONNX file for any batch, height and width, with its description in ``metadata_props``."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from defocusctl.errors import UsageError
from defocusctl.export.description import INPUT, OUTPUT
from defocusctl.export.graph import PhotoGraph
from defocusctl.export.program import export_program
from defocusctl.models.plugin_faults import network_errors
from defocusctl.restoring.backends.engine import missing_extra

DEFAULT_OPSET = 18
OPSETS = range(18, 22)
"""18 is what PyTorch's exporter writes; later ones are converted from it."""


def check_opset(opset: int) -> None:
    """Check that ``opset`` is supported.

    Raises:
        UsageError: if it is not in ``OPSETS``.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} is not possible", f"use {OPSETS[0]} to {OPSETS[-1]}")


def write_onnx(graph: PhotoGraph, texts: Mapping[str, str], opset: int, path: Path) -> None:
    """Export ``graph`` and save it with ``texts`` as its metadata, in one file.

    Raises:
        DeviceError: if the packages that PyTorch's exporter needs are not installed.
        ModelError: if a package's network needs an operator that ONNX lacks.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx") from error
    with network_errors(graph.network.name), _quiet_exporter():
        program = torch.onnx.export(
            export_program(graph),
            input_names=[INPUT],
            output_names=[OUTPUT, *graph.coefficient_names],
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name = "defocusctl"
    onnx.helper.set_model_props(model, dict(texts))
    path.write_bytes(model.SerializeToString())


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's messages about packages it does not need and its own deprecated calls."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
