"""``defocusctl eval``: networks and classical methods on a data set, in figures that can be compared."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import download_bar, say, say_error, say_warning, step_bar
from defocusctl.cli.options import (
    DeviceOption,
    OfflineOption,
    OverlapOption,
    PrecisionOption,
    QuietOption,
    TileOption,
    completed_models,
    known_model,
    number_or_auto,
)
from defocusctl.errors import DataError, ExpectationError, UsageError, WeightsError
from defocusctl.plugins import DEFAULT_MODEL

if TYPE_CHECKING:
    from defocusctl.data.layouts import EvaluationImage, FoundData
    from defocusctl.evaluate.methods import Candidate
    from defocusctl.evaluate.results import Evaluation, Row
    from defocusctl.metrics import Lpips, Protocol
    from defocusctl.restore import RestoreSettings

DEFAULT_WEIGHTS = "default"


class Dataset(StrEnum):
    """The data sets by name; checked against the layouts in the tests."""

    DPDD = "dpdd"
    LFDOF = "lfdof"
    REALDOF = "realdof"
    RTF = "rtf"
    CUHK = "cuhk"
    PAIRS = "pairs"
    PHOTOS = "photos"


class Baseline(StrEnum):
    """Classical methods; checked against ``evaluate.classical`` in the tests."""

    UNSHARP = "unsharp"
    WIENER = "wiener"
    RICHARDSON_LUCY = "richardson-lucy"


class ProtocolName(StrEnum):
    """Whose way of scoring; checked against ``metrics.PROTOCOLS`` in the tests."""

    INIKNET = "iniknet"
    NRKNET = "nrknet"
    RESTORMER = "restormer"
    IFAN = "ifan"
    DRBNET = "drbnet"
    DPDNET = "dpdnet"
    GKMNET = "gkmnet"
    ALL = "all"


def evaluate(
    dataset: Annotated[Dataset, typer.Option("--dataset", "-d", help="The data set.")],
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", help="Where it is. [default: the variable DEFOCUSCTL_DATA]"),
    ] = None,
    split: Annotated[str, typer.Option(help="The part of it.")] = "test",
    blurred: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With 'pairs' or 'photos': the blurred photos.")
    ] = None,
    sharp: Annotated[Path | None, typer.Option(metavar="DIR", help="With 'pairs': their references.")] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            parser=known_model,
            autocompletion=completed_models,
            help="A network; may be repeated. [default: iniknet]",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="NAME|PATH|hf://...|default",
            help="The weights of each --model, in the same order.",
        ),
    ] = None,
    baselines: Annotated[
        list[Baseline] | None,
        typer.Option("--baseline", help="A classical method to measure against; may be repeated."),
    ] = None,
    disc_radius: Annotated[
        float, typer.Option(min=0.5, max=50.0, help="Blur radius in pixels that the baselines assume.")
    ] = 2.0,
    protocol: Annotated[
        ProtocolName, typer.Option(help="Whose way of scoring; 'all' scores the same outputs under each.")
    ] = ProtocolName.INIKNET,
    lpips: Annotated[
        bool, typer.Option("--lpips/--no-lpips", help="Score LPIPS, which needs AlexNet's weights.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Keep scores.csv, summary.json and report.html."),
    ] = None,
    save_images: Annotated[
        bool, typer.Option("--save-images", help="Keep the outputs in --out too.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many random images.")] = None,
    seed: Annotated[int, typer.Option(help="Which random images.")] = 0,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Missing or bad images do not make the run fail.")
    ] = False,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|published",
            help="Fail if means differ from a summary.json or from the papers' figures.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="What --expect allows: dB of PSNR; a fiftieth of it elsewhere.")
    ] = 0.05,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    offline: OfflineOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Score networks on a data set, beside the untouched input, classical methods and published figures."""
    chosen_models = _models_with_weights(models, weights, baselines)
    if (resume or save_images) and out is None:
        raise UsageError("--resume and --save-images need a folder", "give --out DIR")

    from defocusctl.evaluate.evaluation import evaluate as run
    from defocusctl.evaluate.run import chosen
    from defocusctl.metrics import PROTOCOLS
    from defocusctl.restore import RestoreSettings

    found = _find(dataset, root, split, blurred, sharp)
    images = chosen(found, limit, sample, seed)
    protocols = list(PROTOCOLS.values()) if protocol is ProtocolName.ALL else [PROTOCOLS[protocol.value]]
    settings = RestoreSettings(
        tile=number_or_auto("--tile", tile),
        overlap=number_or_auto("--overlap", overlap),
        device=device,
        precision=precision,
        clip=False,
    )
    candidates = _candidates(
        chosen_models, baselines or [], disc_radius, settings, offline=offline, quiet=quiet
    )
    metric = _lpips(offline=offline, quiet=quiet) if lpips and images[0].sharp else None
    rows: list[Row] = []
    with step_bar(found.title, quiet=quiet) as advance:

        def show(_image: object, scored: "Sequence[Row]") -> None:
            rows.extend(scored)
            done = len({row.image for row in rows})
            advance(done, len(images), _running_means(rows))

        evaluation = run(
            found,
            images,
            candidates,
            protocols,
            lpips=metric,
            out=out,
            resume=resume,
            save_images=save_images,
            on_rows=show,
        )
    _tell(evaluation, as_json=as_json, quiet=quiet)
    if out is not None:
        _keep(out, evaluation, images, candidates, protocols[0], quiet=quiet)
    trained_on = {candidate.info.label: candidate.trained_on for candidate in candidates}
    if expect is not None:
        _check_expectations(evaluation, expect, tolerance, trained_on)
    if evaluation.problems and not allow_partial:
        raise DataError(
            f"{len(evaluation.problems)} problems with {found.title}, the first: {evaluation.problems[0]}",
            "mend them, or give --allow-partial",
        )


