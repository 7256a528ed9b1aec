"""Exports weights to one file, kept only if it agrees with the network; graphs for backends are cached."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch.nn.functional import pad

from defocusctl import __version__
from defocusctl.errors import OutputError, UsageError
from defocusctl.export import darktable
from defocusctl.export.comparison import PHOTO, Comparison, Consumer, compare
from defocusctl.export.graph import (
    DEFAULT_OPSET,
    OPSETS,
    PhotoGraph,
    describe,
    describe_graph,
    write_onnx,
    write_program,
)
from defocusctl.models.prediction import Network
from defocusctl.restoring.engines import OnnxRuntimeGraph
from defocusctl.restoring.tiles import Floats
from defocusctl.system import paths
from defocusctl.system.atomic import publish, write_error
from defocusctl.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from defocusctl.weights.resolve import ResolvedWeights

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors", "dtmodel": ".dtmodel"}
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class ExportSettings:
    """What to export. ``opset`` is for ONNX, ``coefficients`` adds them to a graph's outputs.

    ``batch`` is how many photos a graph takes at once, None any number; darktable's takes one anyway.
    ``photos`` are used to compare the export with the network.

    Raises:
        UsageError: if the settings are invalid or conflict.
    """

    format: str = "onnx"
    precision: str = "fp32"
    opset: int | None = None
    coefficients: bool = False
    batch: int | None = None
    photos: Sequence[Path] = (PHOTO,)

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise UsageError(f"'{self.format}' is not a format", f"use {', '.join(SUFFIXES)}")
        if self.precision not in PRECISIONS:
            raise UsageError(f"'{self.precision}' is not for exports", f"use {', '.join(PRECISIONS)}")
        if self.opset is not None:
            if self.format != "onnx":
                raise UsageError("the opset can be chosen for ONNX files only", "leave out --opset")
            if self.opset not in OPSETS:
                raise UsageError(f"opset {self.opset} is not possible", f"use {OPSETS[0]} to {OPSETS[-1]}")
        if self.coefficients and self.format == "safetensors":
            raise UsageError("safetensors hold weights and no outputs", "leave out --coefficients")
        if self.coefficients and self.format == "dtmodel":
            raise UsageError("darktable takes networks with one output", "leave out --coefficients")

    @property
    def graph_batch(self) -> int | None:
        return darktable.BATCH if self.format == "dtmodel" else self.batch


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the network."""

    output: str
    description: dict[str, str]
    bytes: int
    comparison: Comparison


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
        raise OutputError(f"'{target}' does not end in {suffix}", "give such a name, or another --format")
    if target.exists() and not force:
        raise write_error(target, FileExistsError())
    inputs = (weights.path, *settings.photos)
    if target.exists() and any(path.exists() and target.samefile(path) for path in inputs):
        raise OutputError(f"'{target}' is an input itself", "give another name with -o")
    is_graph = settings.format != "safetensors"
    if is_graph and settings.precision == "fp16" and not checkpoint.model.half_precision:
        cause = f"{checkpoint.model.name} does not declare which layers may be float16"
        raise UsageError(cause, "leave out --precision")
    description = describe(weights, checkpoint.metadata, settings.precision)
    if is_graph:
        description |= describe_graph(checkpoint.model, settings.graph_batch)
    if settings.format == "onnx":
        description["opset"] = str(settings.opset or DEFAULT_OPSET)
    if settings.format == "dtmodel":
        description["opset"] = str(darktable.OPSET)
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
                batch=settings.graph_batch or 2,
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
    network = checkpoint.model
    if settings.format == "safetensors":
        save_checkpoint(path, network, checkpoint.metadata, dtype=PRECISIONS[settings.precision])
        return _network_consumer(load_checkpoint(path, model_name=checkpoint.metadata.model).model)
    graph = PhotoGraph(
        network, coefficients=settings.coefficients, precision=settings.precision, batch=settings.graph_batch
    )
    if settings.format == "torch-export":
        write_program(graph, description, path)
        return _module_consumer(torch.export.load(path).module())
    onnx = path.with_suffix(".onnx")
    write_onnx(graph, description, int(description["opset"]), onnx)
    if settings.format == "dtmodel":
        onnx = darktable.write_pack(path, onnx, network, description)
    return OnnxRuntimeGraph(onnx).run


def _network_consumer(network: Network) -> Consumer:
    @torch.inference_mode()
    def run(photo: Floats) -> list[Floats]:
        height, width = photo.shape[-2:]
        right, bottom = (-length % network.multiple for length in (width, height))
        extended = pad(torch.from_numpy(photo), (0, right, 0, bottom), mode="reflect")
        return [network(extended).image[..., :height, :width].numpy()]

    return run


def _module_consumer(module: torch.nn.Module) -> Consumer:
    @torch.inference_mode()
    def run(photo: Floats) -> list[Floats]:
        return [output.numpy() for output in module(torch.from_numpy(photo))]

    return run


def graph_file(weights: ResolvedWeights) -> Path:
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
                export_network(checkpoint, weights, path, ExportSettings(coefficients=True, batch=1))
    except OSError as error:
        remedy = "check its permissions, or move the cache with DEFOCUSCTL_CACHE"
        raise OutputError(f"cannot use {path} ({error.strerror or error})", remedy) from error
    return path
