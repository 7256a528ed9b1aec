"""``defocusctl train`` and ``defocusctl contact-sheet``: learning from rendered or real defocus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import say
from defocusctl.cli.options import DeviceOption, ForceOption, OfflineOption, check_finite
from defocusctl.errors import WeightsError

if TYPE_CHECKING:
    from defocusctl.evaluation.metrics import Lpips
    from defocusctl.training.loop import Progress

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="The training recipe.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder that the recipe's paths start from. [default: the recipe's folder]",
    ),
]


def train(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The folder for the run.")],
    data: DataOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoint in the folder, if there is one.")
    ] = False,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after this many minutes; --resume continues.")
    ] = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
) -> None:
    """Train a network from a recipe; docs/training.md describes the keys."""
    check_finite("--max-minutes", max_minutes)

    from defocusctl.cli.bars import doing, step_bar

    with doing("starting"):
        from defocusctl.system.devices import choose_device, memory_errors
        from defocusctl.training.loop import train as run
        from defocusctl.training.processes import started_processes
        from defocusctl.training.recipe import read_recipe

    settings = read_recipe(recipe)
    lpips = _lpips(offline) if settings.loss.perceptual_weight > 0 else None
    with (
        started_processes(choose_device(device)) as processes,
        step_bar(settings.model, quiet=not processes.is_first) as advance,
    ):

        def show(progress: "Progress") -> None:
            advance(progress.step, progress.steps, f"loss {progress.loss:.4f}")
            for name, score in (progress.scores or {}).items():
                say(f"step {progress.step}: {name} {score}")

        with memory_errors("the crops of this recipe"):
            state = run(
                settings,
                data_root=data or recipe.parent,
                out=out,
                device=processes.device,
                resume=resume,
                max_minutes=max_minutes,
                on_progress=show,
                lpips=lpips,
                processes=processes,
            )
    if not processes.is_first:
        return
    done = f"{state.step} of {settings.steps} steps, {state.seconds / 60:.1f} minutes"
    say(f"{out / 'weights.safetensors'}: {done}")
    if state.step < settings.steps:
        say("The run is not finished: continue with --resume.")


def _lpips(offline: bool) -> "Lpips":
    """The metric for the loss: an error now if its weights cannot be had, not hours later."""
    from defocusctl.cli.bars import download_bar
    from defocusctl.evaluation.metrics import load_lpips

    try:
        with download_bar("AlexNet for LPIPS", quiet=False) as on_download:
            return load_lpips(offline=offline, on_progress=on_download)
    except WeightsError as error:
        remedy = (
            "run 'defocusctl weights fetch alexnet' while online, or set perceptual_weight to 0 in [loss]"
        )
        raise WeightsError(error.cause, remedy) from error


def contact_sheet(
    recipe: RecipeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.png", help="The picture to write.")],
    data: DataOption = None,
    count: Annotated[int, typer.Option(min=1, max=200, help="Rendered pairs to draw.")] = 12,
    force: ForceOption = False,
) -> None:
    """Draw rendered training pairs with their radius maps, to compare with real defocused photos."""
    from defocusctl.cli.bars import doing

    with doing(f"rendering and drawing {count} pairs"):
        from defocusctl.training.contact_sheet import draw_contact_sheet
        from defocusctl.training.recipe import read_recipe

        draw_contact_sheet(read_recipe(recipe), data or recipe.parent, output, count, force=force)
    say(f"{output}: {count} pairs")
