"""One photo in, one photo out: find weights, load the network, read, restore, write, draw what was asked for.

``deblur`` runs this for each of its inputs; whatever runs over many photos loads the network once and calls
``deblur_photo`` for each.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from defocusctl import __version__
from defocusctl.canvas import LARGEST_REDUCTION
from defocusctl.checkpoint import load_checkpoint
from defocusctl.coefmaps import map_paths, pictures_reduction, write_comparison, write_maps, write_maps_data
from defocusctl.errors import DeviceError, OutputError
from defocusctl.export.cache import cached_graph
from defocusctl.geometry import Box
from defocusctl.models.prediction import Network
from defocusctl.photo import (
    Photo,
    Provenance,
    check_writable_target,
    conversion_warnings,
    output_path,
    read_photo,
    write_photo,
)
from defocusctl.resolve import ResolvedWeights, resolve_weights
from defocusctl.restore import Restorer, RestoreReport, RestoreSettings
from defocusctl.transfer import OnProgress


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, ready on its device, and where the weights are from."""

    network: Network
    restorer: Restorer
    weights: ResolvedWeights
    trained_on: str


@dataclass(frozen=True)
class Outputs:
    """What to write besides the photo, and how. Paths that are None are not written."""

    quality: int | None = None
    force: bool = False
    maps: Path | None = None
    maps_data: Path | None = None
    compare: Path | None = None

    @property
    def wants_coefficients(self) -> bool:
        return self.maps is not None or self.maps_data is not None

    def pictures(self, stem: str, model: str) -> tuple[Path, ...]:
        """Every file that these options write for a result called ``stem``, beside the photo itself."""
        maps = [] if self.maps is None else map_paths(self.maps, stem, model)
        return (*maps, *(path for path in (self.maps_data, self.compare) if path is not None))


