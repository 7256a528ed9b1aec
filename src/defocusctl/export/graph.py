"""The exported graph, a network that takes photos of any size and pads them itself, and its files.

Axes: B batch, C colour, H rows, W columns.
"""

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from defocusctl import __version__
from defocusctl.models.catalogue import network_errors
from defocusctl.models.constant_folding import with_constant_dictionary
from defocusctl.models.prediction import Network
from defocusctl.restoring.engines import missing_extra
from defocusctl.weights.metadata import WeightsMetadata
from defocusctl.weights.resolve import ResolvedWeights

LARGEST_SIDE = 1 << 16
LARGEST_BATCH = 1 << 12

INPUT = "photo"
OUTPUT = "restored"

DESCRIPTION = "description.json"  # the name of the metadata file inside the archive
EXAMPLE_SIDES = (50, 67)  # of the exporter's example: different, neither a multiple of 16

DEFAULT_OPSET = 18
OPSETS = range(17, 22)  # 18 is what PyTorch's exporter writes; the others are converted from it
AXES = ("batch", "channels", "height", "width")  # the names of the input's axes

SINCE_18 = {"Resize": ("antialias", "keep_aspect_ratio_policy"), "Split": ("num_outputs",)}
"""Attributes that opset 17 lacks, by operator; the exporter gives their defaults."""


class HalfPrecision(nn.Module):
    """A layer in float16, which converts its inputs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.half()

    def forward(self, *inputs: Tensor | list[Tensor]) -> Any:
        return self.layer(*([each.half() for each in x] if isinstance(x, list) else x.half() for x in inputs))


class PhotoGraph(nn.Module):
    """(B, 3, H, W) RGB photos in [0, 1] -> the restored ones, and coefficients.

    The photo is extended at the bottom and on the right by its reflection, to multiples of the network's
    ``multiple``. The restored one has the photo's size and is not clipped; the coefficients have the size of
    the extended photo.
    ``batch`` is how many photos an exported graph takes at once; None, any number, is slow to export.
    """

    def __init__(
        self, network: Network, *, coefficients: bool, precision: str, batch: int | None = None
    ) -> None:
        super().__init__()
        self.batch = batch
        self.network = with_constant_dictionary(copy.deepcopy(network))
        self.coefficient_names = network.coefficient_names if coefficients else ()
        if precision == "fp16":
            # Filtering stays float32, whose precision pixels need.
            for name in self.network.half_precision:
                self.network.set_submodule(name, HalfPrecision(self.network.get_submodule(name)))
        self.eval()

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        height, width = photo.shape[-2:]
        rows, columns = (_extended(length, self.network.multiple) for length in (height, width))
        extended = photo.index_select(2, rows).index_select(3, columns)
        image, coefficients = self.network(extended)
        restored = image[..., :height, :width]
        return (restored, *(coefficients[name] for name in self.coefficient_names))


def smallest_side(network: Network) -> int:
    """Side in pixels of the smallest photo for a graph: its reflection fills two multiples."""
    return network.multiple + 1


def _extended(length: int, multiple: int) -> Tensor:
    """The indices of rows or columns for reflection: all, then back from the last but one.

    The number of blocks comes from a tensor, so that the exporter treats it as a symbol of its own: it knows
    that halving and doubling 16 times a symbol are exact, but not for a formula with rounding.
    """
    blocks: Any = torch.scalar_tensor((length + multiple - 1) // multiple, dtype=torch.int64).item()
    torch._check(blocks >= 2)
    torch._check(blocks <= LARGEST_SIDE // multiple)
    torch._check(multiple * blocks >= length)
    index = torch.arange(multiple * blocks)
    return torch.where(index < length, index, 2 * (length - 1) - index)


def describe(weights: ResolvedWeights, metadata: WeightsMetadata, precision: str) -> dict[str, str]:
    """The metadata common to all formats, as valid Unicode, which names of files need not be."""
    values = {
        "model": metadata.model,
        "weights": weights.name,
        "weights_hash": str(weights.checksum),
        "licence": metadata.licence,
        "trained_on": metadata.trained_on,
        "channel_order": "RGB",
        "value_range": "0 to 1 in the photo's own encoding (sRGB, say); the result may leave it: clip it",
        "precision": precision,
        "software": f"defocusctl {__version__}",
    }
    return {key: value.encode(errors="backslashreplace").decode() for key, value in values.items()}


def describe_graph(network: Network, batch: int | None) -> dict[str, str]:
    """Additional metadata of files that contain the computation, for ``batch`` photos at once (None: any)."""
    return {
        "layout": "NCHW, float32",
        "batch": "any" if batch is None else str(batch),
        "sizes": f"height and width of {smallest_side(network)} pixels or more",
        "padding": "inside: by reflection at the bottom and on the right, to multiples of "
        f"{network.multiple}",
    }


def export_program(graph: PhotoGraph) -> ExportedProgram:
    """Trace ``graph`` once, for all sizes.

    Raises:
        ModelError: if a package's network cannot be traced.
    """
    smallest = smallest_side(graph.network)
    sizes = {
        0: graph.batch or Dim("batch", min=1, max=LARGEST_BATCH),
        2: Dim("height", min=smallest, max=LARGEST_SIDE),
        3: Dim("width", min=smallest, max=LARGEST_SIDE),
    }
    with network_errors(graph.network.name), torch.no_grad():
        return torch.export.export(
            graph,
            (torch.zeros(graph.batch or 2, 3, *EXAMPLE_SIDES),),
            dynamic_shapes={INPUT: sizes},
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def write_program(graph: PhotoGraph, texts: dict[str, str], path: Path) -> None:
    """Save the program, for ``torch.export.load``, with the description as an extra file."""
    torch.export.save(export_program(graph), path, extra_files={DESCRIPTION: json.dumps(texts)})


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
            opset_version=max(opset, DEFAULT_OPSET),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    name_axes(model)
    if opset < DEFAULT_OPSET:
        with network_errors(graph.network.name):
            lower_opset(model)
    model.producer_name = "defocusctl"
    onnx.helper.set_model_props(model, dict(texts))
    path.write_bytes(model.SerializeToString())


def name_axes(model: Any) -> None:
    """Give the free axes of an ONNX model's input their names, everywhere; the exporter numbers them."""
    graph = model.graph
    axes = zip(graph.input[0].type.tensor_type.shape.dim, AXES, strict=True)
    names = {axis.dim_param: name for axis, name in axes if axis.dim_param}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


def lower_opset(model: Any) -> None:
    """Turn an ONNX model of opset 18 into one of 17, which the converter of ``onnx`` cannot do.

    Raises:
        onnx.checker.ValidationError: if it uses what opset 17 cannot express.
    """
    import onnx

    for node in model.graph.node:
        kept = [each for each in node.attribute if each.name not in SINCE_18.get(node.op_type, ())]
        del node.attribute[:]
        node.attribute.extend(kept)
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = 17
    onnx.checker.check_model(model, full_check=True)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's messages about packages it does not need and its own deprecated calls."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
