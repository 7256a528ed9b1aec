"""Options that several commands share, so that they read the same everywhere."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from defocusctl.cli.console import say_warning
from defocusctl.errors import UsageError
from defocusctl.models.plugins import BUILT_IN, check_model, model_names, plugins

if TYPE_CHECKING:
    from defocusctl.restoring.settings import RestoreSettings

Options = TypeVar("Options")
DEFAULT_MAX_MEGAPIXELS = 300.0
"""The value in ``photo``, which takes too long to import for --help; the tests keep the two equal."""


class Backend(StrEnum):
    """What runs the network; checked against ``backends`` in the tests, which loads torch."""

    TORCH = "torch"
    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


def command_of(options: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """``run`` as Typer needs it: a function with a parameter for each field of the dataclass ``options``."""

    def command(**values: Any) -> None:
        run(options(**values))

    command.__signature__ = inspect.signature(options)  # type: ignore[attr-defined]
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
PrecisionOption = Annotated[str, typer.Option("--precision", metavar="auto|fp32|bf16|fp16")]
TileOption = Annotated[
    str, typer.Option("--tile", metavar="auto|N|0", help="Tile size in pixels; 0 is the whole photo.")
]
BackendOption = Annotated[
    Backend,
    typer.Option("--backend", help="What runs the network; all except torch need extras (docs/export.md)."),
]
MapsOption = Annotated[
    bool, typer.Option("--maps", help="Draw the coefficient maps, blur extent and atoms, beside the result.")
]
CompareOption = Annotated[
    bool, typer.Option("--compare", help="Draw before and after in one picture, beside the result.")
]
WhiteOption = Annotated[
    float | None,
    typer.Option(
        "--white",
        metavar="VALUE",
        help="White in floating-point photos, such as 255. [default: 1]",
        show_default=False,
    ),
]
ScaleOption = Annotated[
    str,
    typer.Option(
        "--scale",
        metavar="auto|1|1/2|1/4|1/8",
        help="The size at which the network sees the photo; auto chooses by blur radius, part by part.",
    ),
]
MaxBlurOption = Annotated[
    float | None,
    typer.Option(
        "--max-blur",
        metavar="PIXELS",
        help="Leave alone what is blurred by a larger radius, such as a background.",
    ),
]
MaskOption = Annotated[
    Path | None,
    typer.Option(
        "--mask", metavar="FILE", help="A picture of the photo's shape: deblur only what is white in it."
    ),
]
OverlapOption = Annotated[
    str, typer.Option("--overlap", metavar="auto|N", help="Pixels that neighbouring tiles share.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per input on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show only warnings and errors.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")]


class RestoringOptions:
    """How to restore, for the options of commands that restore photos."""

    tile: str
    overlap: str
    device: str
    precision: str
    scale: str
    max_blur: float | None
    strength: float
    backend: Backend

    def restoring(self) -> "RestoreSettings":
        """The settings for these options.

        Raises:
            UsageError: if an option is invalid.
        """
        tile, overlap = number_or_auto("--tile", self.tile), number_or_auto("--overlap", self.overlap)

        from defocusctl.restoring.settings import RestoreSettings

        return RestoreSettings(
            tile=tile,
            overlap=overlap,
            device=self.device,
            precision=self.precision,
            scale=self.scale,
            max_blur=self.max_blur,
            strength=self.strength,
            backend=self.backend.value,
        )


def check_above_zero(option: str, value: float | None) -> None:
    """Refuse values that are not above 0.

    Raises:
        UsageError: if it is 0, negative, or not a number.
    """
    if value is not None and not value > 0:
        raise UsageError(f"{option} {value:g} is not possible", "give a number above 0")


def number_or_auto(option: str, text: str) -> int | None:
    """``auto`` as None, else a whole number.

    Raises:
        UsageError: for anything else.
    """
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"{option} {text} is not understood", "give 'auto' or a number of pixels")
    return int(text)
