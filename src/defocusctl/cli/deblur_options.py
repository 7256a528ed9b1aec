"""The options of ``deblur`` and their checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from defocusctl.cli.options import (
    DEFAULT_MAX_MEGAPIXELS,
    Backend,
    BackendOption,
    CompareOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    MapsOption,
    MaskOption,
    MaxBlurOption,
    ModelOption,
    OfflineOption,
    OverlapOption,
    PrecisionOption,
    QuietOption,
    RestoringOptions,
    ScaleOption,
    TileOption,
    WeightsOption,
    WhiteOption,
    check_above_zero,
)
from defocusctl.errors import UsageError
from defocusctl.models.plugins import DEFAULT_MODEL

ENDINGS = {"--compare-to": ".png", "--maps-data": ".npz"}


@dataclass(frozen=True)
class DeblurCall(RestoringOptions):
    """The options of one call of ``deblur``."""

    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Photos; '-' reads stdin.")]
    model: ModelOption = DEFAULT_MODEL
    weights: WeightsOption = None
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; '-' is stdout. [default: photo_deblurred.jpg beside photo.jpg]",
            show_default=False,
        ),
    ] = None
    force: ForceOption = False
    scale: ScaleOption = "auto"
    max_blur: MaxBlurOption = None
    mask: MaskOption = None
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Blend: 0 is the original, 1 the network's result.")
    ] = 1.0
    region: Annotated[
        str | None, typer.Option(metavar="WxH+X+Y", help="Deblur only this part, as a quick preview.")
    ] = None
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="For JPEG, WebP, AVIF and HEIC. [default: at least the input's quality]"
        ),
    ] = None
    maps: MapsOption = False
    maps_dir: Annotated[
        Path | None, typer.Option("--maps-dir", metavar="DIR", help="Draw the maps in this folder instead.")
    ] = None
    maps_data: Annotated[
        Path | None, typer.Option("--maps-data", metavar="FILE.npz", help="Save the maps as arrays.")
    ] = None
    compare: CompareOption = False
    compare_to: Annotated[
        Path | None, typer.Option("--compare-to", metavar="FILE.png", help="Draw it to this file instead.")
    ] = None
    tile: TileOption = "auto"
    overlap: OverlapOption = "auto"
    device: DeviceOption = "auto"
    precision: PrecisionOption = "auto"
    backend: BackendOption = Backend.TORCH
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.0, help="Refuse larger photos.")
    ] = DEFAULT_MAX_MEGAPIXELS
    white: WhiteOption = None
    offline: OfflineOption = False
    as_json: JsonOption = False
    quiet: QuietOption = False

    def check(self) -> None:
        """Refuse options that are invalid for every input, before any is read.

        Raises:
            UsageError: if an option is invalid.
        """
        check_above_zero("--max-megapixels", self.max_megapixels)
        check_above_zero("--white", self.white)
        for option, name in (("--compare-to", self.compare_to), ("--maps-data", self.maps_data)):
            ending = ENDINGS[option]
            if name is not None and name.suffix.lower() != ending:
                raise UsageError(
                    f"{option} writes {ending[1:].upper()}, and '{name}' does not end in {ending}",
                    "give it another name",
                )
