"""Whether weights survive what users do to them and with them.

python benchmarks/robustness.py MODEL WEIGHTS --data DIR --recipe RECIPE.toml [--full FILE] [--limit N]

Deblurs every photo of the recipe's real validation pairs, and every already sharp one, twice in a row. With
--full, compares the weights with the same ones in single precision. Prints Markdown tables.
"""

import argparse
from pathlib import Path

import numpy as np

from defocusctl.data.pairs import PhotoPair, pairs_in, photos_in
from defocusctl.data.pixels import PixelCache, as_float
from defocusctl.deblurrer import Deblurrer
from defocusctl.metrics import quality
from defocusctl.restore import RestoreSettings
from defocusctl.training.recipe import read_recipe

CACHE = PixelCache(0)


def restored(loaded: Deblurrer, pixels: np.ndarray) -> np.ndarray:
    """The photo through the default path, as 8-bit samples."""
    return loaded.restorer.restore(pixels, full_scale=255.0).pixels


def twice(loaded: Deblurrer, name: str, pairs: list[PhotoPair]) -> str:
    """Gains in dB after one and after two passes."""
    gains = []
    for pair in pairs:
        blurred, target = CACHE.rgb(pair.blurred), as_float(CACHE.rgb(pair.sharp))
        once = restored(loaded, blurred)
        before = quality(as_float(blurred), target).psnr
        gains.append(
            [quality(as_float(image), target).psnr - before for image in (once, restored(loaded, once))]
        )
    first, second = np.array(gains).T
    return (
        f"| {name} | {first.mean():+.2f} | {second.mean():+.2f} | {first.min():+.2f} | {second.min():+.2f} |"
    )


def sharp_twice(loaded: Deblurrer, photos: list[Path]) -> str:
    """PSNR of already sharp photos against themselves after one and after two passes."""
    scores = []
    for path in photos:
        pixels = CACHE.rgb(path)
        once = restored(loaded, pixels)
        scores.append(
            [quality(as_float(image), as_float(pixels)).psnr for image in (once, restored(loaded, once))]
        )
    first, second = np.array(scores).T
    return (
        f"Already sharp photos ({len(photos)}): {first.mean():.2f} dB after one pass, {second.mean():.2f} dB "
        f"after two ({first.min():.2f} and {second.min():.2f} dB at worst)."
    )


def half_against_full(half: Deblurrer, full: Deblurrer, name: str, pairs: list[PhotoPair]) -> str:
    """How much PSNR storing the weights in half precision costs."""
    losses = []
    for pair in pairs:
        blurred, target = CACHE.rgb(pair.blurred), as_float(CACHE.rgb(pair.sharp))
        scores = [quality(as_float(restored(loaded, blurred)), target).psnr for loaded in (half, full)]
        losses.append(scores[1] - scores[0])
    return f"| {name} | {np.mean(losses):.4f} | {max(losses):.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--full")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    validation = read_recipe(arguments.recipe).validation
    half = Deblurrer.load(arguments.model, arguments.weights, RestoreSettings(), offline=True)
    sets = {
        name: pairs_in(arguments.data / folder / "source", arguments.data / folder / "target")[
            : arguments.limit
        ]
        for name, folder in validation.pairs.items()
    }
    if arguments.full:
        full = Deblurrer.load(arguments.model, arguments.full, RestoreSettings(), offline=True)
        print("| set | mean loss by half precision (dB) | largest |\n|---|---|---|")
        for name, pairs in sets.items():
            print(half_against_full(half, full, name, list(pairs)), flush=True)
        print()
    print("| set | mean gain, one pass (dB) | two passes | worst, one | worst, two |\n|---|---|---|---|---|")
    for name, pairs in sets.items():
        print(twice(half, name, list(pairs)), flush=True)
    folders = [arguments.data / folder for folder in validation.sharp]
    photos = [path for folder in folders for path in photos_in(folder)][: arguments.limit]
    print("\n" + sharp_twice(half, photos))


if __name__ == "__main__":
    main()