def _models_with_weights(
    models: Sequence[str] | None, weights: Sequence[str] | None, baselines: Sequence[Baseline] | None
) -> list[tuple[str, str | None]]:
    names = list(models or ([] if baselines and not weights else [DEFAULT_MODEL]))
    if weights and len(weights) != len(names):
        raise UsageError(
            f"{len(weights)} --weights for {len(names)} --model",
            f"give one for each, in the same order; '{DEFAULT_WEIGHTS}' takes the usual ones",
        )
    specs = [None if spec == DEFAULT_WEIGHTS else spec for spec in weights or [DEFAULT_WEIGHTS] * len(names)]
    return list(zip(names, specs, strict=True))


def _find(
    dataset: Dataset, root: Path | None, split: str, blurred: Path | None, sharp: Path | None
) -> "FoundData":
    from defocusctl.data.layouts import data_root, find_data, pairs_data, photos_data

    if dataset is Dataset.PAIRS and blurred and sharp:
        return pairs_data(blurred, sharp)
    if dataset is Dataset.PHOTOS and blurred and not sharp:
        return photos_data(blurred)
    if blurred or sharp:
        raise UsageError(
            f"--blurred and --sharp do not go with --dataset {dataset.value} like this",
            "'pairs' takes both, 'photos' takes --blurred, the others take --root",
        )
    return find_data(dataset.value, data_root(root), split)


def _candidates(
    models: Sequence[tuple[str, str | None]],
    baselines: Sequence[Baseline],
    radius: float,
    settings: "RestoreSettings",
    *,
    offline: bool,
    quiet: bool,
) -> "list[Candidate]":
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.evaluate.methods import classical, network, untouched

    candidates = [untouched(), *(classical(baseline.value, radius) for baseline in baselines)]
    for model, spec in models:
        with download_bar(f"weights for {model}", quiet=quiet) as on_download:
            loaded = Deblurrer.load(model, spec, settings, offline=offline, on_download=on_download)
        if loaded.weights.note:
            say(loaded.weights.note)
        candidates.append(network(loaded))
    labels = [candidate.info.label for candidate in candidates]
    if len(set(labels)) < len(labels):
        raise UsageError("two methods have the same name", "name each model, weights and baseline once")
    return candidates


def _lpips(*, offline: bool, quiet: bool) -> "Lpips | None":
    from defocusctl.metrics import load_lpips

    try:
        with download_bar("AlexNet for LPIPS", quiet=quiet) as on_download:
            return load_lpips(offline=offline, on_progress=on_download)
    except WeightsError as error:
        say_warning(f"no LPIPS: {error}")
        return None


def _running_means(rows: "Sequence[Row]") -> str:
    from defocusctl.evaluate.results import mean

    first = rows[0].protocol
    labels = list(dict.fromkeys(row.method for row in rows))
    parts = []
    for label in labels:
        psnr = mean([row for row in rows if row.method == label and row.protocol == first], "psnr")
        parts.append(f"{label} {psnr:.2f} dB")
    return ", ".join(parts)


def _tell(evaluation: "Evaluation", *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from defocusctl.evaluate.summary import as_json as summary

        typer.echo(json.dumps(summary(evaluation), indent=2))
    elif not quiet:
        from defocusctl.cli.eval_table import print_tables

        print_tables(evaluation)
    for problem in evaluation.problems:
        say_warning(problem)


def _keep(
    out: Path,
    evaluation: "Evaluation",
    images: "Sequence[EvaluationImage]",
    candidates: "Sequence[Candidate]",
    protocol: "Protocol",
    *,
    quiet: bool,
) -> None:
    from defocusctl.evaluate.evaluation import report_pictures
    from defocusctl.evaluate.report import write_report
    from defocusctl.evaluate.summary import write_tables

    written = write_tables(out, evaluation)
    report = out / "report.html"
    write_report(report, evaluation, report_pictures(evaluation, images, candidates, protocol), force=True)
    if not quiet:
        for path in (*written, report):
            say(str(path))


def _check_expectations(
    evaluation: "Evaluation", expect: str, tolerance: float, trained_on: dict[str, str]
) -> None:
    from defocusctl.evaluate.summary import deviations_from_file, deviations_from_published

    found = (
        deviations_from_published(evaluation, trained_on, tolerance)
        if expect == "published"
        else deviations_from_file(evaluation, Path(expect), tolerance)
    )
    for deviation in found:
        say_error(str(deviation))
    if found:
        raise ExpectationError(
            f"{len(found)} figures are not what {expect} says",
            "check data, protocol and weights, or --tolerance",
        )
