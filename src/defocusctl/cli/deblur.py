"""``defocusctl deblur``: photos in, deblurred photos out."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import download_bar, say, say_error, say_warning, tile_bar
from defocusctl.cli.options import (
    BESIDE,
    DeviceOption,
    ForceOption,
    JsonOption,
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
from defocusctl.errors import DefocusctlError, SomeFailedError, UsageError
from defocusctl.geometry import Box, parse_region

if TYPE_CHECKING:
    from defocusctl.photo import Photo
    from defocusctl.pipeline import Deblurred, LoadedModel, Outputs

STREAM = "-"


def deblur(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos; '-' reads stdin.")],
    model: ModelOption = Model.INIKNET,
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
        typer.Option(min=1, max=100, help="For JPEG, WebP and AVIF. [default: not worse than the input's]"),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            "--maps",
            metavar="[DIR]",
            help="Draw the coefficient maps, blur extent and atoms, beside the output.",
        ),
    ] = None,
    maps_data: Annotated[
        Path | None, typer.Option("--maps-data", metavar="FILE.npz", help="Save the maps as arrays.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option("--compare", metavar="[FILE.png]", help="Draw before and after in one picture."),
    ] = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.0, help="Refuse larger photos.")
    ] = 300.0,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Deblur photos. Inputs are never overwritten; one that fails does not stop the others."""
    box = None if region is None else parse_region(region)
    jobs = [_Job(text, output, box, maps, maps_data, compare) for text in inputs]
    _check_jobs(jobs, as_json=as_json)

    from defocusctl.pipeline import Outputs, load_model
    from defocusctl.restore import RestoreSettings

    settings = RestoreSettings(
        tile=number_or_auto("--tile", tile),
        overlap=number_or_auto("--overlap", overlap),
        device=device,
        precision=precision,
        strength=strength,
    )
    failures: list[DefocusctlError] = []
    ready: list[_Job] = []
    for job in jobs:
        try:
            job.check(model.value, force=force)
            ready.append(job)
        except DefocusctlError as error:
            _report_failure(job, error, failures, alone=len(jobs) == 1, as_json=as_json)
    if ready:
        with download_bar(f"weights for {model.value}", quiet=quiet) as on_download:
            loaded = load_model(model.value, weights, settings, offline=offline, on_download=on_download)
        if loaded.weights.note:
            say(loaded.weights.note)
    for job in ready:
        outputs = Outputs(quality, force, job.maps, job.maps_data, job.compare)
        try:
            result = _deblur_one(loaded, job, outputs, max_megapixels, quiet=quiet)
        except DefocusctlError as error:
            _report_failure(job, error, failures, alone=len(jobs) == 1, as_json=as_json)
            continue
        _report(result, as_json=as_json, quiet=quiet)
    if failures:
        raise SomeFailedError(f"{len(failures)} of {len(jobs)} inputs failed", "the others are done")


class _Job:
    """One input and where its outputs go."""

    def __init__(
        self,
        text: str,
        output: str | None,
        region: Box | None,
        maps: str | None,
        maps_data: Path | None,
        compare: str | None,
    ) -> None:
        from defocusctl.pipeline import target_of

        self.text = text
        self.region = region
        self.source = None if text == STREAM else Path(text)
        to_stream = output == STREAM or (output is None and self.source is None)
        named = self.source or Path("stdin")
        self.target = None if to_stream else target_of(named, output, region)
        place = Path() if self.target is None else self.target.parent
        stem = "photo" if self.target is None else self.target.stem
        self.maps = None if maps is None else place if maps == BESIDE else Path(maps)
        self.maps_data = maps_data
        self.compare = (
            None if compare is None else place / f"{stem}_compare.png" if compare == BESIDE else Path(compare)
        )

    def check(self, model: str, *, force: bool) -> None:
        """Refuse what cannot work before anything is computed.

        Raises:
            InputError: if there is no such file, or it is no photo.
            OutputError: if an output must not be written.
        """
        from defocusctl.photo import check_is_photo
        from defocusctl.pipeline import Outputs, check_targets

        if self.source is not None:
            check_is_photo(self.source)
        if self.target is not None:
            outputs = Outputs(None, force, self.maps, self.maps_data, self.compare)
            check_targets(self.source or Path(STREAM), self.target, model, outputs)


def _check_jobs(jobs: Sequence[_Job], *, as_json: bool) -> None:
    """Refuse calls in which two results would claim one place."""
    targets = Counter(str(job.target) for job in jobs if job.target is not None)
    several = [target for target, count in targets.items() if count > 1]
    if several:
        raise UsageError(
            f"several inputs would be written to '{several[0]}'", "give -o a folder, or run them apart"
        )
    streams = sum(job.target is None for job in jobs)
    if streams > 1:
        raise UsageError("several photos cannot go to stdout", "give -o a folder")
    if streams and as_json:
        raise UsageError("--json and the photo would both go to stdout", "give -o a file")
    if len(jobs) > 1 and (jobs[0].maps_data or len({job.compare for job in jobs if job.compare}) == 1):
        raise UsageError("one file cannot hold the maps or comparisons of several photos", "run them apart")


def _deblur_one(
    loaded: "LoadedModel", job: _Job, outputs: "Outputs", max_megapixels: float, *, quiet: bool
) -> "Deblurred":
    from defocusctl.pipeline import deblur_photo

    source = job.source or sys.stdin.buffer.read()
    megapixels = 0.0

    def note_size(photo: "Photo") -> None:
        nonlocal megapixels
        megapixels = photo.size.megapixels if job.region is None else job.region.size.megapixels

    with tile_bar(job.text, lambda: megapixels, quiet=quiet) as on_tile:
        return deblur_photo(
            loaded,
            source,
            job.target or sys.stdout.buffer,
            region=job.region,
            outputs=outputs,
            max_megapixels=max_megapixels,
            on_photo=note_size,
            on_tile=on_tile,
        )


def _report(result: "Deblurred", *, as_json: bool, quiet: bool) -> None:
    for warning in result.warnings:
        say_warning(f"{result.input}: {warning}")
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    elif not quiet:
        report = result.report
        say(
            f"{result.output}: {report.megapixels:.2f} MP in {report.seconds:.1f} s on {report.device} "
            f"({report.precision}), {result.weights.model} with the weights '{result.weights.name}'"
        )
        for picture in result.pictures:
            say(f"{picture}")


def _report_failure(
    job: _Job, error: DefocusctlError, failures: list[DefocusctlError], *, alone: bool, as_json: bool
) -> None:
    """A single input's error ends the command; among several it is told and counted."""
    if as_json:
        typer.echo(json.dumps({"input": job.text, "error": str(error), "exit_code": int(error.exit_code)}))
    if alone:
        raise error
    failures.append(error)
    say_error(f"{job.text}: {error}")
