"""A picture of what a recipe renders: blurred, sharp and circle radius, pair by pair."""

from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from defocusctl.data.batches import RenderedSource, StepCrops
from defocusctl.data.defocus import render
from defocusctl.data.pairs import PixelCache, photos_below
from defocusctl.errors import DataError, OutputError, UsageError
from defocusctl.system.atomic import atomic_write
from defocusctl.training.recipe import Recipe, Stage

PAIRS_PER_ROW = 3
SMALLEST_CROP, LARGEST_CROP = 64, 256


def tile_side(stage: Stage) -> int:
    """The crop of a stage in pixels, within what can be looked at."""
    return min(max(stage.crop, SMALLEST_CROP), LARGEST_CROP)


def draw_contact_sheet(recipe: Recipe, root: Path, target: Path, count: int, *, force: bool) -> None:
    """Render ``count`` pairs as the recipe's last stage would and draw them with their radius maps in pixels.

    Raises:
        UsageError: if the picture is to be anything but a PNG.
        DataError: if the recipe renders nothing.
        OutputError: if the picture cannot be written, or would replace a photo of the recipe.
    """
    if target.suffix.lower() != ".png":
        raise UsageError(f"'{target}' does not end in .png", "the contact sheet is a PNG")
    stage = recipe.stages[-1]
    if not stage.sharp:
        raise DataError("this recipe renders no defocus", "give it 'sharp' folders under [data]")
    photos, depth = photos_below(root, stage.sharp), photos_below(root, recipe.data.depth)
    if target.exists() and any(target.samefile(path) for path in (*photos, *depth)):
        raise OutputError(f"'{target}' is a photo of the recipe", "give another name with -o")
    source = RenderedSource(photos, depth, 1.0)
    cache = PixelCache(0, recipe.data.white)
    side = tile_side(stage)
    crops = StepCrops([source], stage.rendering, cache, batch=count, crop=side, seed=stage.seed)[0]
    generator = torch.Generator().manual_seed(stage.seed)
    pairs = render(stage.rendering, crops.sharp, crops.depth, generator)
    assert pairs.radius is not None
    rows = -(-count // PAIRS_PER_ROW)
    figure = Figure(figsize=(4.2 * PAIRS_PER_ROW, 1.32 * rows + 0.3), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 3 * PAIRS_PER_ROW, squeeze=False)
    largest = stage.rendering.max_radius[1]
    for axis in axes.flat:
        axis.set_axis_off()
    for index in range(count):
        row, column = divmod(index, PAIRS_PER_ROW)
        blurred, sharp, radius = axes[row, 3 * column : 3 * column + 3]
        blurred.imshow(pairs.blurred[index].permute(1, 2, 0).numpy())
        sharp.imshow(pairs.sharp[index].permute(1, 2, 0).numpy())
        shown = radius.imshow(pairs.radius[index].numpy(), vmin=0, vmax=largest, cmap="magma")
        if row == 0:
            for axis, title in ((blurred, "rendered"), (sharp, "sharp"), (radius, "radius")):
                axis.set_title(title, fontsize=8)
    figure.subplots_adjust(
        left=0.01, right=0.93, top=1 - 0.3 / figure.get_figheight(), bottom=0.01, wspace=0.03, hspace=0.03
    )
    bar = figure.colorbar(shown, cax=figure.add_axes((0.94, 0.1, 0.012, 0.8)))
    bar.set_label("circle of confusion, radius in pixels", fontsize=8)
    with atomic_write(target, force=force) as handle:
        figure.savefig(handle, format="png")
