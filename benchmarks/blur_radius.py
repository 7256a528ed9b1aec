"""Measures the blur radius network: against rendered truth, against fits to real pairs, and its cost.

    python benchmarks/blur_radius.py WEIGHTS --recipe recipes/blur-radius.toml --data DIR [--fits FITS.json]
        [--real DIR]

WEIGHTS is a safetensors file. The rendered scenes are the recipe's validation scenes. FITS.json comes from
``benchmarks/lens_fit.py``, for sets in the folder ``--real``. Prints Markdown tables.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from lens_fit import PATCH, pixels
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.flop_counter import FlopCounterMode

from defocusctl.data.pairs import PixelCache, photos_in
from defocusctl.models.blur_radius import CELL, BlurRadius
from defocusctl.models.iniknet import INIKNet
from defocusctl.training.radius_validation import BLURRED, IN_FOCUS, TEXTURED, RadiusValidation, score
from defocusctl.training.recipe import RENDERED, read_recipe
from defocusctl.weights.checkpoint import load_model

RANGES = ((0.0, 0.25), (0.25, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (16.0, 30.0))
CONTRASTS = ((0.0, 0.01), (0.01, 0.02), (0.02, 0.04), (0.04, 0.08), (0.08, 1.0))
HEADER = "cells | median truth (px) | median estimate (px) | mean error of log(1 + radius) | within sigma |"


class Cells:
    """Truth, estimate, its standard deviation and the sharp contrast, (N,) each."""

    def __init__(self, truth: Tensor, radius: Tensor, sigma: Tensor, contrast: Tensor) -> None:
        self.truth, self.radius, self.sigma, self.contrast = truth, radius, sigma, contrast

    def row(self, name: str, chosen: Tensor) -> str:
        """A line of the table for some of the cells."""
        if not chosen.any():
            return f"| {name} | 0 | | | | |"
        truth, radius, sigma = self.truth[chosen], self.radius[chosen], self.sigma[chosen]
        error = (radius.log1p() - truth.log1p()).abs().mean()
        within = ((radius - truth).abs() <= sigma).float().mean()
        return (
            f"| {name} | {len(truth):,} | {truth.median():.2f} | {radius.median():.2f} | "
            f"{error:.3f} | {within:.0%} |"
        )


def rendered(network: BlurRadius, validation: RadiusValidation) -> None:
    """Tables by radius, by texture and by claimed uncertainty, and the validation's score."""
    scenes = validation.sets[RENDERED]
    results = [(scene, *(part[0, 0] for part in network(scene.photo.unsqueeze(0)))) for scene in scenes]
    cells = Cells(
        torch.cat([scene.radius.flatten() for scene in scenes]),
        torch.cat([radius.flatten() for _, radius, _ in results]),
        torch.cat([sigma.flatten() for _, _, sigma in results]),
        torch.cat([scene.contrast.flatten() for scene in scenes]),
    )
    textured = cells.contrast > TEXTURED
    print(f"{len(scenes)} rendered scenes: {score(results)}")
    print(
        f"(AUC: at most {IN_FOCUS} px against at least {BLURRED} px, cells with contrast above {TEXTURED})\n"
    )
    print(f"| true radius (px), textured | {HEADER}\n|---|---:|---:|---:|---:|---:|")
    for low, high in RANGES:
        print(cells.row(f"{low:g}-{high:g}", textured & (cells.truth >= low) & (cells.truth <= high)))
    print(f"\n| contrast where sharp | {HEADER}\n|---|---:|---:|---:|---:|---:|")
    for low, high in CONTRASTS:
        print(cells.row(f"{low:g}-{high:g}", (cells.contrast >= low) & (cells.contrast < high)))
    print(f"\n| claimed sigma / (1 + radius) | {HEADER}\n|---|---:|---:|---:|---:|---:|")
    claimed = cells.sigma / (1 + cells.radius)
    edges = torch.quantile(claimed, torch.linspace(0, 1, 6)).tolist()
    for low, high in pairwise(edges):
        print(cells.row(f"{low:.2f}-{high:.2f}", (claimed >= low) & (claimed <= high)))


