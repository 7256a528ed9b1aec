"""Compares shares chosen by a learned selector with the rule by blur radius (docs/levels.md).

    python benchmarks/level_selector.py --model iniknet --photos SHARP... --examples FOLDER PAIRS...

The selector is a small convolutional network on the grid of 8 x 8 pixels. It sees the estimated blur radius
and its uncertainty, the energies of the levels' changes, the correlations between them, and the photo's
contrast, and returns the shares of the four levels. It is trained on rendered photos. On each folder of real
pairs, its gain is printed beside that of the rule and of the best single level of each neighbourhood, which
needs the sharp photo.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from level_examples import Errors, Example, Examples, summed
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot, softplus

from defocusctl.models.level_shares import DEFAULT_SHARES
from defocusctl.restoring.levels import CELL

LEVELS, WIDTH, STEPS, BATCH, LEARNING_RATE = 4, 12, 1500, 4, 3e-3
TINY = 1e-7
NOISE = 1e-4
"""Added to mean squared errors in training, so that photos in focus do not dominate."""


class Cells(NamedTuple):
    """An example on the grid of 8 x 8 pixels.

    ``features`` (F, h, w) is what the selector sees, ``radius`` (h, w) the estimated blur radius,
    ``by_radius`` the shares by radius (4, h, w).
    """

    errors: Errors
    features: Tensor
    radius: Tensor
    by_radius: Tensor

    def remaining(self, shares: Tensor) -> Tensor:
        """The fraction of the squared error that remains in training."""
        before, gained, products = map(torch.from_numpy, self.errors)
        added = torch.einsum("ahw,abhw,bhw->", shares, products, shares)
        noise = NOISE * before.numel() * CELL**2 * 3
        return (before.sum() - 2 * (shares * gained).sum() + added + noise) / (before.sum() + noise)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--examples", type=Path, required=True, help="where restored examples are kept")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("pairs", type=Path, nargs="+")
    given = parser.parse_args()
    examples = Examples(given.model, given.weights, given.examples)
    selector = trained([cells_of(each) for each in examples.rendered(given.photos, given.scenes)])
    parameters = sum(each.numel() for each in selector.parameters())
    print(f"selector of {parameters} parameters, trained on {given.scenes} rendered photos")
    with torch.no_grad():
        for folder in given.pairs:
            cells = [cells_of(each) for each in examples.pairs(folder)]
            print(f"{folder.name}, {len(cells)} pairs")
            report("by radius", cells, lambda each: each.by_radius)
            report("selector", cells, selector)
            report("best single level", cells, best_level)


def report(name: str, cells: Iterable[Cells], choose: Callable[[Cells], Tensor]) -> None:
    gains = [each.errors.gain(choose(each).numpy()) for each in cells]
    print(f"  {name:>17}: {np.mean(gains):+.3f} dB, worst {min(gains):+.2f}", flush=True)


def cells_of(example: Example) -> Cells:
    errors = Errors.of(example)
    radius, sigma = torch.from_numpy(example.radius), torch.from_numpy(example.sigma)
    grey = example.blurred.mean(axis=2, keepdims=True)
    count = summed(np.ones_like(grey))
    contrast = torch.from_numpy(summed(grey**2) / count - (summed(grey) / count) ** 2).clamp(min=0)
    products = torch.from_numpy(errors.products / (3 * count))
    energy = averaged(products.diagonal().permute(2, 0, 1))
    features = [torch.log1p(radius), sigma / (1 + radius), torch.log(contrast + TINY) / 3]
    features += [torch.log(each + TINY) / 3 for each in energy]
    for a in range(LEVELS):
        for b in range(a):
            shared = averaged(products[a, b][None])[0]
            features.append(shared / torch.sqrt(energy[a] * energy[b] + TINY**2))
    by_radius = torch.from_numpy(example.by_radius(DEFAULT_SHARES))
    return Cells(errors, torch.stack(features), radius, by_radius)


def averaged(planes: Tensor) -> Tensor:
    """Means over 3 x 3 cells, (K, h, w)."""
    return avg_pool2d(planes[None], 3, stride=1, padding=1, count_include_pad=False)[0]


class Selector(nn.Module):
    """Features of cells -> shares of the levels; 0 where nothing is blurred."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(features, affine=False),
            nn.Conv2d(features, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(WIDTH, LEVELS, 1),
        )

    def forward(self, cells: Cells) -> Tensor:
        blurred = (2 * cells.radius).clamp(0, 1)
        return averaged(softplus(self.layers(cells.features[None])[0] - 1) * blurred)


def trained(cells: list[Cells]) -> Selector:
    """A selector that leaves as little of the error as it can, in decibels."""
    torch.manual_seed(0)
    order = np.random.default_rng(0)
    selector = Selector(len(cells[0].features))
    optimiser = torch.optim.AdamW(selector.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = [cells[i] for i in order.choice(len(cells), BATCH)]
        losses = [torch.log(each.remaining(selector(each)).clamp(min=1e-3)) for each in chosen]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        nn.utils.clip_grad_norm_(selector.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return selector.eval()


def best_level(cells: Cells) -> Tensor:
    """For each 3 x 3 cells, the level, or none, with the least error."""
    products, gained = torch.from_numpy(cells.errors.products), torch.from_numpy(cells.errors.gained)
    errors = averaged(products.diagonal().permute(2, 0, 1) - 2 * gained)
    best = torch.cat([errors, torch.zeros_like(errors[:1])]).argmin(dim=0)
    return one_hot(best, LEVELS + 1).permute(2, 0, 1)[:LEVELS].float()


if __name__ == "__main__":
    main()
