"""One photo in, one photo out: read, restore, write, and draw the requested pictures.

``deblur`` calls ``deblur_photo`` for each of its inputs, ``batch`` the single steps.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self

from defocusctl.deblurrer.deblurrer import Deblurrer
from defocusctl.deblurrer.result import write_restored
from defocusctl.errors import OutputError
from defocusctl.maps.compare import write_comparison
from defocusctl.maps.maps import map_paths, picture_reduction, write_maps, write_maps_data
from defocusctl.photo import (
    Mask,
    Photo,
    check_replaceable,
    check_writable_target,
    conversion_warnings,
    output_path,
    read_photo,
)
from defocusctl.photo.geometry import Box
from defocusctl.restoring.output import LARGEST_REDUCTION
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.settings import RestoreReport
from defocusctl.system.atomic import is_taken
from defocusctl.system.devices import memory_errors
from defocusctl.weights.resolve import ResolvedWeights


@dataclass(frozen=True)
class Outputs:
    """What to write besides the photo, and how; paths that are None are not written.

    ``backup`` is the name under which the original is kept if the result takes its place.
    """

    quality: int | None = None
    force: bool = False
    backup: Path | None = None
    maps: Path | None = None
    maps_data: Path | None = None
    compare: Path | None = None

    def absolute(self) -> Self:
        """The same with absolute paths, for a process in another working directory."""
        given = (self.backup, self.maps, self.maps_data, self.compare)
        backup, maps, maps_data, compare = (path and path.absolute() for path in given)
        return replace(self, backup=backup, maps=maps, maps_data=maps_data, compare=compare)

    def pictures(self, stem: str, model: str) -> tuple[Path, ...]:
        """Every file that these options write for a result called ``stem``, beside the photo itself."""
        maps = [] if self.maps is None else map_paths(self.maps, stem, model)
        return (*maps, *(path for path in (self.maps_data, self.compare) if path is not None))


@dataclass(frozen=True)
class Deblurred:
    """What was done to one photo; ``as_json`` is the object that ``--json`` prints."""

    input: str
    output: str
    weights: ResolvedWeights
    report: RestoreReport
    region: Box | None
    pictures: tuple[Path, ...]
    warnings: tuple[str, ...]
    backup: Path | None = None

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
                "hash": str(self.weights.checksum),
                "note": self.weights.note,
            },
            "region": None if self.region is None else self.region.text,
            **report,
            "pictures": [str(path) for path in self.pictures],
            "backup": None if self.backup is None else str(self.backup),
            "warnings": list(self.warnings),
        }


def target_path(source: Path, output: Path | str | None, region: Box | None) -> Path:
    """The path of the result; a region's geometry is appended to its name, unless ``output`` names a file."""
    target = output_path(source, output)
    if region is None or (output is not None and target == Path(output)):
        return target
    return target.with_stem(f"{target.stem}_{region.text}")


def stem_of(target: Path | BinaryIO | None) -> str:
    """The start of the names of a result's pictures; ``photo`` for a stream."""
    return target.stem if isinstance(target, Path) else "photo"


def check_targets(source: Path | bytes, target: Path | None, model: str, outputs: Outputs) -> None:
    """Refuse outputs that cannot or must not be written, before any computing; a target of None is a stream.

    A caller with several photos must also check that no result replaces another result or another input.

    Raises:
        OutputError: naming the first such file.
        OSError: if a name is too long, or a folder must not be entered.
    """
    if target is not None and outputs.backup is not None:
        check_replaceable(target, outputs.backup)
    elif target is not None:
        check_writable_target(source if isinstance(source, Path) else Path("-"), target, force=outputs.force)
    if outputs.maps is not None and outputs.maps.exists() and not outputs.maps.is_dir():
        raise OutputError(f"'{outputs.maps}' is not a folder", "give --maps-dir another name")
    for path in outputs.pictures(stem_of(target), model):
        if is_taken(path) and not outputs.force:
            raise OutputError(f"'{path}' exists already", "use --force to overwrite it, or another name")
        if path.parent.is_dir():
            if not os.access(path.parent, os.W_OK | os.X_OK):
                raise OutputError(f"the folder '{path.parent}' is read-only", "use another folder")
        elif path.parent != outputs.maps:
            raise OutputError(f"there is no folder '{path.parent}'", "create it first")


