"""The options of ``defocusctl eval``; what they can name is held against the rooms below in the tests."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from defocusctl.cli.options import completed_models, known_model


class Dataset(StrEnum):
    """The data sets of ``data.datasets``."""

    DPDD = "dpdd"
    LFDOF = "lfdof"
    REALDOF = "realdof"
    RTF = "rtf"
    CUHK = "cuhk"
    PAIRS = "pairs"
    PHOTOS = "photos"


class Baseline(StrEnum):
    """The classical methods of ``evaluation.classical``."""

    UNSHARP = "unsharp"
    WIENER = "wiener"
    RICHARDSON_LUCY = "richardson-lucy"


class ProtocolName(StrEnum):
    """The protocols of ``evaluation.metrics``, and all of them in this order."""

    INIKNET = "iniknet"
    NRKNET = "nrknet"
    RESTORMER = "restormer"
    IFAN = "ifan"
    DRBNET = "drbnet"
    DPDNET = "dpdnet"
    GKMNET = "gkmnet"
    ALL = "all"

    @property
    def names(self) -> list[str]:
        """The protocols that are meant."""
        every = [name.value for name in ProtocolName if name is not ProtocolName.ALL]
        return every if self is ProtocolName.ALL else [self.value]


DatasetOption = Annotated[Dataset, typer.Option("--dataset", "-d", help="The data set.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where it is. [default: the variable DEFOCUSCTL_DATA]"),
]
SplitOption = Annotated[str, typer.Option(help="The part of it.")]
BlurredOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="With 'pairs' or 'photos': the blurred photos.")
]
SharpOption = Annotated[Path | None, typer.Option(metavar="DIR", help="With 'pairs': their references.")]
ModelsOption = Annotated[
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
]
WeightsOfModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="NAME|PATH|hf://...|default",
        help="The weights of each --model, in the same order.",
    ),
]
BaselinesOption = Annotated[
    list[Baseline] | None,
    typer.Option("--baseline", help="A classical method to measure against; may be repeated."),
]
DiscRadiusOption = Annotated[
    float, typer.Option(min=0.5, max=50.0, help="Blur radius in pixels that the baselines assume.")
]
ProtocolOption = Annotated[
    ProtocolName, typer.Option(help="Whose way of scoring; 'all' scores the same outputs under each.")
]
LpipsOption = Annotated[
    bool, typer.Option("--lpips/--no-lpips", help="Score LPIPS, which needs AlexNet's weights.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Keep scores.csv, summary.json and report.html."),
]
SaveImagesOption = Annotated[bool, typer.Option("--save-images", help="Keep the outputs in --out too.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")]
SampleOption = Annotated[int | None, typer.Option(min=1, help="Only so many random images.")]
SeedOption = Annotated[int, typer.Option(help="Which random images.")]
AllowPartialOption = Annotated[
    bool, typer.Option("--allow-partial", help="Missing or bad images do not make the run fail.")
]
ExpectOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|published",
        help="Fail if means differ from a summary.json or from the papers' figures.",
    ),
]
ToleranceOption = Annotated[
    float, typer.Option(min=0.0, help="What --expect allows: dB of PSNR; a fiftieth of it elsewhere.")
]
SummaryOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")]
