"""``--weights`` -> a file: a registry name, a path, a file on the hub, or the default with fallback."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from defocusctl.errors import WeightsError
from defocusctl.weights.cache import converted_file, is_intact, source_of
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.download import ensure_file
from defocusctl.weights.hub import HUB, HubFile, OnProgress, cached_hub_file, hub_is_offline
from defocusctl.weights.registry import WEIGHT_SUFFIXES, Registry, WeightsEntry, load_registry


@dataclass(frozen=True)
class ResolvedWeights:
    """A weights file on this machine, and where it came from.

    ``checksum`` is that of the file as published: a converted checkpoint keeps that of the original. ``note``
    is a line for the user if these are not the first weights in the default order.
    """

    path: Path
    model: str
    name: str
    source: str
    checksum: Checksum
    note: str | None = None


def resolve_weights(
    model: str,
    spec: str | None,
    *,
    offline: bool,
    on_progress: OnProgress | None = None,
    registry: Registry | None = None,
) -> ResolvedWeights:
    """The weights that ``spec`` names for ``model``, downloaded if need be and allowed.

    ``spec`` is a name in the registry, a path, ``hf://owner/repo``, ``hf://owner/repo/file@revision``, or
    None for the first available entry in the default order. Only None falls back, and ``note`` then says so.

    Raises:
        WeightsError: if ``spec`` is none of these, or its file is not available.
    """
    registry = load_registry() if registry is None else registry
    if spec is None:
        return _first_available(registry.default_order(model), offline, on_progress)
    if spec.startswith(HUB):
        return _from_hub(model, spec, offline, on_progress)
    name, path = spec.removeprefix(f"{model}/"), Path(spec).expanduser()
    known = {entry.name for entry in registry.of_model(model)}
    looks_like_path = path.exists() or path.suffix.lower() in WEIGHT_SUFFIXES or len(path.parts) > 1
    if name not in known and looks_like_path:
        return _from_path(model, path)
    return _from_entry(registry.find(model, name), offline, on_progress)


def _first_available(
    order: Sequence[WeightsEntry], offline: bool, on_progress: OnProgress | None
) -> ResolvedWeights:
    failures: list[WeightsError] = []
    for entry in order:
        try:
            resolved = _from_entry(entry, offline, on_progress)
        except WeightsError as error:
            failures.append(error)
            continue
        if failures:
            reasons = "; ".join(failure.cause for failure in failures)
            return replace(resolved, note=f"using the weights {entry.label}, because {reasons}")
        return resolved
    raise WeightsError("; ".join(failure.cause for failure in failures), failures[0].remedy)


def _from_entry(entry: WeightsEntry, offline: bool, on_progress: OnProgress | None) -> ResolvedWeights:
    """The conversion of ``entry`` if there is an intact one, else its file as published."""
    path = converted_file(entry.checksum)
    try:
        is_converted = path.is_file() and is_intact(entry, path)
    except OSError:
        is_converted = False
    if not is_converted:
        path = ensure_file(entry, offline=offline, on_progress=on_progress)
    return ResolvedWeights(path, entry.model, entry.name, source_of(entry, path), entry.checksum)


def _from_hub(model: str, spec: str, offline: bool, on_progress: OnProgress | None) -> ResolvedWeights:
    try:
        file = HubFile.parse(spec)
    except ValueError as error:
        remedy = "write it like hf://owner/repo, or hf://owner/repo/weights.safetensors@main"
        raise WeightsError(str(error), remedy) from error
    path = cached_hub_file(file, on_progress, offline=offline or hub_is_offline())
    return ResolvedWeights(path, model, file.path, spec, Checksum.of_file(path, "sha256"))


def _from_path(model: str, path: Path) -> ResolvedWeights:
    try:
        checksum = Checksum.of_file(path, "sha256")
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path} ({error.strerror})", "check the path") from error
    return ResolvedWeights(path, model, path.name, str(path), checksum)
