"""File -> network, network -> file.

This program's files are safetensors, described by their metadata. The authors' pickles are read with
``weights_only`` (code in them is refused), converted once into the cache, and loaded from there afterwards.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from defocusctl.errors import OutputError, WeightsError
from defocusctl.models.catalogue import ESTIMATORS, NETWORKS, model_class, network_errors
from defocusctl.models.plugins import model_names
from defocusctl.models.prediction import Model, Network
from defocusctl.models.shape_check import Builder, built_without_numbers
from defocusctl.models.upstream_keys import from_upstream, recognise
from defocusctl.system.atomic import atomic_write
from defocusctl.weights.cache import converted_file, source_of
from defocusctl.weights.checksums import Checksum, checked_metadata, with_content_checksum
from defocusctl.weights.metadata import WeightsMetadata
from defocusctl.weights.registry import PICKLE_SUFFIXES, WEIGHT_SUFFIXES, WeightsEntry, load_registry

WRAPPERS = ("params_ema", "params", "state_dict", "model")  # where training scripts nest state dicts
ModelT = TypeVar("ModelT", bound=Model)
TRAINING_STATE = {"recipe", "step", "network", "ema"}  # a key in the checkpoint.pt of `defocusctl train`


@dataclass(frozen=True)
class Checkpoint:
    """A float32 network for RGB images, on the CPU, in evaluation mode, and the metadata of its weights."""

    model: Network
    metadata: WeightsMetadata


def load_checkpoint(path: Path, *, model_name: str | None = None) -> Checkpoint:
    """The network in the file at ``path``: this program's safetensors, or a ``.pth`` of the authors.

    Raises:
        WeightsError: if the file is missing, damaged, contains code, or is for a network other than
            ``model_name``.
        ModelError: if the network's package is broken.
    """
    suffix = path.suffix.lower()
    if suffix not in WEIGHT_SUFFIXES:
        cause = f"{path} is not a weights file"
        raise WeightsError(cause, f"give one ending in {', '.join(WEIGHT_SUFFIXES)}")
    with _reading(path):
        checkpoint = _load_pickle(path) if suffix in PICKLE_SUFFIXES else _load_safetensors(path)
    if model_name is not None and checkpoint.metadata.model != model_name:
        found = checkpoint.metadata.model
        cause = f"{path} holds weights of {found}, not {model_name}"
        raise WeightsError(cause, f"use the model {found}, or other weights")
    return checkpoint


def load_model(path: Path, kind: type[ModelT]) -> ModelT:
    """The network of the class ``kind`` in a safetensors file of this program, float32, in evaluation mode.

    Raises:
        WeightsError: if the file is missing, damaged or of another network.
    """
    with _reading(path):
        network, _, _ = _read_safetensors(path)
    if not isinstance(network, kind):
        raise WeightsError(f"{path} holds weights of {network.name}, not {kind.name}", "check the path")
    return network


def save_checkpoint(path: Path, model: Model, metadata: WeightsMetadata, *, dtype: torch.dtype) -> None:
    """Write ``model`` to the safetensors file ``path``, whole or not at all, its floats as ``dtype``.

    Raises:
        OutputError: if the file cannot be written.
    """
    tensors = {
        key: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for key, tensor in model.state_dict().items()
    }
    with atomic_write(path, force=True) as handle:
        handle.write(with_content_checksum(safetensors.torch.save(tensors, metadata.texts())))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"cannot read the weights {path} ({error.strerror or error})"
        raise WeightsError(cause, "check the path") from error


def _load_safetensors(path: Path) -> Checkpoint:
    network, metadata, channel_order = _read_safetensors(path)
    if not isinstance(network, Network):
        cause = f"{path} holds weights of {network.name}, which does not restore photos"
        raise WeightsError(cause, f"give those of {', '.join(model_names())}")
    return _for_rgb(network, metadata, channel_order)


def _read_safetensors(path: Path) -> tuple[Model, WeightsMetadata, str]:
    """The network in a file, what is known about its weights, and their channel order."""
    content = path.read_bytes()
    try:
        texts = checked_metadata(content)
        state = safetensors.torch.load(content)
    except (ValueError, safetensors.SafetensorError) as error:
        cause = f"the weights {path} are damaged ({error})"
        raise WeightsError(cause, "remove the file and get it again") from error
    metadata = WeightsMetadata.from_texts(texts, path)
    network = _network_with(metadata.model, state, path, metadata.configuration)
    with network_errors(metadata.model):
        configuration = json.loads(json.dumps(asdict(network.config)))  # tuples become lists, as in the file
    for key, value in metadata.configuration.items():
        if configuration.get(key) != value:
            cause = f"{path} says {key} = {value}, but its tensors say {configuration.get(key)}"
            raise WeightsError(cause, "get the file again")
    return network, metadata, texts["channel_order"]


def _for_rgb(network: Network, metadata: WeightsMetadata, channel_order: str) -> Checkpoint:
    if channel_order == "BGR":
        with network_errors(network.name):
            network.reverse_colours()
    return Checkpoint(network, metadata)


def _load_pickle(path: Path) -> Checkpoint:
    entry = load_registry().with_checksum(path)
    checksum = entry.checksum if entry and entry.checksum.is_full else Checksum.of_file(path, "sha256")
    converted = converted_file(checksum)
    if converted.is_file():
        with suppress(WeightsError):  # a damaged conversion is redone
            return _load_safetensors(converted)
    checkpoint = _converted(path, entry, checksum)
    with suppress(OSError, OutputError):  # without a writable cache, the next run converts again
        converted.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(converted, checkpoint.model, checkpoint.metadata, dtype=torch.float32)
    return checkpoint


def _converted(path: Path, entry: WeightsEntry | None, checksum: Checksum) -> Checkpoint:
    state = _state_dict_in(path)
    model = recognise(state)
    if model is None:
        known = " or ".join(NETWORKS)
        remedy = "give one that the authors released; those of other networks are .safetensors"
        raise WeightsError(f"{path} is not a checkpoint of {known}", remedy)
    try:
        ours = from_upstream(model, state)
    except KeyError as error:
        cause = f"{path} looks like {model}, but has the unknown tensor {error}"
        raise WeightsError(cause, "give an unchanged release") from error
    network = _network_with(model, ours, path, {})
    assert isinstance(network, Network)
    configuration = asdict(network.config)
    described = dict(entry.configuration or {}) if entry else {}
    if entry and not described.items() <= configuration.items():
        cause = f"{path} has the configuration {configuration}, not the one of {entry.label}"
        raise WeightsError(cause, "fix the entry")
    metadata = WeightsMetadata.of_network(
        network,
        source=source_of(entry, path) if entry else path.name,
        licence=entry.licence if entry else "unknown",
        trained_on=entry.trained_on if entry else "unknown",
        digest=str(checksum),
    )
    return _for_rgb(network, metadata, entry.channel_order if entry else "BGR")


def _state_dict_in(path: Path) -> dict[str, Tensor]:
    """The tensors in the pickle at ``path``, perhaps nested under one of ``WRAPPERS``."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged pickles and archives raise almost anything
        if "global" in str(error).lower():
            cause = f"the pickle {path} carries code or objects that are not tensors, and was not opened"
            remedy = "do not use it; get weights from a source you trust, as .safetensors or a plain .pth"
        else:
            cause = f"{path} is not a PyTorch checkpoint, or is damaged"
            remedy = "get the file again"
        raise WeightsError(cause, remedy) from error
    if isinstance(content, dict) and content.keys() >= TRAINING_STATE:
        remedy = f"give {path.parent / 'weights.safetensors'}, which the run writes at its end"
        raise WeightsError(f"{path} is the state of a training run, not weights", remedy)
    if isinstance(content, dict):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise WeightsError(f"{path} holds no state dict", "give a file with a network's tensors by name")
    for key, tensor in content.items():
        if not _holds_all_its_numbers(tensor):
            cause = f"{path} declares more numbers for {key} than it holds"
            raise WeightsError(cause, "give an unchanged release")
    return content


