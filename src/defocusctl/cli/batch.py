"""``defocusctl batch``: folders of photos in, the same tree of deblurred photos out."""

from pathlib import Path
from typing import Annotated

import typer

from defocusctl.cli.batch_given import EngineName, Format, check_format, executor_for, find, picture_tree
from defocusctl.cli.batch_show import BatchShow
from defocusctl.cli.deblur import load
from defocusctl.cli.options import (
    DEFAULT_MAX_MEGAPIXELS,
    Backend,
    BackendOption,
    CompareOption,
    DeviceOption,
    MapsOption,
    ModelOption,
    OfflineOption,
    OverlapOption,
    PrecisionOption,
    QuietOption,
    TileOption,
    WeightsOption,
    WhiteOption,
    check_above_zero,
    number_or_auto,
)
from defocusctl.errors import SomeFailedError, UsageError
from defocusctl.models.plugins import DEFAULT_MODEL


def batch(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Folders, photos, quoted patterns like 'in/**/*.jpg'; last, the folder for the results.",
        ),
    ],
    model: ModelOption = DEFAULT_MODEL,
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
        Format | None,
        typer.Option(
            "--format",
            metavar="SUFFIX",
            help="Of all results, any that 'deblur -o' writes. [default: that of each photo]",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="For JPEG, WebP, AVIF and HEIC. [default: not worse than the input's]"
        ),
    ] = None,
    maps: MapsOption = False,
    maps_dir: Annotated[
        str | None, typer.Option("--maps-dir", metavar="DIR", help="Draw the maps in a tree here instead.")
    ] = None,
    maps_data: Annotated[
        bool, typer.Option("--maps-data", help="Save the maps as arrays beside the results.")
    ] = False,
    compare: CompareOption = False,
    compare_to: Annotated[
        str | None, typer.Option("--compare-to", metavar="DIR", help="Draw it in a tree here instead.")
    ] = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = Backend.TORCH,
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
    white: WhiteOption = None,
    force: Annotated[bool, typer.Option("--force", help="Do everything again, whatever is there.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    max_failures: Annotated[
        int | None, typer.Option("--max-failures", min=0, metavar="N", help="Stop if more than N failed.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read all that is done, whatever its size and time of change say."),
    ] = False,
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
    check_above_zero("--max-megapixels", max_megapixels)
    check_above_zero("--white", white)
    if watch and (listed is not None or "://" in last or not all(Path(text).is_dir() for text in inputs)):
        raise UsageError("--watch is for folders only", "give folders, and --include for a choice")
    if report and any("://" in text for text in paths):
        raise UsageError("--report shows folders only", "leave it out, or copy photos and results to folders")
    if root is not None and any("://" in text for text in inputs):
        raise UsageError("--root is for folders only", "leave it out: names begin below each IN")
    if dry_run and (watch or report):
        raise UsageError("--dry-run does nothing to watch or report", "leave out one or the other")
    if file_format is not None:
        check_format(file_format)
    asked = (number_or_auto("--tile", tile), number_or_auto("--overlap", overlap))

    from defocusctl.batch.arrivals import Arrivals
    from defocusctl.batch.inputs import Search, real_paths
    from defocusctl.batch.job import BatchSettings
    from defocusctl.batch.manifest import read_recorded, read_reservations
    from defocusctl.batch.mirrored_call import mirrored_call
    from defocusctl.batch.planning import Layout, check_collisions
    from defocusctl.batch.session import Batch
    from defocusctl.batch.watch import Watch
    from defocusctl.restoring.settings import RestoreSettings

    if report:
        from defocusctl.reports.gallery import check_page

        check_page(Path(last))
    with mirrored_call(inputs, last) as call:
        own = set(real_paths(call.out / place for place in read_reservations(call.out)))
        search = Search(
            out=call.out,
            recursive=recursive,
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            root=root,
            own=own,
        )
        findings = find(call.inputs, listed, search, may_be_none=watch)
        arrivals = Arrivals(search, call.inputs)
        photos = arrivals.complete(findings.photos) if watch else findings.photos
        layout = Layout(
            out=call.out,
            suffix=None if file_format is None else f".{file_format.value}",
            quality=quality,
            maps=picture_tree("--maps", maps, "--maps-dir", maps_dir, call.out),
            maps_data=maps_data,
            compare=picture_tree("--compare", compare, "--compare-to", compare_to, call.out),
            places=call.places,
        )
        recorded = read_recorded(call.out)
        jobs = layout.jobs(photos, {} if verify else recorded.entries)
        check_collisions(jobs, model)
        restoring = RestoreSettings(
            *asked, device=device, precision=precision, strength=strength, backend=backend.value
        )
        deblurrer = load(model, weights, restoring, offline=offline, quiet=quiet)
        settings = BatchSettings(
            model=model,
            weights=str(deblurrer.weights.checksum),
            strength=strength,
            tile=asked[0],
            overlap=asked[1],
            precision=precision,
            quality=quality,
            format=layout.suffix,
            maps=layout.maps is not None,
            maps_data=maps_data,
            compare=layout.compare is not None,
            white=white,
        )
        show = BatchShow(as_json=as_json, quiet=quiet)
        problem = None
        with executor_for(engine, ray_address, device, jobs_at_once, call.places) as executor:
            wanted = Batch(
                jobs,
                findings.unreadable,
                call.out,
                deblurrer,
                settings,
                max_megapixels,
                force,
                executor,
                call.places,
                Watch(arrivals, own, layout, settings, force=force) if watch else None,
                verify,
                recorded,
            )
            if dry_run:
                wanted.tell(show)
                return
            if watch:
                show.watching(inputs)
            try:
                wanted.run(show, most_failures=0 if fail_fast else max_failures)
            except SomeFailedError as error:
                problem = error
        if report:
            _report(call.out, show)
        if problem is not None:
            raise problem


def _report(out: Path, show: BatchShow) -> None:
    from defocusctl.batch.manifest import alone_in
    from defocusctl.reports.gallery import write_gallery

    with alone_in(out), show.reporting() as on_photo:
        page = write_gallery(out, on_photo)
    show.reported(page)
