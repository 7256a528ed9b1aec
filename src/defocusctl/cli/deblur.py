"""``defocusctl deblur``: photos in, deblurred photos out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import download_bar, say, tile_bar
from defocusctl.cli.jobs import Job, Wanted, check_together, plan_job
from defocusctl.cli.options import (
    DEFAULT_MAX_MEGAPIXELS,
    Backend,
    BackendOption,
    CompareOption,
    DeviceOption,
    ForceOption,
    JsonOption,
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
from defocusctl.cli.reporter import Reporter
from defocusctl.geometry import parse_region
from defocusctl.models.plugins import DEFAULT_MODEL

if TYPE_CHECKING:
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.deblurrer.outputs import Deblurred
    from defocusctl.photo import Photo
    from defocusctl.restoring.settings import RestoreSettings


def deblur(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos; '-' reads stdin.")],
    model: ModelOption = DEFAULT_MODEL,
    weights: WeightsOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; '-' is stdout. [default: photo_deblurred.jpg beside photo.jpg]",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Blend: 0 is the original, 1 the network's result.")
    ] = 1.0,
    region: Annotated[
        str | None, typer.Option(metavar="WxH+X+Y", help="Deblur only this part, as a quick preview.")
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="For JPEG, WebP, AVIF and HEIC. [default: not worse than the input's]"
        ),
    ] = None,
    maps: MapsOption = False,
    maps_dir: Annotated[
        Path | None, typer.Option("--maps-dir", metavar="DIR", help="Draw the maps in this folder instead.")
    ] = None,
    maps_data: Annotated[
        Path | None, typer.Option("--maps-data", metavar="FILE.npz", help="Save the maps as arrays.")
    ] = None,
    compare: CompareOption = False,
    compare_to: Annotated[
        Path | None, typer.Option("--compare-to", metavar="FILE.png", help="Draw it as this file instead.")
    ] = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = Backend.TORCH,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.0, help="Refuse larger photos.")
    ] = DEFAULT_MAX_MEGAPIXELS,
    white: WhiteOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Deblur photos. Inputs are never overwritten; one that fails does not stop the others."""
    reporter = Reporter(inputs, as_json=as_json, quiet=quiet)
    with reporter.whole_call():
        check_above_zero("--max-megapixels", max_megapixels)
        check_above_zero("--white", white)
        box = None if region is None else parse_region(region)
        wanted = Wanted(model, output, box, quality, force, maps, maps_dir, maps_data, compare, compare_to)
        pixels, shared = number_or_auto("--tile", tile), number_or_auto("--overlap", overlap)

        from defocusctl.restoring.settings import RestoreSettings

        settings = RestoreSettings(
            tile=pixels,
            overlap=shared,
            device=device,
            precision=precision,
            strength=strength,
            backend=backend.value,
        )
        jobs: list[Job] = []
        for text in inputs:
            with reporter.one_input(text):
                jobs.append(plan_job(text, wanted))
        check_together(inputs, jobs, as_json=as_json)
        if jobs:
            deblurrer = load(model, weights, settings, offline=offline, quiet=quiet)
        for job in jobs:
            with reporter.one_input(job.text):
                reporter.done(job.text, _deblur_one(deblurrer, job, max_megapixels, white, quiet=quiet))


def load(
    model: str, weights: str | None, settings: "RestoreSettings", *, offline: bool, quiet: bool
) -> "Deblurrer":
    """The network, with a bar while its weights are fetched and a line if they are not the usual ones.

    Raises:
        The errors of ``Deblurrer.load``.
    """
    from defocusctl.deblurrer import Deblurrer

    with download_bar(f"weights for {model}", quiet=quiet) as on_download:
        deblurrer = Deblurrer.load(model, weights, settings, offline=offline, on_download=on_download)
    if deblurrer.weights.note:
        say(deblurrer.weights.note)
    return deblurrer


def _deblur_one(
    deblurrer: "Deblurrer", job: Job, max_megapixels: float, white: float | None, *, quiet: bool
) -> "Deblurred":
    from defocusctl.deblurrer.outputs import deblur_photo

    megapixels = 0.0

    def note_size(photo: "Photo") -> None:
        nonlocal megapixels
        megapixels = photo.size.megapixels if job.region is None else job.region.size.megapixels

    with tile_bar(job.text, lambda: megapixels, quiet=quiet) as on_tile:
        result = deblur_photo(
            deblurrer,
            job.source,
            job.target or sys.stdout.buffer,
            region=job.region,
            outputs=job.outputs,
            max_megapixels=max_megapixels,
            white=white,
            on_photo=note_size,
            on_tile=on_tile,
        )
    sys.stdout.flush()
    return result
