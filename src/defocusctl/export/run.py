"""Exports weights to one file; a file that fails its check is not kept."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad

from defocusctl.errors import OutputError, UsageError
from defocusctl.export.comparison import PHOTO, Comparison, Consumer, compare
from defocusctl.export.description import GRAPH_METADATA, describe
from defocusctl.export.graph import STEP, PhotoGraph
from defocusctl.export.onnx_file import DEFAULT_OPSET, check_opset, write_onnx
from defocusctl.export.program import read_program, write_program
from defocusctl.models.prediction import Network
from defocusctl.restoring.backends.onnx_runtime import OnnxRuntimeGraph
from defocusctl.restoring.tiles import Floats
from defocusctl.system.atomic import publish, write_error
from defocusctl.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from defocusctl.weights.resolve import ResolvedWeights

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
"""The formats and their suffixes."""

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class ExportSettings:
    """What to export. ``opset`` is for ONNX, ``coefficients`` adds them to a graph's outputs.

    ``photos`` are used to compare the export with the network.

    Raises:
        UsageError: if the settings are invalid or conflict.
    """

    format: str = "onnx"
    precision: str = "fp32"
    opset: int | None = None
    coefficients: bool = False
    photos: Sequence[Path] = (PHOTO,)

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise UsageError(f"'{self.format}' is not a format", f"use {', '.join(SUFFIXES)}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"'{self.precision}' is not for exports", f"use {', '.join(PRECISIONS)}")
        if self.opset is not None:
            if self.format != "onnx":
                raise UsageError(f"{self.format} files have no opset", "leave out --opset")
            check_opset(self.opset)
        if self.coefficients and self.format == "safetensors":
            raise UsageError("safetensors hold weights and no outputs", "leave out --coefficients")


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the network; ``as_json`` is what ``--json`` prints."""

    output: str
    description: dict[str, str]
    bytes: int
    comparison: Comparison

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def export_network(
    checkpoint: Checkpoint,
    weights: ResolvedWeights,
    target: Path,
    settings: ExportSettings,
    *,
    force: bool = False,
) -> Exported:
    """Write ``target``, after comparing it with the network under a temporary name.

    Raises:
        OutputError: if it cannot be written, is an input, or does not agree with the network; no file is
            created then.
        DeviceError: if a package from an extra is missing.
        InputError: if a photo to compare on cannot be used.
        UsageError: for a float16 graph of a network that does not declare what may be float16.
        ModelError: if a package's network cannot be exported or fails.
    """
    suffix = SUFFIXES[settings.format]
    if target.suffix.lower() != suffix:
        raise OutputError(f"'{target}' does not end in {suffix}", f"that is what {settings.format} files do")
    if target.exists() and not force:
        raise write_error(target, FileExistsError())
    if target.exists() and any(
        read.exists() and target.samefile(read) for read in (weights.path, *settings.photos)
    ):
        raise OutputError(f"'{target}' is an input itself", "give another name with -o")
    if settings.precision == "fp16" and settings.format != "safetensors":
        _check_can_be_halved(checkpoint.model)
    description = describe(weights, checkpoint.metadata, settings.precision)
    if settings.format != "safetensors":
        description |= GRAPH_METADATA
    if settings.format == "onnx":
        description["opset"] = str(settings.opset or DEFAULT_OPSET)
    try:
        with tempfile.TemporaryDirectory(prefix=".defocusctl-", dir=target.parent) as folder:
            staged = Path(folder) / f"export{suffix}"
            consumer = _write(checkpoint, description, staged, settings)
            comparison = compare(
                consumer,
                checkpoint,
                settings.photos,
                settings.precision,
                coefficients=settings.coefficients,
            )
            size = staged.stat().st_size
            publish(staged, target, force=force)
    except OSError as error:
        raise write_error(target, error) from error
    return Exported(str(target), description, size, comparison)


def _write(
    checkpoint: Checkpoint, description: dict[str, str], path: Path, settings: ExportSettings
) -> Consumer:
    """Write ``path`` and load it again with the program that it is for."""
    if settings.format == "safetensors":
        save_checkpoint(path, checkpoint.model, checkpoint.metadata, dtype=PRECISIONS[settings.precision])
        network = load_checkpoint(path, model_name=checkpoint.metadata.model).model
        return _network_consumer(network)
    graph = PhotoGraph(checkpoint.model, coefficients=settings.coefficients, precision=settings.precision)
    if settings.format == "onnx":
        write_onnx(graph, description, int(description["opset"]), path)
        return OnnxRuntimeGraph(path).run
    write_program(graph, description, path)
    return _module_consumer(read_program(path))


def _check_can_be_halved(network: Network) -> None:
    if not network.half_precision:
        raise UsageError(
            f"{network.name} does not declare which layers may be float16", "leave out --precision"
        )


def _network_consumer(network: Network) -> Consumer:
    @torch.inference_mode()
    def run(photo: Floats) -> list[Floats]:
        height, width = photo.shape[-2:]
        extended = pad(torch.from_numpy(photo), (0, -width % STEP, 0, -height % STEP), mode="reflect")
        return [network(extended).image[..., :height, :width].numpy()]

    return run


def _module_consumer(module: torch.nn.Module) -> Consumer:
    @torch.inference_mode()
    def run(photo: Floats) -> list[Floats]:
        return [output.numpy() for output in module(torch.from_numpy(photo))]

    return run
