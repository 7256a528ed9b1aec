"""``defocusctl eval``: networks and classical methods on a data set, in figures that can be compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import put_json, say, say_error, say_warning, step_bar
from defocusctl.cli.eval_methods import load_candidates, load_metric, models_with_weights
from defocusctl.cli.eval_options import Baseline, Dataset, ProtocolName
from defocusctl.cli.eval_progress import RunningMeans
from defocusctl.cli.options import (
    Backend,
    BackendOption,
    DeviceOption,
    OfflineOption,
    OverlapOption,
    PrecisionOption,
    QuietOption,
    TileOption,
    WhiteOption,
    check_above_zero,
    completed_models,
    known_model,
    number_or_auto,
)
from defocusctl.errors import DataError, ExpectationError, UsageError

if TYPE_CHECKING:
    from defocusctl.data.datasets import EvaluationImage, FoundData
    from defocusctl.evaluation.expectations import Expectation
    from defocusctl.evaluation.methods import Candidate
    from defocusctl.evaluation.metrics import Protocol
    from defocusctl.evaluation.results import Evaluation, Row

PUBLISHED = "published"


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
    white: WhiteOption = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = Backend.TORCH,
    offline: OfflineOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Score networks on a data set, beside the untouched input, classical methods and published figures."""
    chosen_models = models_with_weights(models, weights, baselines)
    if (resume or save_images) and out is None:
        raise UsageError("--resume and --save-images need a folder", "give --out DIR")

    from defocusctl.evaluation.evaluation import evaluate as run
    from defocusctl.evaluation.metrics import PROTOCOLS
    from defocusctl.evaluation.run import chosen
    from defocusctl.restoring.settings import RestoreSettings

    check_above_zero("--white", white)
    found = _find(dataset, root, split, blurred, sharp)
    images = chosen(found, limit, sample, seed, white)
    protocols = [PROTOCOLS[name] for name in protocol.names]
    settings = RestoreSettings(
        tile=number_or_auto("--tile", tile),
        overlap=number_or_auto("--overlap", overlap),
        device=device,
        precision=precision,
        clip=False,
        backend=backend.value,
    )
    candidates = load_candidates(
        chosen_models, baselines or [], disc_radius, settings, offline=offline, quiet=quiet
    )
    expected = [] if expect is None else _expectations(expect, found, candidates, protocols)
    if not lpips:
        expected = [expectation for expectation in expected if expectation.metric != "lpips"]
    metric = load_metric(offline=offline, quiet=quiet) if lpips and images[0].sharp else None
    means = RunningMeans()
    with step_bar(found.title, quiet=quiet) as advance:

        def show(done: int, scored: "Sequence[Row]") -> None:
            advance(done, len(images), means.add(scored))

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
        _keep(out, evaluation, images, candidates, protocols, quiet=quiet)
    if expect is not None:
        _compare(evaluation, expect, expected, tolerance, quiet=quiet)
    if evaluation.problems and not allow_partial:
        raise DataError(
            f"{len(evaluation.problems)} problems with {found.title}, the first: {evaluation.problems[0]}",
            "fix them, or give --allow-partial",
        )


def _find(
    dataset: Dataset, root: Path | None, split: str, blurred: Path | None, sharp: Path | None
) -> "FoundData":
    from defocusctl.data.datasets import data_root, find_data, pairs_data, photos_data

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


def _tell(evaluation: "Evaluation", *, as_json: bool, quiet: bool) -> None:
    if as_json:
        from defocusctl.evaluation.summary import as_json as summary

        put_json(summary(evaluation), indent=2)
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
    protocols: "Sequence[Protocol]",
    *,
    quiet: bool,
) -> None:
    from defocusctl.evaluation.evaluation import REPORT
    from defocusctl.evaluation.summary import write_tables
    from defocusctl.reports.evaluation import report_pictures, write_report

    written = write_tables(out, evaluation)
    report = out / REPORT
    write_report(report, evaluation, report_pictures(evaluation, images, candidates, protocols), force=True)
    if not quiet:
        for path in (*written, report):
            say(str(path))


def _expectations(
    expect: str, found: "FoundData", candidates: "Sequence[Candidate]", protocols: "Sequence[Protocol]"
) -> "list[Expectation]":
    from defocusctl.evaluation.expectations import expected_by_file, expected_by_papers

    methods = [candidate.info for candidate in candidates]
    names = [protocol.name for protocol in protocols]
    if expect == PUBLISHED:
        return expected_by_papers(found.dataset, methods, names)
    return expected_by_file(Path(expect), methods, names)


def _compare(
    evaluation: "Evaluation", expect: str, expected: "Sequence[Expectation]", tolerance: float, *, quiet: bool
) -> None:
    from defocusctl.evaluation.expectations import deviations

    found = deviations(evaluation, expected, tolerance)
    for deviation in found:
        say_error(str(deviation))
    if found:
        raise ExpectationError(
            f"{len(found)} of {len(expected)} figures are not what {expect} says",
            "check data, protocol and weights, or --tolerance",
        )
    if not quiet:
        say(f"all {len(expected)} figures are what {expect} says")
