"""Options that several commands share, so that they read the same everywhere."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from defocusctl.cli.console import say_warning
from defocusctl.errors import UsageError
from defocusctl.models.plugins import BUILT_IN, DEFAULT_MODEL, check_model, model_names, plugins

if TYPE_CHECKING:
    from defocusctl.photo import Mask
    from defocusctl.restoring.settings import RestoreSettings

DEFAULT_MAX_MEGAPIXELS = 300.0
"""The value in ``photo``, which takes too long to import for --help; the tests keep the two equal."""
Backend = Literal["torch", "onnxruntime", "openvino"]
"""What runs the network; checked against ``backends`` in the tests, which loads torch."""


def command_of(run: Callable[[Any], None]) -> Callable[..., None]:
    """``run`` as Typer needs it: a function with a parameter for each field of the dataclass ``call``.

    The command's own options come before those that it shares.
    """
    options = get_type_hints(run)["call"]

    def command(**values: Any) -> None:
        run(options(**values))

    parameters = inspect.signature(options).parameters
    order = [name for kind in options.__mro__ for name in inspect.get_annotations(kind)]
    own_first = [parameters[name] for name in dict.fromkeys(order)]
    command.__signature__ = inspect.Signature(own_first)  # type: ignore[attr-defined]
    command.__annotations__ = get_type_hints(options, include_extras=True)
    command.__doc__ = run.__doc__
    return command


def known_model(name: str) -> str:
    """The name of a network, built in or from an installed package.

    Raises:
        ModelError: if there is no network of that name.
    """
    for plugin in plugins():
        if plugin.name == name and name in BUILT_IN:
            say_warning(f"the network '{name}' of {plugin.package} is not used: {plugin.problem}")
    return check_model(name)


def completed_models(incomplete: str) -> list[str]:
    """The networks whose names begin like this, for shell completion."""
    return [name for name in model_names() if name.startswith(incomplete)]


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        parser=known_model,
        autocompletion=completed_models,
        help="The network: iniknet, nrknet, or one from an installed package.",
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME|PATH|hf://...",
        help="Weights: a name from 'weights list', a file, or one on the Hugging Face Hub. "
        "[default: the first available, see docs/weights.md]",
        show_default=False,
    ),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:i]|mps")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show only warnings and errors.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where the datasets are. [default: DEFOCUSCTL_DATA]"),
]
LpipsOption = Annotated[
    bool, typer.Option("--lpips/--no-lpips", help="Score LPIPS, which needs AlexNet's weights.")
]
ResumeScoresOption = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")]


@dataclass(frozen=True, kw_only=True)
class RestoringOptions:
    """How to restore: the options of every command that restores photos."""

    tile: Annotated[
        str, typer.Option(metavar="auto|N|0", help="Tile size in pixels; 0 is the whole photo.")
    ] = "auto"
    overlap: Annotated[
        str, typer.Option(metavar="auto|N", help="Context at every cut edge of a tile, in pixels.")
    ] = "auto"
    device: DeviceOption = "auto"
    precision: Annotated[str, typer.Option(metavar="auto|fp32|bf16|fp16")] = "auto"
    backend: Annotated[
        Backend, typer.Option(help="What runs the network; all except torch need extras (docs/export.md).")
    ] = "torch"
    white: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="White in floating-point photos, such as 255. [default: 1]",
            show_default=False,
        ),
    ] = None
    offline: OfflineOption = False
    quiet: QuietOption = False

    def restoring(
        self, *, scale: str = "1", max_blur: float | None = None, strength: float = 1.0, clip: bool = True
    ) -> "RestoreSettings":
        """The settings for these options.

        Raises:
            UsageError: if an option is invalid.
        """
        check_above_zero("--white", self.white)
        tile, overlap = _number_or_auto("--tile", self.tile), _number_or_auto("--overlap", self.overlap)

        from defocusctl.restoring.settings import RestoreSettings

        return RestoreSettings(
            tile=tile,
            overlap=overlap,
            device=self.device,
            precision=self.precision,
            scale=scale,
            max_blur=max_blur,
            strength=strength,
            clip=clip,
            backend=self.backend,
        )


@dataclass(frozen=True, kw_only=True)
class PhotoOptions(RestoringOptions):
    """The options of commands that write deblurred photos."""

    model: ModelOption = DEFAULT_MODEL
    weights: WeightsOption = None
    scale: Annotated[
        str,
        typer.Option(
            metavar="auto|1|1/2|1/4|1/8",
            help="The size at which the network sees the photo; auto chooses by blur radius, part by part.",
        ),
    ] = "auto"
    max_blur: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS", help="Leave alone what is blurred by a larger radius, such as a background."
        ),
    ] = None
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A picture of the photo's shape: deblur only what is white in it."),
    ] = None
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Blend: 0 is the original, 1 the network's result.")
    ] = 1.0
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="For JPEG, WebP, AVIF and HEIC. [default: at least the input's quality]"
        ),
    ] = None
    maps: Annotated[
        bool,
        typer.Option("--maps", help="Draw blur radius, levels, coefficients and atoms, beside the result."),
    ] = False
    compare: Annotated[
        bool, typer.Option("--compare", help="Draw before and after in one picture, beside the result.")
    ] = False
    max_megapixels: Annotated[float, typer.Option(min=0.0, help="Refuse larger photos.")] = (
        DEFAULT_MAX_MEGAPIXELS
    )

    def settings(self) -> "RestoreSettings":
        """The settings for these options.

        Raises:
            UsageError: if an option is invalid.
        """
        return self.restoring(scale=self.scale, max_blur=self.max_blur, strength=self.strength)

    def read_mask(self) -> "Mask | None":
        """The picture in the mask's file.

        Raises:
            InputError: if it cannot be read, or is all black or all white.
        """
        if self.mask is None:
            return None

        from defocusctl.photo import read_mask

        return read_mask(self.mask, self.max_megapixels)


def check_finite(option: str, value: float | None) -> None:
    """Refuse values that click takes for numbers but that are none.

    Raises:
        UsageError: if it is infinite or not a number.
    """
    if value is not None and not isfinite(value):
        raise UsageError(f"{option} {value:g} is not possible", "give a finite number")


def check_above_zero(option: str, value: float | None) -> None:
    """Refuse values that are not above 0.

    Raises:
        UsageError: if it is 0, negative, or not a number.
    """
    if value is not None and not value > 0:
        raise UsageError(f"{option} {value:g} is not possible", "give a number above 0")


def _number_or_auto(option: str, text: str) -> int | None:
    """``auto`` as None, else a whole number; a UsageError for anything else."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"{option} {text} is not understood", "give 'auto' or a number of pixels")
    return int(text)
