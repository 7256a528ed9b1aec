"""Finds which share of each level's change is best for each blur radius, and stores it with the weights.

    python benchmarks/level_shares.py --model iniknet --photos SHARP... --pairs FOLDER --examples FOLDER

Sharp photos are blurred with soft-edged discs; these and the real pairs of FOLDER are restored at scale 1,
1/2, 1/4 and 1/8. The shares (docs/levels.md) that bring the sum of the changes closest to the sharp photos,
given the *estimated* radii, are found by non-negative least squares; they are piecewise linear in
log(1 + radius). An example counts by the inverse of its error before restoring, since gains are in decibels;
all pairs together count ``--pair-weight`` times as much as all rendered photos. ``--write`` stores a copy of
the weights with the shares in its metadata.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from level_examples import Array, Example, Examples
from scipy.optimize import nnls

from defocusctl.geometry import Box
from defocusctl.models.level_shares import LevelShares
from defocusctl.restoring.levels import CELL, cells_at
from defocusctl.restoring.selection import SCALE_OF
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint

RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
LEVELS, KNOTS = len(SCALE_OF), len(RADII)

USEFUL = ((0.5, 6.0), (1.5, 8.0), (4.0, 24.0), (8.0, 32.0))
"""The radii at which each level may have a share, so that a level far outside its range is not computed."""

SMOOTHNESS = 0.05
"""How much neighbouring radii's shares are drawn together, relative to the data."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True, help="where restored examples are kept")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--pair-weight", type=float, default=3.0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    examples = Examples(given.model, given.weights, given.examples)
    normal, right = equations(examples.rendered(given.photos, given.scenes))
    normal_pairs, right_pairs = equations(examples.pairs(given.pairs))
    found = solve(normal + given.pair_weight * normal_pairs, right + given.pair_weight * right_pairs)
    shares = LevelShares(RADII, tuple(map(tuple, found.round(2).tolist())))
    print(json.dumps(asdict(shares)))
    print("    ", *(f"{radius:5.1f}" for radius in RADII))
    for name, row in zip(SCALE_OF, shares.shares, strict=True):
        print(f"{name:>4}", *(f"{share:5.2f}" for share in row))
    for name, group in (
        ("rendered", examples.rendered(given.photos, given.scenes)),
        ("pairs", examples.pairs(given.pairs)),
    ):
        gains = np.array([gain(example, example.rule(shares)) for example in group])
        print(f"{name}: mean gain {gains.mean():+.2f} dB, worst {gains.min():+.2f}")
    if given.write:
        checkpoint = load_checkpoint(examples.weights)
        metadata = replace(checkpoint.metadata, level_shares=shares)
        save_checkpoint(given.write, checkpoint.model, metadata, dtype=torch.float16)


def equations(examples: Iterable[Example]) -> tuple[Array, Array]:
    """The normal equations of the least squares, as means over the examples."""
    normal, right, count = np.zeros((LEVELS, KNOTS) * 2), np.zeros((LEVELS, KNOTS)), 0
    knots = np.log1p(RADII)
    for example in examples:
        error = example.sharp - example.blurred
        weight = 1 / (np.mean(error**2) + 1e-5) / error.size
        radius = cells_at(example.radius, CELL, Box(0, 0, *error.shape[:2]))
        position = np.minimum(np.log1p(radius), knots[-1]).ravel()
        below = np.clip(np.searchsorted(knots, position, side="right") - 1, 0, KNOTS - 2)
        above_part = (position - knots[below]) / (knots[below + 1] - knots[below])
        hats = (1 - above_part, above_part)  # of the knots below and above, which sum to 1
        for a, one in enumerate(example.changes):
            for i, left in enumerate(hats):
                right[a] += weight * summed(below + i, left * np.sum(one * error, axis=2).ravel())
            for b, other in enumerate(example.changes):
                product = np.sum(one * other, axis=2).ravel()
                for i, left in enumerate(hats):
                    for j, second in enumerate(hats):
                        sums = summed(below, left * second * product)[: KNOTS - 1]
                        rows = np.arange(KNOTS - 1)
                        normal[a, rows + i, b, rows + j] += weight * sums
        count += 1
    size = LEVELS * KNOTS
    return normal.reshape(size, size) / count, right.ravel() / count


def summed(knots: Array, values: Array) -> Array:
    """The sums of the values at each knot, (R,)."""
    return np.bincount(knots, values, minlength=KNOTS)


def solve(normal: Array, right: Array) -> Array:
    """The shares (4, R), at least 0, of smooth course over the radius, and 0 where a level is not useful."""
    scale = np.trace(normal) / len(normal)
    regular = normal + 1e-4 * scale * np.eye(len(normal))
    for start in range(0, len(normal), KNOTS):
        for k in range(start, start + KNOTS - 1):
            regular[k : k + 2, k : k + 2] += SMOOTHNESS * scale * np.array([[1, -1], [-1, 1]])
    free = np.array([low <= radius <= high for low, high in USEFUL for radius in RADII])
    lower = np.linalg.cholesky(regular[np.ix_(free, free)])
    shares = np.zeros(len(right))
    shares[free] = nnls(lower.T, np.linalg.solve(lower, right[free]))[0]
    return shares.reshape(LEVELS, KNOTS)


def gain(example: Example, shares: Array) -> float:
    """The gain in PSNR (dB) over the blurred photo with the shares of the levels (4, h, w)."""
    whole = Box(0, 0, *example.blurred.shape[:2])
    fine = np.stack([cells_at(plane, CELL, whole) for plane in shares])[..., None]
    before = example.sharp - example.blurred
    after = before - np.sum(fine * example.changes, axis=0)
    return float(10 * np.log10(np.mean(before**2) / np.mean(after**2)))


if __name__ == "__main__":
    main()
