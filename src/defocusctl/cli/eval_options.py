"""The options of ``defocusctl eval``; the tests compare their values with the packages below."""

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
        """The selected protocols."""
        every = [name.value for name in ProtocolName if name is not ProtocolName.ALL]
        return every if self is ProtocolName.ALL else [self.value]


DatasetOption = Annotated[Dataset, typer.Option("--dataset", "-d", help="The data set.")]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="The folder it is in. [default: the variable DEFOCUSCTL_DATA]"
    ),
]
SplitOption = Annotated[str, typer.Option(help="The split to score.")]
BlurredOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="With 'pairs' or 'photos': the blurred photos.")
]
SharpOption = Annotated[Path | None, typer.Option(metavar="DIR", help="With 'pairs': the sharp references.")]
ModelsOption = Annotated[
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
    typer.Option("--baseline", help="A classical method to compare with; repeatable."),
]
DiscRadiusOption = Annotated[
    float, typer.Option(min=0.5, max=50.0, help="Blur radius in pixels that the baselines assume.")
]
ProtocolOption = Annotated[
    ProtocolName, typer.Option(help="Whose scoring rules to use; 'all' scores the same outputs under each.")
]
LpipsOption = Annotated[
    bool, typer.Option("--lpips/--no-lpips", help="Score LPIPS, which needs AlexNet's weights.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Keep scores.csv, summary.json and report.html."),
]
SaveImagesOption = Annotated[bool, typer.Option("--save-images", help="Also keep the outputs in --out.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
LimitOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Score only the first N images.")]
SampleOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Score only N random images.")]
SeedOption = Annotated[int, typer.Option(help="The seed for --sample.")]
AllowPartialOption = Annotated[
    bool, typer.Option("--allow-partial", help="Do not fail because of missing or bad images.")
]
ExpectOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|published",
        help="Fail if means differ from a summary.json or from the papers' figures.",
    ),
]
ToleranceOption = Annotated[
    float,
    typer.Option(min=0.0, help="Largest difference for --expect: dB of PSNR; a fiftieth for other metrics."),
]
SummaryOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")]