def deblur_photo(
    deblurrer: Deblurrer,
    source: Path | bytes,
    target: Path | BinaryIO,
    *,
    region: Box | None = None,
    mask: Mask | None = None,
    outputs: Outputs,
    max_megapixels: float,
    white: float | None = None,
    on_photo: Callable[[Photo], None] | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> Deblurred:
    """Read ``source`` (a path or a file's bytes), restore it, write ``target`` and the requested pictures.

    ``mask`` and ``white`` are as in ``read_mask`` and ``read_photo``. ``on_photo`` is called with the photo
    once it is read, ``on_tile`` with the tiles done and in total.

    Raises:
        InputError: if the photo cannot be read, or the mask has another shape.
        UsageError: if the region lies outside the photo, or the scale leaves too little of it.
        OutputError: if something cannot be written; what was written before it is whole.
        DeviceError: if the photo or even the smallest tile does not fit into memory.
    """
    with memory_errors(f"'{source}'" if isinstance(source, Path) else "the photo from standard input"):
        photo = read_photo(source, max_megapixels=max_megapixels, white=white)
        if on_photo is not None:
            on_photo(photo)
        photo_warnings(photo, target)  # refuses an unsuitable target before any computing
        restored = restore_photos(
            deblurrer, [photo], region=region, mask=mask, outputs=outputs, on_tile=on_tile
        )[0]
        pictures = write_result(deblurrer, restored, target, outputs)
        return Deblurred(
            input=str(source) if isinstance(source, Path) else "-",
            output=str(target) if isinstance(target, Path) else "-",
            weights=deblurrer.weights,
            report=restored.report,
            region=region,
            pictures=pictures,
            warnings=(*photo_warnings(restored.before, target), *restored.report.warnings),
            backup=outputs.backup,
        )


def photo_warnings(photo: Photo, target: Path | BinaryIO) -> tuple[str, ...]:
    """The warnings from reading a photo, and what writing it to ``target`` will lose.

    Raises:
        OutputError: if the target's format cannot hold it.
    """
    return *photo.warnings, *(conversion_warnings(photo, target) if isinstance(target, Path) else ())


def restore_photos(
    deblurrer: Deblurrer,
    photos: Sequence[Photo],
    *,
    region: Box | None = None,
    mask: Mask | None = None,
    outputs: Outputs,
    on_tile: Callable[[int, int], None] | None = None,
) -> list[Restored]:
    """Restore one photo, or a batch of one size, with the coefficients that ``outputs`` needs.

    Raises:
        InputError: if a photo has pixels that are not finite, or the mask has another shape.
        UsageError: if the region lies outside the photo, or the scale leaves too little of it.
        DeviceError: if even the smallest tile does not fit into memory.
    """
    size = photos[0].size if region is None else region.size
    return deblurrer.restorer.restore(
        photos,
        region=region,
        mask=mask,
        keep_coefficients=outputs.maps is not None or outputs.maps_data is not None,
        map_reduction=1 if outputs.maps_data else picture_reduction(size, LARGEST_REDUCTION),
        on_progress=on_tile,
    )


def write_result(
    deblurrer: Deblurrer, restored: Restored, target: Path | BinaryIO, outputs: Outputs
) -> tuple[Path, ...]:
    """Write the restored photo with its provenance, then the pictures; return the pictures' paths.

    Raises:
        OutputError: if something cannot be written; what was written before it is whole.
    """
    write_restored(
        restored,
        deblurrer.weights,
        target,
        quality=outputs.quality,
        force=outputs.force,
        backup=outputs.backup,
    )
    try:
        return _write_pictures(deblurrer, restored, stem_of(target), outputs)
    except OutputError as error:
        raise OutputError(f"{error.cause}; the deblurred photo itself is written", error.remedy) from error


def _write_pictures(
    deblurrer: Deblurrer, restored: Restored, stem: str, outputs: Outputs
) -> tuple[Path, ...]:
    before, coefficients, force = restored.before, restored.coefficients, outputs.force
    pictures: list[Path] = []
    if coefficients is not None and (radius := restored.blur_radius) is not None:
        maps = deblurrer.network, coefficients, radius, restored.shares
        if outputs.maps is not None:
            pictures += write_maps(outputs.maps, stem, before, *maps, force=force)
        if outputs.maps_data is not None:
            write_maps_data(outputs.maps_data, *maps, force=force)
            pictures.append(outputs.maps_data)
    if outputs.compare is not None:
        write_comparison(outputs.compare, before, restored.after, force=force)
        pictures.append(outputs.compare)
    return tuple(pictures)
