"""How good weights are.

python benchmarks/quality.py MODEL WEIGHTS --data DIR --recipe RECIPE.toml [--limit N]

PSNR and SSIM of whole photos through the default restoring path beside the untouched input's, for every pair
folder of the recipe's validation table and for rendered defocus of its sharp photos; how far already sharp
photos are changed. Prints a Markdown table.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from defocusctl.data.pairs import pairs_in, photos_in
from defocusctl.data.pixels import PixelCache, as_float
from defocusctl.deblurrer import Deblurrer
from defocusctl.metrics import Quality, quality
from defocusctl.restore import RestoreSettings
from defocusctl.training.recipe import read_recipe
from defocusctl.training.validation import ValidationSets


def restored(loaded: Deblurrer, pixels: np.ndarray) -> np.ndarray:
    """The photo through the default path, float32 in [0, 1]."""
    return as_float(loaded.restorer.restore(pixels, full_scale=float(np.iinfo(pixels.dtype).max)).pixels)


def row(name: str, before: Iterable[Quality], after: Iterable[Quality]) -> str:
    """One line of the table."""
    before, after = list(before), list(after)
    gains = [a.psnr - b.psnr for a, b in zip(after, before, strict=True)]
    numbers = [
        np.mean([getattr(q, field) for q in side]) for side in (before, after) for field in ("psnr", "ssim")
    ]
    scores = f"{numbers[0]:.2f} / {numbers[1]:.4f} | {numbers[2]:.2f} / {numbers[3]:.4f}"
    spread = f"{np.mean(gains):+.2f} | {min(gains):+.2f} | {max(gains):+.2f}"
    return f"| {name} | {len(gains)} | {scores} | {spread} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    recipe = read_recipe(arguments.recipe)
    loaded = Deblurrer.load(arguments.model, arguments.weights, RestoreSettings(), offline=True)
    cache = PixelCache(0)
    print("| set | pairs | input PSNR / SSIM | output PSNR / SSIM | mean gain | worst | best |")
    print("|---|---|---|---|---|---|---|")
    for name, folder in recipe.validation.pairs.items():
        before, after = [], []
        for pair in pairs_in(arguments.data / folder / "source", arguments.data / folder / "target")[
            : arguments.limit
        ]:
            blurred, target = cache.rgb(pair.blurred), as_float(cache.rgb(pair.sharp))
            before.append(quality(as_float(blurred), target))
            after.append(quality(restored(loaded, blurred), target))
        print(row(name, before, after), flush=True)
    settings = recipe.validation.model_copy(update={"pairs": {}, "limit": arguments.limit})
    crops = ValidationSets(settings, recipe.data.rendering, arguments.data).sets["rendered"]
    before, after = [], []
    for blurred, sharp in crops:
        pixels = np.round(blurred.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        target = np.ascontiguousarray(sharp.permute(1, 2, 0).numpy())
        before.append(quality(as_float(pixels), target))
        after.append(quality(restored(loaded, pixels), target))
    print(row("rendered", before, after), flush=True)
    changes = []
    for path in [path for folder in recipe.validation.sharp for path in photos_in(arguments.data / folder)][
        : arguments.limit
    ]:
        pixels = cache.rgb(path)
        changes.append(quality(restored(loaded, pixels), as_float(pixels)).psnr)
    print(
        f"\nAlready sharp photos ({len(changes)}), output against input: "
        f"{np.mean(changes):.2f} dB on average, {min(changes):.2f} dB at worst."
    )


if __name__ == "__main__":
    main()