def _holds_all_its_numbers(tensor: Tensor) -> bool:
    """False for sparse tensors, tensors without storage, and expanded ones that repeat a few numbers."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _network_with(
    model: str, state: Mapping[str, Tensor], path: Path, configuration: Mapping[str, Any]
) -> Model:
    """The network with the sizes and tensors of ``state`` (our key names), in float32.

    Of ``configuration`` it takes what shapes do not show.
    """
    if model not in (known := (*model_names(), *ESTIMATORS)):
        raise WeightsError(f"{path} holds weights of '{model}'", f"known networks: {', '.join(known)}")
    kind = model_class(model)
    build: Builder = partial(
        kind.from_state, **{key: configuration[key] for key in kind.choices if key in configuration}
    )
    with network_errors(model):
        try:
            network = built_without_numbers(build, state)
        except (KeyError, IndexError, RuntimeError, ValueError) as error:
            cause = f"{path} lacks the tensors of {model} ({error})"
            raise WeightsError(cause, "get the file again") from error
    expected = network.state_dict()
    for key in sorted(expected.keys() | state.keys()):
        found, needed = (list(of[key].shape) if key in of else "nothing" for of in (state, expected))
        if found != needed:
            cause = f"{path} is not {model}: {key} is {found} instead of {needed}"
            raise WeightsError(cause, "get the file again")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise WeightsError(f"{path} contains numbers that are not finite", "get the file again")
    with network_errors(model):
        own = {key: tensor.to(expected[key].dtype, copy=True) for key, tensor in state.items()}
        network.load_state_dict(own, assign=True)
        if any(tensor.is_meta for tensor in network.buffers()):  # those that are not in the file
            network = build(state)
            network.load_state_dict(state)
        return network.float().eval()