@dataclass(frozen=True)
class Deblurred:
    """What was done with one photo; ``as_json`` is the object that ``--json`` prints."""

    input: str
    output: str
    weights: ResolvedWeights
    settings: RestoreSettings
    report: RestoreReport
    region: Box | None
    pictures: tuple[Path, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        report = asdict(self.report)
        report.pop("warnings")
        return {
            "input": self.input,
            "output": self.output,
            "model": self.weights.model,
            "weights": {
                "name": self.weights.name,
                "source": self.weights.source,
                "hash": str(self.weights.digest),
                "note": self.weights.note,
            },
            "strength": self.settings.strength,
            "region": None if self.region is None else self.region.text,
            **report,
            "pictures": [str(path) for path in self.pictures],
            "warnings": list(self.warnings),
        }


def load_model(
    model: str,
    weights: str | None,
    settings: RestoreSettings,
    *,
    offline: bool,
    on_download: OnProgress | None = None,
) -> LoadedModel:
    """Find and verify the weights, build the network and bring it to its device.

    Raises:
        WeightsError: if the weights cannot be had or are not this model's.
        DeviceError: if there is no such device, or a package that the backend needs is missing.
        OutputError: if the graph that the backend needs cannot be exported.
    """
    resolved = resolve_weights(model, weights, offline=offline, on_progress=on_download)
    checkpoint = load_checkpoint(resolved.path, model_name=model)
    graph = None if settings.backend == "torch" else cached_graph(checkpoint, resolved)
    restorer = Restorer(checkpoint.model, checkpoint.metadata.channel_order, settings, graph)
    return LoadedModel(checkpoint.model, restorer, resolved, checkpoint.metadata.trained_on)


def target_of(source: Path, output: Path | str | None, region: Box | None) -> Path:
    """Where the result of ``source`` goes; a region has its geometry in the name, unless one is given."""
    target = output_path(source, output)
    if region is None or (output is not None and target == Path(output)):
        return target
    return target.with_stem(f"{target.stem}_{region.text}")


def stem_of(target: Path | BinaryIO | None) -> str:
    """What the names of a result's pictures begin with; a stream has no name."""
    return target.stem if isinstance(target, Path) else "photo"


def check_targets(source: Path | bytes, target: Path | None, model: str, outputs: Outputs) -> None:
    """Refuse, before any computing, whatever could not or must not be written; a target of None is a stream.

    That no result replaces another one or another input is for those to check who run several.

    Raises:
        OutputError: naming the first of them.
    """
    if target is not None:
        check_writable_target(source if isinstance(source, Path) else Path("-"), target, force=outputs.force)
    if outputs.maps is not None and outputs.maps.exists() and not outputs.maps.is_dir():
        raise OutputError(f"'{outputs.maps}' is not a folder", "put --maps last, or give it a folder")
    for path in outputs.pictures(stem_of(target), model):
        if path.exists() and not outputs.force:
            raise OutputError(f"'{path}' exists already", "use --force to overwrite it, or another name")
        if not path.parent.is_dir() and path.parent != outputs.maps:
            raise OutputError(f"there is no folder '{path.parent}'", "create it first")


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Tell of memory that runs out in this block as a problem with what is called ``name``.

    Raises:
        DeviceError: instead of MemoryError.
    """
    try:
        yield
    except MemoryError as error:
        raise DeviceError(
            f"there is not enough memory for {name}",
            "close other programs, or use a machine with more memory",
        ) from error


def deblur_photo(
    loaded: LoadedModel,
    source: Path | bytes,
    target: Path | BinaryIO,
    *,
    region: Box | None = None,
    outputs: Outputs,
    max_megapixels: float,
    on_photo: Callable[[Photo], None] | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> Deblurred:
    """Read ``source`` (a file, or the bytes of one), restore it, and write ``target`` and what else is asked.

    ``on_photo`` hears of the photo once it is read, ``on_tile`` of tiles done and in all.

    Raises:
        InputError: if the photo cannot be read.
        UsageError: if the region lies outside the photo.
        OutputError: if something cannot be written; what was written before it is whole.
        DeviceError: if the photo or even the smallest tile does not fit into memory.
    """
    with enough_memory(f"'{source}'" if isinstance(source, Path) else "the photo from standard input"):
        photo = read_photo(source, max_megapixels=max_megapixels)
        if on_photo is not None:
            on_photo(photo)
        warnings = [
            *photo.warnings,
            *(conversion_warnings(photo, target) if isinstance(target, Path) else ()),
        ]
        drawn = photo.size if region is None else region.size
        restored = loaded.restorer.restore(
            photo.pixels,
            full_scale=photo.full_scale,
            region=region,
            keep_coefficients=outputs.wants_coefficients,
            map_reduction=1 if outputs.maps_data else pictures_reduction(drawn, LARGEST_REDUCTION),
            on_progress=on_tile,
        )
        before = photo if region is None else _cropped(photo, region)
        settings = loaded.restorer.settings
        write_photo(
            before,
            restored.pixels,
            target,
            quality=outputs.quality,
            provenance=_provenance(loaded.weights, settings, restored.report, region),
            force=outputs.force,
        )
        pictures = _draw(
            loaded.network, before, restored.pixels, restored.coefficients, stem_of(target), outputs
        )
        return Deblurred(
            input=str(source) if isinstance(source, Path) else "-",
            output=str(target) if isinstance(target, Path) else "-",
            weights=loaded.weights,
            settings=settings,
            report=restored.report,
            region=region,
            pictures=pictures,
            warnings=(*warnings, *restored.report.warnings),
        )


def _cropped(photo: Photo, region: Box) -> Photo:
    alpha = None if photo.alpha is None else photo.alpha[region.slices]
    return replace(photo, pixels=photo.pixels[region.slices], alpha=alpha)


def _provenance(
    weights: ResolvedWeights, settings: RestoreSettings, report: RestoreReport, region: Box | None
) -> Provenance:
    values: dict[str, str | int | float] = {
        "model": weights.model,
        "weights": weights.name,
        "weightsHash": str(weights.digest),
        "strength": settings.strength,
        "backend": report.backend,
        "precision": report.precision,
        "tile": report.tile,
        "overlap": report.overlap,
    }
    if region is not None:
        values["region"] = region.text
    return Provenance(software=f"defocusctl {__version__}", settings=values)


def _draw(
    network: Network,
    before: Photo,
    after: np.ndarray[Any, Any],
    coefficients: Mapping[str, np.ndarray[Any, Any]] | None,
    stem: str,
    outputs: Outputs,
) -> tuple[Path, ...]:
    pictures: list[Path] = []
    if coefficients is not None and outputs.maps is not None:
        pictures += write_maps(
            outputs.maps, stem, before.pixels, before.full_scale, network, coefficients, force=outputs.force
        )
    if coefficients is not None and outputs.maps_data is not None:
        write_maps_data(outputs.maps_data, network, coefficients, force=outputs.force)
        pictures.append(outputs.maps_data)
    if outputs.compare is not None:
        icc = before.metadata.icc
        write_comparison(
            outputs.compare,
            before.pixels,
            after,
            before.full_scale,
            icc_profile=icc,
            force=outputs.force,
        )
        pictures.append(outputs.compare)
    return tuple(pictures)
