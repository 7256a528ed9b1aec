"""``defocusctl reproduce``: a paper's table with the authors' weights, measured beside published."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import plain, put, put_json, put_table, say_warning
from defocusctl.cli.deblur import load
from defocusctl.cli.options import (
    DeviceOption,
    LpipsOption,
    OfflineOption,
    QuietOption,
    ResumeScoresOption,
    RootOption,
)
from defocusctl.errors import DataError, ExpectationError, UsageError, WeightsError

if TYPE_CHECKING:
    from defocusctl.data.found import FoundData
    from defocusctl.evaluation.reproduction import Figure, PaperSet

HEADS = ("set", "trained on", "method", "metric", "published", "measured", "difference")
NAMES = "iniknet-table-1|iniknet-table-2|nrknet-table-1|nrknet-table-2"


@dataclass(frozen=True, kw_only=True)
class ReproduceCall:
    table: Annotated[str, typer.Argument(metavar=NAMES, help="The table.")]
    root: RootOption = None
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", "-d", metavar="NAME", help="Only this set of the table; repeatable."),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH|hf://...", help="Weights instead of those that the authors published."
        ),
    ] = None
    lpips: LpipsOption = True
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference of PSNR in dB that counts as the same.")
    ] = 0.02
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Keep the scores of every set, to resume."),
    ] = None
    resume: ResumeScoresOption = False
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Go on with sets that have problems.")
    ] = False
    device: DeviceOption = "auto"
    offline: OfflineOption = False
    quiet: QuietOption = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout.")] = False


def reproduce(call: ReproduceCall) -> None:
    """Run a paper's table with its authors' weights; exit with 9 if a PSNR differs from the published one."""
    from defocusctl.cli.bars import doing

    with doing("starting", quiet=call.quiet):
        parts = _parts(call)
    found = {part.dataset: _checked(call, part.dataset) for part in parts}
    lines: list[tuple[PaperSet, Figure]] = []
    for part, spec in parts.items():
        lines += [(part, figure) for figure in _figures(call, part, spec, found[part.dataset])]
    if not lines:
        cause = "no set of the table is for the training data of these weights"
        raise WeightsError(cause, "leave out --weights, or give those of a network trained as the paper's")
    _print(call, lines)
    psnr = [figure for _, figure in lines if figure.metric == "psnr"]
    differing = [figure for figure in psnr if not abs(figure.difference) <= call.tolerance]
    if differing:
        raise ExpectationError(
            f"{len(differing)} of {len(psnr)} PSNR differ from {call.table} "
            f"by more than {call.tolerance:g} dB",
            "check data set and weights; 'eval --protocol all' scores them under other protocols",
        )
    if not call.as_json:
        put(f"every PSNR agrees with {call.table} within {call.tolerance:g} dB")


def _parts(call: ReproduceCall) -> "dict[PaperSet, str]":
    """The sets of the table with the weights for each; those nobody published weights for are named."""
    from defocusctl.evaluation.reproduction import paper_tables
    from defocusctl.weights.registry import load_registry

    tables = paper_tables()
    if call.table not in tables:
        raise UsageError(f"there is no table '{call.table}'", f"there are {', '.join(tables)}")
    names = dict.fromkeys(part.dataset for part in tables[call.table])
    wanted = set(call.datasets or names)
    if unknown := wanted - set(names):
        raise UsageError(f"{call.table} has no set '{min(unknown)}'", f"it has {', '.join(names)}")
    if call.resume and call.out is None:
        raise UsageError("--resume needs a folder", "give --out DIR")
    registry = load_registry()
    parts = {}
    for part in tables[call.table]:
        if part.dataset not in wanted:
            continue
        entry = part.weights(registry)
        if call.weights is None and entry is None:
            say_warning(
                f"{part.dataset} left out: no weights of {part.model} trained on {part.trained_on} are known"
            )
        else:
            parts[part] = call.weights or (entry.name if entry else "")
    return parts


def _checked(call: ReproduceCall, dataset: str) -> "FoundData":
    """The set, whole and undamaged unless partial ones are allowed."""
    from defocusctl.cli.bars import doing, step_bar
    from defocusctl.data.found import read_headers
    from defocusctl.data.search import data_root, find_data

    with doing(f"looking for {dataset}", quiet=call.quiet):
        found = find_data(dataset, data_root(call.root))
    with step_bar(f"checking {dataset}", quiet=call.quiet) as advance:
        headers = read_headers(found, advance)
    problems = (*found.problems, *headers.problems)
    if problems and not call.allow_partial:
        cause = f"{found.title}: {problems[0]}"
        raise DataError(cause, "see 'defocusctl datasets check', or give --allow-partial")
    for problem in problems:
        say_warning(problem)
    return found


def _figures(call: ReproduceCall, part: "PaperSet", spec: str, found: "FoundData") -> "Sequence[Figure]":
    """Score one set; nothing if the weights were trained on other data than its figures."""
    from defocusctl.cli.bars import step_bar
    from defocusctl.cli.eval import load_metric
    from defocusctl.evaluation.files import write_tables
    from defocusctl.evaluation.methods import network_alone, untouched
    from defocusctl.evaluation.protocols import PROTOCOLS
    from defocusctl.evaluation.reproduction import figures
    from defocusctl.evaluation.run import Run, evaluate, select_images
    from defocusctl.restoring.settings import RestoreSettings

    settings = RestoreSettings(device=call.device, precision="fp32")
    loaded = load(part.model, spec, settings, offline=call.offline, quiet=call.quiet)
    if loaded.trained_on != part.trained_on:
        return []
    metric = load_metric(offline=call.offline, quiet=call.quiet) if call.lpips else None
    images = select_images(found, None, None, 0)
    run = Run(found, images, [untouched(), network_alone(loaded)], [PROTOCOLS[part.protocol]], metric)
    out = call.out / f"{part.dataset}-{part.trained_on.lower()}" if call.out else None
    with step_bar(found.title, quiet=call.quiet) as advance:
        evaluation = evaluate(
            run,
            out=out,
            resume=call.resume,
            save_images=False,
            on_rows=lambda done, _: advance(done, len(images)),
        )
    if out is not None:
        write_tables(out, evaluation)
    if evaluation.problems and not call.allow_partial:
        raise DataError(f"{found.title}: {evaluation.problems[0]}", "fix it, or give --allow-partial")
    return figures(evaluation, part)


def _print(call: ReproduceCall, lines: "Sequence[tuple[PaperSet, Figure]]") -> None:
    if call.as_json:
        put_json(
            [
                {
                    "dataset": part.dataset,
                    "trained_on": part.trained_on,
                    "protocol": part.protocol,
                    **figure._asdict(),
                    "difference": figure.difference,
                }
                for part, figure in lines
            ],
            indent=2,
        )
        return
    from rich.table import Table

    table = Table(*HEADS)
    for part, figure in lines:
        numbers = (f"{figure.published:.3f}", f"{figure.measured:.4f}", f"{figure.difference:+.4f}")
        table.add_row(
            *map(plain, (part.dataset, part.trained_on, figure.method, figure.metric.upper(), *numbers))
        )
    put_table(table)
    put(f"{lines[0][0].source}, protocol {lines[0][0].protocol}")
