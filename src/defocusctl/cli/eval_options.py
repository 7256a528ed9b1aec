"""``defocusctl eval`` and its options; the tests compare the values of choices with the packages below."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from defocusctl.cli.options import (
    LpipsOption,
    RestoringOptions,
    ResumeScoresOption,
    RootOption,
    check_above_zero,
    check_finite,
    completed_models,
    known_model,
)
from defocusctl.errors import UsageError
from defocusctl.models.plugins import DEFAULT_MODEL

DEFAULT_WEIGHTS = "default"

DatasetName = Literal[
    "dpdd", "lfdof", "realdof", "rtf", "cuhk", "realdefocus", "sdd", "idfd", "pairs", "photos"
]
"""The datasets of ``data.catalogue``, pairs and photos."""

ProtocolName = Literal["iniknet", "nrknet", "restormer", "ifan", "drbnet", "dpdnet", "gkmnet", "all"]
"""The protocols of ``evaluation.protocols``, and all of them in this order."""


class Baseline(StrEnum):
    """The classical methods of ``evaluation.methods``; Typer takes no list of a Literal."""

    UNSHARP = "unsharp"
    WIENER = "wiener"
    RICHARDSON_LUCY = "richardson-lucy"


@dataclass(frozen=True, kw_only=True)
class EvalCall(RestoringOptions):
    dataset: Annotated[DatasetName, typer.Option("--dataset", "-d", help="The dataset.")]
    root: RootOption = None
    split: Annotated[str, typer.Option(help="The split to score.")] = "test"
    blurred: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With 'pairs' or 'photos': the blurred photos.")
    ] = None
    sharp: Annotated[Path | None, typer.Option(metavar="DIR", help="With 'pairs': the sharp references.")] = (
        None
    )
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            parser=known_model,
            autocompletion=completed_models,
            help="A network; repeatable. [default: iniknet]",
            show_default=False,
        ),
    ] = None
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|PATH|hf://...|default", help="The weights of each --model, in the same order."
        ),
    ] = None
    scale: Annotated[
        str,
        typer.Option(
            metavar="auto|1/2|1/4|1/8",
            help="Also score each network as 'deblur' uses it at this scale. [default: only at scale 1]",
            show_default=False,
        ),
    ] = "1"
    baselines: Annotated[
        list[Baseline] | None,
        typer.Option("--baseline", help="A classical method to compare with; repeatable."),
    ] = None
    disc_radius: Annotated[
        float, typer.Option(min=0.5, max=50.0, help="Blur radius in pixels that the baselines assume.")
    ] = 2.0
    protocol: Annotated[
        ProtocolName,
        typer.Option(help="Whose scoring rules to use; 'all' scores the same outputs under each."),
    ] = "iniknet"
    lpips: LpipsOption = True
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Keep scores.csv, summary.json and report.html."),
    ] = None
    save_images: Annotated[bool, typer.Option("--save-images", help="Also keep the outputs in --out.")] = (
        False
    )
    resume: ResumeScoresOption = False
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Score only the first N images.")] = (
        None
    )
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Score only N random images.")] = None
    seed: Annotated[int, typer.Option(help="The seed for --sample.")] = 0
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Do not fail because of missing or bad images.")
    ] = False
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|published",
            help="Fail if means differ from a summary.json or from the papers' figures.",
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0, help="Largest difference for --expect: dB of PSNR; a fiftieth for other metrics."
        ),
    ] = 0.05
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False

    @property
    def protocols(self) -> list[str]:
        """The names of the selected protocols."""
        every = [name for name in get_args(ProtocolName) if name != "all"]
        return every if self.protocol == "all" else [self.protocol]

    def networks(self) -> list[tuple[str, str | None]]:
        """The networks with their ``--weights``, None for the default ones.

        Raises:
            UsageError: if there are not as many weights as networks.
        """
        names = list(self.models or ([] if self.baselines and not self.weights else [DEFAULT_MODEL]))
        if self.weights and len(self.weights) != len(names):
            remedy = f"give one for each, in the same order; '{DEFAULT_WEIGHTS}' means the default ones"
            raise UsageError(f"{len(self.weights)} --weights for {len(names)} --model", remedy)
        specs = self.weights or [DEFAULT_WEIGHTS] * len(names)
        return [
            (name, None if spec == DEFAULT_WEIGHTS else spec) for name, spec in zip(names, specs, strict=True)
        ]


def evaluate(call: EvalCall) -> None:
    """Score networks on a dataset, compared with the input, classical methods and published figures."""
    networks = call.networks()
    if (call.resume or call.save_images) and call.out is None:
        raise UsageError("--resume and --save-images need a folder", "give --out DIR")
    check_above_zero("--white", call.white)
    check_above_zero("--disc-radius", call.disc_radius)
    check_finite("--tolerance", call.tolerance)

    from defocusctl.cli.bars import doing

    with doing(f"looking for {call.dataset}", quiet=call.quiet):
        from defocusctl.cli.eval import find_dataset, score_dataset

        found = find_dataset(call)
    score_dataset(call, networks, found)
