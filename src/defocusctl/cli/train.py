"""``defocusctl train`` and ``defocusctl contact-sheet``: learning from rendered or real defocus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defocusctl.cli.console import say, step_bar
from defocusctl.cli.options import DeviceOption, ForceOption

if TYPE_CHECKING:
    from defocusctl.training.loop import Progress

RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, on what, how.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Where the recipe's folders are. [default: the recipe's folder]"
    ),
]


def train(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The folder of the run.")],
    data: DataOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the folder, if one is there.")
    ] = False,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0.0, help="Stop, resumably, after so long.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a network by a recipe; docs/training.md describes the keys."""
    from defocusctl.system.devices import choose_device
    from defocusctl.training.loop import train as run
    from defocusctl.training.recipe import read_recipe

    settings = read_recipe(recipe)
    with step_bar(settings.model) as advance:

        def show(progress: "Progress") -> None:
            advance(progress.step, progress.steps, f"loss {progress.loss:.4f}")
            for name, gain in (progress.gains or {}).items():
                say(
                    f"step {progress.step}: {name} {gain.psnr:.2f} dB ({gain.psnr - gain.input_psnr:+.2f}), "
                    f"SSIM {gain.ssim:.4f} ({gain.ssim - gain.input_ssim:+.4f}), "
                    f"worst pair {gain.worst_gain:+.2f} dB"
                )

        state = run(
            settings,
            data_root=data or recipe.parent,
            out=out,
            device=choose_device(device),
            resume=resume,
            max_minutes=max_minutes,
            on_progress=show,
        )
    done = f"{state.step} of {settings.steps} steps, {state.seconds / 60:.1f} minutes"
    say(f"{out / 'weights.safetensors'}: {done}")
    if state.step < settings.steps:
        say("The run is not finished: continue it with --resume.")


def contact_sheet(
    recipe: RecipeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.png", help="The picture to write.")],
    data: DataOption = None,
    count: Annotated[int, typer.Option(min=1, max=200, help="Rendered pairs to draw.")] = 12,
    force: ForceOption = False,
) -> None:
    """Draw rendered training pairs with their radius maps, to look at beside real defocused photos."""
    from defocusctl.training.contact_sheet import draw_contact_sheet
    from defocusctl.training.recipe import read_recipe

    draw_contact_sheet(read_recipe(recipe), data or recipe.parent, output, count, force=force)
    say(f"{output}: {count} pairs")
