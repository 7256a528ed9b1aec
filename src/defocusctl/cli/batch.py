"""``defocusctl batch``: folders of photos in, the same tree of deblurred photos out."""

import sys
from collections.abc import Sequence
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
from defocusctl.errors import InputError, SomeFailedError, UsageError

if TYPE_CHECKING:
    from defocusctl.batch.inputs import Findings, Search

STREAM = "-"


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
            help="Folders, photos, quoted patterns such as 'in/**/*.jpg'; last, the folder for the results.",
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
    report: Annotated[
        bool, typer.Option("--report", help="Make a gallery to look at, OUT/defocusctl-report/index.html.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with photos as they arrive in the folders, until Ctrl-C.")
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
    if watch and (listed is not None or not all(Path(text).is_dir() for text in inputs)):
        raise UsageError("--watch is for folders only", "give folders, and --include for a choice")
    if dry_run and (watch or report):
        raise UsageError("--dry-run does nothing to watch or report", "leave out one or the other")
    out = Path(last)
    asked = (number_or_auto("--tile", tile), number_or_auto("--overlap", overlap))

    from defocusctl.batch.arrivals import Arrivals
    from defocusctl.batch.inputs import Search, real_path
    from defocusctl.batch.job import BatchSettings
    from defocusctl.batch.manifest import read_claims
    from defocusctl.batch.planning import Layout, check_collisions
    from defocusctl.batch.session import Batch
    from defocusctl.batch.watch import Watch
    from defocusctl.restore import RestoreSettings

    own = {real_path(out / place) for place in read_claims(out)}
    search = Search(
        out=out,
        recursive=recursive,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        root=root,
        own=own,
    )
    findings = _find(inputs, listed, search, may_be_none=watch)
    arrivals = Arrivals(search, inputs)
    photos = arrivals.complete(findings.photos) if watch else findings.photos
    layout = Layout(
        out=out,
        suffix=None if file_format is None else f".{file_format.value}",
        quality=quality,
        maps=_tree(maps, out),
        maps_data=maps_data,
        compare=_tree(compare, out),
    )
    jobs = [layout.job(found) for found in photos]
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
    wanted = Batch(
        jobs,
        findings.unreadable,
        out,
        loaded,
        settings,
        jobs_at_once,
        max_megapixels,
        force,
        Watch(arrivals, own, layout, settings, force=force) if watch else None,
    )
    show = BatchShow(as_json=as_json, quiet=quiet)
    if dry_run:
        wanted.tell(show)
        return
    if watch:
        show.watching(inputs)
    problem = None
    try:
        wanted.run(show, most_failures=0 if fail_fast else max_failures)
    except SomeFailedError as error:
        problem = error
    if report:
        _report(out, show)
    if problem is not None:
        raise problem


def _report(out: Path, show: BatchShow) -> None:
    from defocusctl.batch.gallery import write_gallery
    from defocusctl.batch.manifest import alone_in

    with alone_in(out), show.reporting() as on_photo:
        page = write_gallery(out, on_photo)
    show.reported(page)


def _find(inputs: Sequence[str], listed: str | None, search: "Search", *, may_be_none: bool) -> "Findings":
    from defocusctl.batch.inputs import listed_in

    findings = search.find(inputs, () if listed is None else listed_in(_content(listed)))
    if not (may_be_none or findings.photos or findings.unreadable):
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


def _tree(option: str | None, out: Path) -> Path | None:
    """The folder whose tree an option that may stand alone draws in."""
    return out if option == BESIDE else None if option is None else Path(option)
