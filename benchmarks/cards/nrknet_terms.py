"""What the parts of NRKNet contribute: the Neumann terms of each scale, and the predicted blurring.

python benchmarks/cards/nrknet_terms.py WEIGHTS.safetensors --data DIR --recipe RECIPE.toml [--limit N]

On the recipe's validation crops, in float32. The first table shows the mean PSNR gain in dB over the input Y
as the terms (I - D_t)^t Y_t of the scales t = 1, 2, 3 are added one by one (eq. (10)). The second shows the
PSNR against Y_t of X_t, the sharp crop at each scale, and of D_t X_t, which the reblurring loss (eq. (14))
trains.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from defocusctl.models.blocks import resize
from defocusctl.models.nrknet import NRKNet, pyramid
from defocusctl.training.recipe import read_recipe
from defocusctl.training.validation import ValidationPair, ValidationSets
from defocusctl.weights.checkpoint import load_checkpoint

SCALES = (1, 2, 3)


def psnr(image: Tensor, target: Tensor) -> float:
    return float(-10 * torch.log10((image.clamp(0, 1) - target).square().mean()))


@torch.inference_mode()
def measured(network: NRKNet, pair: ValidationPair) -> tuple[list[float], list[float]]:
    """Gains after each term, and for each scale the PSNR of X_t and of D_t X_t against Y_t."""
    blurred, sharp = pair.blurred[None], pair.sharp[None]
    prediction = network(blurred)
    estimate, gains, fits = blurred, [], []
    for t, y, x in zip(SCALES, pyramid(blurred), pyramid(sharp), strict=True):
        gamma, term = prediction.coefficients[f"gamma_{t}"], y
        for _ in range(t):
            term = term - network.reblur(term, gamma)
        estimate = estimate + (term if t == 1 else resize(term, 2.0 ** (t - 1)))
        gains.append(psnr(estimate, sharp) - psnr(blurred, sharp))
        fits += [psnr(x, y), psnr(network.reblur(x, gamma), y)]
    assert torch.allclose(estimate, prediction.image, atol=1e-4), "these are not the network's terms"
    return gains, fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=12)
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.weights, model_name="nrknet")
    network = checkpoint.model.eval()
    assert isinstance(network, NRKNet)
    recipe = read_recipe(given.recipe)
    validation = recipe.validation.model_copy(update={"limit": given.limit})
    scales, fits = [], []
    for name, pairs in ValidationSets(validation, recipe.data.rendering, given.data).sets.items():
        gains, fit = (
            np.mean(part, axis=0) for part in zip(*(measured(network, pair) for pair in pairs), strict=True)
        )
        scales.append(f"| {name} | " + " | ".join(f"{gain:+.2f}" for gain in gains) + " |")
        fits.append(
            f"| {name} | "
            + " | ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(fit[::2], fit[1::2], strict=True))
            + " |"
        )
    print("| set | t = 1 | and 2 | and 3 |\n|---|---:|---:|---:|", *scales, sep="\n")
    print("\n| set | t = 1 | t = 2 | t = 3 |\n|---|---:|---:|---:|", *fits, sep="\n")


if __name__ == "__main__":
    main()
