"""``defocusctl batch``: folders of photos in, the same tree of deblurred photos out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.batch_show import BatchShow
from defocusctl.cli.deblur import load
from defocusctl.cli.options import (
    BESIDE,
    DEFAULT_MAX_MEGAPIXELS,
    DeviceOption,
    Model,
    ModelOption,
    OfflineOption,
    OverlapOption,
    PrecisionOption,
    QuietOption,
    TileOption,
    WeightsOption,
    number_or_auto,
)
from defocusctl.errors import InputError, UsageError

if TYPE_CHECKING:
    from defocusctl.batch.inputs import Findings, Search
    from defocusctl.batch.mirror import Places
    from defocusctl.batch.staff import Staff

STREAM = "-"


class EngineName(StrEnum):
    """Who does the work."""

    LOCAL = "local"
    RAY = "ray"


class Format(StrEnum):
    """The formats of results by the suffix of their names."""

    JPG = "jpg"
    PNG = "png"
    TIF = "tif"
    WEBP = "webp"
    AVIF = "avif"
    BMP = "bmp"
    PPM = "ppm"


def batch(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Folders, photos, quoted patterns like 'in/**/*.jpg'; last, the folder for the results.",
        ),
    ],
    model: ModelOption = Model.INIKNET,
    weights: WeightsOption = None,
    listed: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE|-", help="A list of further inputs, one a line; '-' is stdin."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the names of results begin. [default: each IN; of a list, here]"
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive/--no-recursive", help="Look into the folders of folders.")
    ] = True,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only photos whose name, or a part of it, fits; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="No photos that fit; repeatable.")
    ] = None,
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Blend: 0 is the original, 1 the network's result.")
    ] = 1.0,
    file_format: Annotated[
        Format | None, typer.Option("--format", help="Of all results. [default: that of each photo]")
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="For JPEG, WebP and AVIF. [default: not worse than the input's]"),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            "--maps", metavar="[DIR]", help="Draw coefficient maps, beside the results or in a tree."
        ),
    ] = None,
    maps_data: Annotated[
        bool, typer.Option("--maps-data", help="Save the maps as arrays beside the results.")
    ] = False,
    compare: Annotated[
        str | None,
        typer.Option("--compare", metavar="[DIR]", help="Draw before and after, as --maps does."),
    ] = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    jobs_at_once: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, metavar="N", help="Photos computed at the same time. [default: what suits]"
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Who computes: this process, or the workers of a Ray cluster.")
    ] = EngineName.LOCAL,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A running Ray cluster. [default: RAY_ADDRESS, else one is started on this machine]",
        ),
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.0, help="Refuse larger photos.")
    ] = DEFAULT_MAX_MEGAPIXELS,
    force: Annotated[bool, typer.Option("--force", help="Do everything again, whatever is there.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", min=0, metavar="N", help="Stop if more than N failed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be done, with time and memory.")
    ] = False,
    offline: OfflineOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Events on stdout, one JSON object a line.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Deblur folders of photos. Running it again goes on where it stopped and does what has changed."""
    *inputs, last = paths
    if not inputs and listed is None:
        raise UsageError("inputs or the folder for the results are missing", "give IN and OUT")
    if not max_megapixels > 0:
        raise UsageError(f"--max-megapixels {max_megapixels} is not possible", "give a number above 0")
    asked = (number_or_auto("--tile", tile), number_or_auto("--overlap", overlap))

    from defocusctl.batch.inputs import Search, real_path
    from defocusctl.batch.job import BatchSettings
    from defocusctl.batch.manifest import read_claims
    from defocusctl.batch.mirrored_call import mirrored_call
    from defocusctl.batch.planning import Layout, check_collisions
    from defocusctl.batch.session import Batch
    from defocusctl.restore import RestoreSettings

    with mirrored_call(inputs, last) as call:
        search = Search(
            out=call.out,
            recursive=recursive,
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            root=root,
            own={real_path(call.out / place) for place in read_claims(call.out)},
        )
        findings = _find(call.inputs, listed, search)
        layout = Layout(
            out=call.out,
            suffix=None if file_format is None else f".{file_format.value}",
            quality=quality,
            maps=_tree("--maps", maps, call.out),
            maps_data=maps_data,
            compare=_tree("--compare", compare, call.out),
        )
        jobs = [layout.job(found) for found in findings.photos]
        check_collisions(jobs, model.value)
        restoring = RestoreSettings(*asked, device=device, precision=precision, strength=strength)
        loaded = load(model.value, weights, restoring, offline=offline, quiet=quiet)
        settings = BatchSettings(
            model=model.value,
            weights=str(loaded.weights.digest),
            strength=strength,
            tile=asked[0],
            overlap=asked[1],
            precision=precision,
            quality=quality,
            format=layout.suffix,
            maps=layout.maps is not None,
            maps_data=maps_data,
            compare=layout.compare is not None,
        )
        show = BatchShow(as_json=as_json, quiet=quiet)
        with _staff(engine, ray_address, device, jobs_at_once, call.places) as staff:
            wanted = Batch(
                jobs,
                findings.unreadable,
                call.out,
                loaded,
                settings,
                max_megapixels,
                force,
                staff,
                call.places,
            )
            if dry_run:
                wanted.tell(show)
            else:
                wanted.run(show, most_failures=0 if fail_fast else max_failures)


def _find(inputs: Sequence[str], listed: str | None, search: "Search") -> "Findings":
    from defocusctl.batch.inputs import listed_in

    findings = search.find(inputs, () if listed is None else listed_in(_content(listed)))
    if not findings.photos and not findings.unreadable:
        raise InputError(
            "there is no photo among the inputs", "check the folders, and --include and --exclude if given"
        )
    return findings


def _content(listed: str) -> bytes:
    if listed == STREAM:
        return sys.stdin.buffer.read()
    try:
        return Path(listed).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list '{listed}' ({error.strerror})", "check the path") from error


@contextmanager
def _staff(
    engine: EngineName, address: str | None, device: str, jobs: int | None, places: "Places"
) -> "Iterator[Staff]":
    """Who does the photos, until the end of the block."""
    if engine is EngineName.RAY:
        from defocusctl.batch.ray_staff import ray_staff

        with ray_staff(address, device, jobs, places) as staff:
            yield staff
    elif address is not None:
        raise UsageError("--ray-address is for --engine ray", "give both or none")
    else:
        from defocusctl.batch.staff import LocalStaff

        yield LocalStaff(jobs)


def _tree(name: str, option: str | None, out: Path) -> Path | None:
    """The folder whose tree an option that may stand alone draws in."""
    if option is not None and "://" in option:
        raise UsageError(f"{name} draws in no store", f"give {name} alone, for pictures beside the results")
    return out if option == BESIDE else None if option is None else Path(option)
