"""Writes the rendered validation crops of a recipe as files for ``defocusctl eval``.

    python benchmarks/cards/rendered_pairs.py RECIPE.toml --data DIR OUT

Writes 8-bit PNGs to OUT/source and OUT/target, one pair per photo in the recipe's validation folder.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from defocusctl.training.recipe import read_recipe
from defocusctl.training.validation import RENDERED, ValidationSets


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    recipe = read_recipe(arguments.recipe)
    settings = recipe.validation.model_copy(update={"pairs": {}, "limit": None})
    pairs = ValidationSets(settings, recipe.data.rendering, arguments.data).sets[RENDERED]
    for index, pair in enumerate(pairs):
        write(arguments.out / "source" / f"{index:02}.png", pair.blurred)
        write(arguments.out / "target" / f"{index:02}.png", pair.sharp)


def write(path: Path, image: Tensor) -> None:
    """Write one crop, (3, H, W) in [0, 1], as an 8-bit file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
