"""``defocusctl eval``: scores networks and classical methods on a data set, in comparable figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.cli import eval_options as options
from defocusctl.cli.console import download_bar, put_json, say, say_error, say_warning, step_bar
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
    number_or_auto,
)
from defocusctl.errors import DataError, ExpectationError, UsageError, WeightsError
from defocusctl.models.plugins import DEFAULT_MODEL

if TYPE_CHECKING:
    from defocusctl.data.datasets import FoundData
    from defocusctl.evaluation.methods import Candidate
    from defocusctl.evaluation.metrics import Lpips
    from defocusctl.evaluation.results import Evaluation
    from defocusctl.evaluation.run import Run
    from defocusctl.evaluation.summary import Expectation
    from defocusctl.restoring.settings import RestoreSettings

PUBLISHED = "published"
DEFAULT_WEIGHTS = "default"


def evaluate(
    dataset: options.DatasetOption,
    root: options.RootOption = None,
    split: options.SplitOption = "test",
    blurred: options.BlurredOption = None,
    sharp: options.SharpOption = None,
    models: options.ModelsOption = None,
    weights: options.WeightsOfModelsOption = None,
    baselines: options.BaselinesOption = None,
    disc_radius: options.DiscRadiusOption = 2.0,
    protocol: options.ProtocolOption = options.ProtocolName.INIKNET,
    lpips: options.LpipsOption = True,
    out: options.OutOption = None,
    save_images: options.SaveImagesOption = False,
    resume: options.ResumeOption = False,
    limit: options.LimitOption = None,
    sample: options.SampleOption = None,
    seed: options.SeedOption = 0,
    allow_partial: options.AllowPartialOption = False,
    expect: options.ExpectOption = None,
    tolerance: options.ToleranceOption = 0.05,
    white: WhiteOption = None,
    tile: TileOption = "auto",
    overlap: OverlapOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    backend: BackendOption = Backend.TORCH,
    offline: OfflineOption = False,
    as_json: options.SummaryOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score networks on a data set, compared with the input, classical methods and published figures."""
    networks = _pair_with_weights(models, weights, baselines)
    if (resume or save_images) and out is None:
        raise UsageError("--resume and --save-images need a folder", "give --out DIR")

    from defocusctl.evaluation.metrics import PROTOCOLS
    from defocusctl.evaluation.run import Run, select_images
    from defocusctl.restoring.settings import RestoreSettings

    check_above_zero("--white", white)
    found = _find_dataset(dataset, root, split, blurred, sharp)
    images = select_images(found, limit, sample, seed, white)
    sizes = number_or_auto("--tile", tile), number_or_auto("--overlap", overlap)
    settings = RestoreSettings(*sizes, device, precision, clip=False, backend=backend.value)
    candidates = _load_candidates(networks, baselines or [], disc_radius, settings, offline, quiet)
    expected = _expectations(expect, found.dataset, candidates, protocol.names, lpips)
    metric = _load_lpips(offline, quiet) if lpips and images[0].sharp else None
    run = Run(found, images, candidates, [PROTOCOLS[name] for name in protocol.names], metric)
    evaluation = _score(run, out, resume, save_images, quiet)
    _print(evaluation, as_json, quiet)
    if out is not None:
        _write_files(out, evaluation, run, quiet)
    if expect is not None:
        _check_expectations(evaluation, expect, expected, tolerance, quiet)
    if evaluation.problems and not allow_partial:
        raise DataError(
            f"{len(evaluation.problems)} problems with {found.title}, the first: {evaluation.problems[0]}",
            "fix them, or give --allow-partial",
        )


def _pair_with_weights(
    models: Sequence[str] | None, weights: Sequence[str] | None, baselines: Sequence[object] | None
) -> list[tuple[str, str | None]]:
    """The networks with their ``--weights``, None for the default ones."""
    names = list(models or ([] if baselines and not weights else [DEFAULT_MODEL]))
    if weights and len(weights) != len(names):
        raise UsageError(
            f"{len(weights)} --weights for {len(names)} --model",
            f"give one for each, in the same order; '{DEFAULT_WEIGHTS}' means the default ones",
        )
    specs = [None if spec == DEFAULT_WEIGHTS else spec for spec in weights or [DEFAULT_WEIGHTS] * len(names)]
    return list(zip(names, specs, strict=True))


