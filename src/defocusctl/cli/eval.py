"""What ``defocusctl eval`` does with its options: scores on a dataset, in comparable figures."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from statistics import fmean

from rich import box
from rich.table import Column, Table

from defocusctl.cli.bars import doing, download_bar, step_bar
from defocusctl.cli.console import plain, put, put_json, put_table, say, say_error, say_warning
from defocusctl.cli.deblur import load
from defocusctl.cli.eval_options import EvalCall
from defocusctl.data.found import FoundData
from defocusctl.data.search import data_root, find_data, pairs_data, photos_data
from defocusctl.errors import DataError, ExpectationError, UsageError, WeightsError
from defocusctl.evaluation import files
from defocusctl.evaluation.methods import Candidate, classical, network, untouched, with_distinct_labels
from defocusctl.evaluation.metrics import Lpips, load_lpips
from defocusctl.evaluation.protocols import PROTOCOLS
from defocusctl.evaluation.results import Evaluation, Method, Row
from defocusctl.evaluation.run import REPORT, Run, evaluate, select_images
from defocusctl.evaluation.table import (
    GAIN_DECIMALS,
    ScoreTable,
    interval_text,
    score_table,
    seconds_per_megapixel,
)

NETWORK_ALONE = "1"  # the scale of the published protocols: the network alone, on the photo as it is


def score_dataset(call: EvalCall, networks: Sequence[tuple[str, str | None]], found: FoundData) -> None:
    """Score the networks on what was found; write, print and check the figures."""
    images = select_images(found, call.limit, call.sample, call.seed, call.white)
    candidates = _candidates(call, networks)
    expected = _expectations(call, found.dataset, [candidate.info for candidate in candidates])
    metric = load_metric(offline=call.offline, quiet=call.quiet) if call.lpips and images[0].sharp else None
    run = Run(found, images, candidates, [PROTOCOLS[name] for name in call.protocols], metric)
    evaluation = _score(run, call)
    written = [] if call.out is None else _write_files(call.out, evaluation, run, quiet=call.quiet)
    _print(evaluation, call)
    for path in () if call.quiet else written:
        say(str(path))
    if call.expect is not None:
        _check_expectations(evaluation, call, expected)
    if evaluation.problems and not call.allow_partial:
        cause = f"{len(evaluation.problems)} problems with {found.title}, the first: {evaluation.problems[0]}"
        raise DataError(cause, "fix them, or give --allow-partial")


def find_dataset(call: EvalCall) -> FoundData:
    """The photos to score; a UsageError if folders do not fit the dataset, a DataError if it is not there."""
    blurred, sharp = call.blurred, call.sharp
    if call.dataset == "pairs" and blurred and sharp:
        return pairs_data(blurred, sharp)
    if call.dataset == "photos" and blurred and not sharp:
        return photos_data(blurred)
    if blurred or sharp:
        cause = f"--blurred and --sharp do not go with --dataset {call.dataset} like this"
        raise UsageError(cause, "'pairs' takes both, 'photos' takes --blurred, the others take --root")
    return find_data(call.dataset, data_root(call.root), call.split)


def _candidates(call: EvalCall, networks: Sequence[tuple[str, str | None]]) -> list[Candidate]:
    """The untouched input, the classical methods and the networks, each with a distinct label."""
    baselines = [classical(baseline.value, call.disc_radius) for baseline in call.baselines or ()]
    settings = [call.restoring(clip=False)]
    if call.scale != NETWORK_ALONE:
        settings.append(call.restoring(scale=call.scale))
    loaded = [
        network(load(model, spec, each, offline=call.offline, quiet=call.quiet))
        for model, spec in networks
        for each in settings
    ]
    return with_distinct_labels([untouched(), *baselines, *loaded])


def load_metric(*, offline: bool, quiet: bool) -> Lpips | None:
    """LPIPS, or None and a warning if AlexNet's weights are not available."""
    try:
        with (
            doing("loading LPIPS", quiet=quiet),
            download_bar("AlexNet for LPIPS", quiet=quiet) as on_download,
        ):
            return load_lpips(offline=offline, on_progress=on_download)
    except WeightsError as error:
        say_warning(f"no LPIPS: {error}")
        return None


def _expectations(call: EvalCall, dataset: str, methods: Sequence[Method]) -> list[files.Expectation]:
    if call.expect is None:
        return []
    if call.expect == "published":
        found = files.expected_from_papers(dataset, methods, call.protocols)
    else:
        found = files.expected_from_file(Path(call.expect), methods, call.protocols)
    return [expectation for expectation in found if call.lpips or expectation.metric != "lpips"]