def real(network: BlurRadius, fits: dict[str, dict[str, list[list[float]]]], root: Path) -> None:
    """Rank correlation of estimates with fitted radii, patch by patch."""
    cache = PixelCache(0)
    print("\n| set | pairs | patches | rank correlation | within a pair, median | estimate / fit, median |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, pairs in fits.items():
        photos = {path.stem: path for path in photos_in(root / name / "source")}
        fitted, estimated, within = [], [], []
        for stem, patches in pairs.items():
            if not patches:
                continue
            radius = network(pixels(cache.rgb(photos[stem])).unsqueeze(0)).radius[0, 0]
            found = [float(_patch(radius, int(top), int(left)).mean()) for top, left, _ in patches]
            wanted = [value for _, _, value in patches]
            fitted += wanted
            estimated += found
            if len(patches) >= 8 and np.std(wanted) > 0.3:
                within.append(spearmanr(wanted, found).statistic)
        blurred = np.array(fitted) > 1
        ratio = np.median(np.array(estimated)[blurred] / np.array(fitted)[blurred])
        print(
            f"| {name} | {len(pairs)} | {len(fitted)} | {spearmanr(fitted, estimated).statistic:.3f} | "
            f"{np.median(within):.3f} | {ratio:.2f} |",
            flush=True,
        )


def _patch(radius: Tensor, top: int, left: int) -> Tensor:
    return radius[top // CELL : (top + PATCH) // CELL, left // CELL : (left + PATCH) // CELL]


def enlarged(network: BlurRadius, photos: list[Path]) -> None:
    """How estimates grow when photos are enlarged."""
    print(
        "\n| photo enlarged (bicubic) | radius relative to the factor, median of the cells surely blurred |"
    )
    print("|---|---:|")
    cache = PixelCache(0)
    for factor in (2, 4):
        ratios = []
        for path in photos[:: max(len(photos) // 6, 1)]:
            photo = pixels(cache.rgb(path))[None, :, :384, :384]
            before, sigma = network(photo)
            large = interpolate(photo, scale_factor=factor, mode="bicubic").clamp(0, 1)
            after = interpolate(network(large).radius, size=before.shape[-2:], mode="area")
            known = (before > 2) & (sigma < before / 4)
            ratios.append((after / before)[known] / factor)
        print(f"| {factor} x | {torch.cat(ratios).median():.2f} |")


def cost(network: BlurRadius) -> None:
    """Operations and time per megapixel, and those of an INIKNet."""
    work = {}
    for name, model, side in (("blur radius", network, 1024), ("INIKNet", INIKNet().eval(), 256)):
        photo = torch.rand(1, 3, side, side)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(photo)
        with torch.no_grad():
            started = time.process_time()
            model(photo)
        megapixels = side**2 / 1e6
        work[name] = (
            counter.get_total_flops() / 1e9 / megapixels,
            (time.process_time() - started) / megapixels,
        )
    print("\n| network | GFLOP per megapixel | processor seconds per megapixel |\n|---|---:|---:|")
    for name, (flop, seconds) in work.items():
        print(f"| {name} | {flop:.1f} | {seconds:.2f} |")
    shares = [mine / theirs for mine, theirs in zip(*work.values(), strict=True)]
    print(f"| share | {shares[0]:.2%} | {shares[1]:.2%} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fits", type=Path)
    parser.add_argument("--real", type=Path)
    given = parser.parse_args()
    network = load_model(given.weights, BlurRadius)
    recipe = read_recipe(given.recipe)
    rendered(network, RadiusValidation(recipe.validation, recipe.data.rendering, given.data))
    if given.fits is not None and given.real is not None:
        fits = json.loads(given.fits.read_text())
        real(network, fits, given.real)
        enlarged(network, [path for name in fits for path in photos_in(given.real / name / "source")])
    cost(network)


if __name__ == "__main__":
    main()