def _find_dataset(
    dataset: options.Dataset, root: Path | None, split: str, blurred: Path | None, sharp: Path | None
) -> "FoundData":
    from defocusctl.data.datasets import data_root, find_data, pairs_data, photos_data

    if dataset is options.Dataset.PAIRS and blurred and sharp:
        return pairs_data(blurred, sharp)
    if dataset is options.Dataset.PHOTOS and blurred and not sharp:
        return photos_data(blurred)
    if blurred or sharp:
        raise UsageError(
            f"--blurred and --sharp do not go with --dataset {dataset.value} like this",
            "'pairs' takes both, 'photos' takes --blurred, the others take --root",
        )
    return find_data(dataset.value, data_root(root), split)


def _load_candidates(
    models: Sequence[tuple[str, str | None]],
    baselines: Sequence[options.Baseline],
    radius: float,
    settings: "RestoreSettings",
    offline: bool,
    quiet: bool,
) -> "list[Candidate]":
    """The untouched input, the classical methods and the networks, each with a distinct label."""
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.evaluation.methods import classical, network, untouched, with_distinct_labels

    candidates = [untouched(), *(classical(baseline.value, radius) for baseline in baselines)]
    for model, spec in models:
        with download_bar(f"weights for {model}", quiet=quiet) as on_download:
            loaded = Deblurrer.load(model, spec, settings, offline=offline, on_download=on_download)
        if loaded.weights.note:
            say(loaded.weights.note)
        candidates.append(network(loaded))
    return with_distinct_labels(candidates)


def _load_lpips(offline: bool, quiet: bool) -> "Lpips | None":
    """LPIPS, or None and a warning if AlexNet's weights are not available."""
    from defocusctl.evaluation.metrics import load_lpips

    try:
        with download_bar("AlexNet for LPIPS", quiet=quiet) as on_download:
            return load_lpips(offline=offline, on_progress=on_download)
    except WeightsError as error:
        say_warning(f"no LPIPS: {error}")
        return None


def _expectations(
    expect: str | None, dataset: str, candidates: "Sequence[Candidate]", protocols: Sequence[str], lpips: bool
) -> "list[Expectation]":
    from defocusctl.evaluation.summary import expected_from_file, expected_from_papers

    if expect is None:
        return []
    methods = [candidate.info for candidate in candidates]
    if expect == PUBLISHED:
        found = expected_from_papers(dataset, methods, protocols)
    else:
        found = expected_from_file(Path(expect), methods, protocols)
    return [expectation for expectation in found if lpips or expectation.metric != "lpips"]


def _score(run: "Run", out: Path | None, resume: bool, save_images: bool, quiet: bool) -> "Evaluation":
    from defocusctl.cli.eval_table import RunningMeans
    from defocusctl.evaluation.run import evaluate as score

    means = RunningMeans()
    with step_bar(run.found.title, quiet=quiet) as advance:
        return score(
            run,
            out=out,
            resume=resume,
            save_images=save_images,
            on_rows=lambda done, rows: advance(done, len(run.images), means.add(rows)),
        )


def _print(evaluation: "Evaluation", as_json: bool, quiet: bool) -> None:
    if as_json:
        from defocusctl.evaluation.summary import as_json as summary

        put_json(summary(evaluation), indent=2)
    elif not quiet:
        from defocusctl.cli.eval_table import print_tables

        print_tables(evaluation)
    for problem in evaluation.problems:
        say_warning(problem)


def _write_files(out: Path, evaluation: "Evaluation", run: "Run", quiet: bool) -> None:
    from defocusctl.evaluation.run import REPORT
    from defocusctl.evaluation.summary import write_tables
    from defocusctl.reports.evaluation import write_report
    from defocusctl.reports.evaluation_pictures import report_pictures

    written = write_tables(out, evaluation)
    write_report(out / REPORT, evaluation, report_pictures(evaluation, run))
    for path in () if quiet else (*written, out / REPORT):
        say(str(path))


def _check_expectations(
    evaluation: "Evaluation", expect: str, expected: "Sequence[Expectation]", tolerance: float, quiet: bool
) -> None:
    from defocusctl.evaluation.summary import deviations

    found = deviations(evaluation, expected, tolerance)
    for deviation in found:
        say_error(deviation)
    if found:
        raise ExpectationError(
            f"{len(found)} of {len(expected)} figures differ from {expect}",
            "check data, protocol and weights, or --tolerance",
        )
    if not quiet:
        say(f"all {len(expected)} figures agree with {expect}")