def _score(run: Run, call: EvalCall) -> Evaluation:
    psnr: dict[str, list[float]] = {}  # of each method, under the first protocol

    def show(done: int, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.protocol == rows[0].protocol and not isnan(row.psnr):
                psnr.setdefault(row.method, []).append(row.psnr)
        means = ", ".join(f"{method} {fmean(values):.2f}" for method, values in psnr.items())
        advance(done, len(run.images), f"PSNR in dB: {means}" if means else "")

    with step_bar(run.found.title, quiet=call.quiet) as advance:
        return evaluate(run, out=call.out, resume=call.resume, save_images=call.save_images, on_rows=show)


def _print(evaluation: Evaluation, call: EvalCall) -> None:
    if call.as_json:
        put_json(files.as_json(evaluation), indent=2)
    elif not call.quiet:
        _print_tables(evaluation)
    for problem in evaluation.problems:
        say_warning(problem)


def _write_files(out: Path, evaluation: Evaluation, run: Run, *, quiet: bool) -> list[Path]:
    with doing("making the report", quiet=quiet):
        from defocusctl.reports.evaluation import write_report
        from defocusctl.reports.evaluation_pictures import report_pictures

        written = files.write_tables(out, evaluation)
        write_report(out / REPORT, evaluation, report_pictures(evaluation, run))
    return [*written, out / REPORT]


def _check_expectations(
    evaluation: Evaluation, call: EvalCall, expected: Sequence[files.Expectation]
) -> None:
    found = files.deviations(evaluation, expected, call.tolerance)
    for deviation in found:
        say_error(deviation)
    if found:
        cause = f"{len(found)} of {len(expected)} figures differ from {call.expect}"
        raise ExpectationError(cause, "check data, protocol and weights, or --tolerance")
    if not call.quiet:
        say(f"all {len(expected)} figures agree with {call.expect}")


def _print_tables(evaluation: Evaluation) -> None:
    """Print a table of scores per protocol, comparisons of the networks, and their costs."""
    count = len({row.image for row in evaluation.rows})
    title = f"{evaluation.title}, {count} image{'' if count == 1 else 's'}"
    tables = [score_table(evaluation, protocol) for protocol in evaluation.protocols]
    if not evaluation.metrics:
        put(f"{title}: no reference to score them against")
        tables = []
    for table in tables:
        put_table(_scores(table, f"{title}, protocol {table.protocol}"))
        for item in table.comparisons:
            if item.metric == "psnr" and item.against != evaluation.input_label:
                gain = interval_text(item.difference, GAIN_DECIMALS)
                put(f"{item.method} minus {item.against}: {gain} dB")
    if any(method.is_reported_in(row) for row in evaluation.published for method in evaluation.methods):
        put("Δ: this run minus the published figure")
    for source, protocol in dict.fromkeys((row.source, row.protocol) for row in evaluation.published):
        put(f"published: {source}, protocol {protocol}")
    if any(method.kind != "input" for method in evaluation.methods):
        put_table(_costs(evaluation))


def _scores(scores: ScoreTable, title: str) -> Table:
    heads = [f"{name.removesuffix(' (dB)')} {arrow}" for name, arrow in scores.headings]
    table = _table([*heads, "gain (dB, 95 %)"], title)
    for group in scores.groups:
        if group.title:
            table.add_section()
            table.add_row(plain(group.title, "bold"))
        style = "dim italic" if group.is_published else ""
        for line in group.lines:
            table.add_row(plain(line.label), *(cell.text for cell in line.cells), line.gain, style=style)
            # below a published line, how much the methods of the same name differ
            for label in dict.fromkeys(label for cell in line.cells for label in cell.differences):
                table.add_row(plain(f"Δ {label}"), *(cell.differences.get(label, "") for cell in line.cells))
    return table


def _costs(evaluation: Evaluation) -> Table:
    table = _table(["seconds/megapixel", "parameters", "MACs/pixel"])
    for method in evaluation.methods:
        if method.kind != "input":
            parameters = f"{method.parameters:,}" if method.parameters else ""
            macs = f"{method.macs:,.0f}" if method.macs else ""
            table.add_row(plain(method.label), seconds_per_megapixel(evaluation, method), parameters, macs)
    return table


def _table(heads: Sequence[str], title: str | None = None) -> Table:
    return Table(
        Column("method", overflow="fold"),
        *(Column(head, justify="right", no_wrap=True) for head in heads),
        box=box.HORIZONTALS,
        pad_edge=False,
        title=plain(title) if title else None,
    )
