"""Finds which share of each level's change is best for each blur radius, and stores it with the weights.

    python benchmarks/level_shares.py --model iniknet --photos SHARP... --pairs FOLDER --examples FOLDER
        [--others FOLDER...]

Sharp photos are blurred with soft-edged discs; these and the real pairs of FOLDER are restored at scale 1,
1/2, 1/4 and 1/8. The shares (docs/levels.md) that bring the sum of the changes closest to the sharp photos,
given the *estimated* radii, are found by bounded least squares; they are piecewise linear in log(1 + radius).
The larger an example's error before restoring, the less it counts, since gains are in decibels; the mean
over the pairs counts ``--pair-weight`` times as much as that over the rendered photos. Prints the mean and
the worst gain on these, and on the pairs of other folders, with the network alone at scale 1, with the mean
of scale 1 and 1/2, and with the shares. ``--write`` stores a copy of the weights with the shares in its
metadata.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from level_examples import Array, Errors, Example, Examples
from scipy.optimize import lsq_linear

from defocusctl.models.level_shares import LevelShares
from defocusctl.restoring.selection import SCALE_OF, shares_by_radius
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint

RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
LEVELS, KNOTS = len(SCALE_OF), len(RADII)

RANGES = ((1.0, 2.0), (1.5, 6.0), (6.0, 24.0), (8.0, 32.0))
"""The radii at which each level may have a share, so that a level is not computed where it gains little.

Below 1 pixel, a share would gain at most 0.02 dB on the real pairs, and photos in focus would have to be
computed. A disc of more than 2 pixels leaves nothing that scale 1/2 does not show.
"""

SMOOTHNESS = 0.2
"""How much neighbouring radii's shares are drawn together, relative to the data."""

LARGEST_SHARE = 1.2
"""No change is exaggerated more than this."""

NOISE = 1e-3
"""Added to an example's mean squared error before it is weighted, so that photos in focus do not dominate."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="real pairs that choose nothing")
    parser.add_argument("--examples", type=Path, required=True, help="where restored examples are kept")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--pair-weight", type=float, default=6.0)
    parser.add_argument(
        "--ranges",
        type=radii,
        nargs=LEVELS,
        default=RANGES,
        metavar="LOW-HIGH",
        help="radii at which the levels may have shares [default: 1-2 1.5-6 6-24 8-32]",
    )
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    examples = Examples(given.model, given.weights, given.examples)
    normal, right = equations(examples.rendered(given.photos, given.scenes))
    normal_pairs, right_pairs = equations(examples.pairs(given.pairs))
    both = normal + given.pair_weight * normal_pairs, right + given.pair_weight * right_pairs
    found = solve(*both, given.ranges)
    shares = LevelShares(RADII, tuple(map(tuple, found.round(2).tolist())))
    print(json.dumps(asdict(shares)))
    print("    ", *(f"{radius:5.1f}" for radius in RADII))
    for name, row in zip(SCALE_OF, shares.shares, strict=True):
        print(f"{name:>4}", *(f"{share:5.2f}" for share in row))
    show_gains("rendered", examples.rendered(given.photos, given.scenes), shares)
    for folder in (given.pairs, *given.others):
        show_gains(folder.name, examples.pairs(folder), shares)
    if given.write:
        checkpoint = load_checkpoint(examples.weights)
        metadata = replace(checkpoint.metadata, level_shares=shares)
        save_checkpoint(given.write, checkpoint.model, metadata, dtype=torch.float16)


def radii(text: str) -> tuple[float, float]:
    """``LOW-HIGH`` as two numbers."""
    low, high = map(float, text.split("-"))
    return low, high


def show_gains(name: str, group: Iterable[Example], shares: LevelShares) -> None:
    """Print the mean and the worst gain of a group of examples."""
    gains: dict[str, list[float]] = {"scale 1": [], "mean of 1 and 1/2": [], "by radius": []}
    for example in group:
        errors = Errors.of(example)
        one = np.zeros((LEVELS, *errors.before.shape), np.float32)
        one[0] = 1
        both = one.copy()
        if 2 in example.available:
            both[:2] = 0.5
        for way, chosen in zip(gains, (one, both, example.by_radius(shares)), strict=True):
            gains[way].append(errors.gain(chosen))
    texts = (f"{way} {np.mean(each):+.2f} ({min(each):+.2f})" for way, each in gains.items())
    print(f"{name}, {len(gains['scale 1'])}: {', '.join(texts)}", flush=True)


def equations(examples: Iterable[Example]) -> tuple[Array, Array]:
    """The normal equations of the least squares, as means over the examples."""
    normal, right, count = np.zeros((LEVELS, KNOTS) * 2), np.zeros((LEVELS, KNOTS)), 0
    for example in examples:
        errors = Errors.of(example)
        weight = 1 / (errors.before.sum() / example.sharp.size + NOISE) / example.sharp.size
        hats = np.stack([basis(example, knot) for knot in range(KNOTS)])
        pairs = hats[:, None] * hats
        normal += weight * np.einsum("ijhw,abhw->aibj", pairs, errors.products, optimize=True)
        right += weight * np.einsum("ihw,ahw->ai", hats, errors.gained, optimize=True)
        count += 1
    size = LEVELS * KNOTS
    return normal.reshape(size, size) / count, right.ravel() / count


def basis(example: Example, knot: int) -> Array:
    """The shares (h, w) of a level that has a share of 1 at one of ``RADII`` and 0 at the others."""
    only = tuple(float(each == knot) for each in range(KNOTS))
    nothing = (0.0,) * KNOTS
    unit = LevelShares(RADII, (only, nothing, nothing, nothing))
    shares = shares_by_radius(example.radius, example.sigma, unit, example.available)
    return np.asarray(shares[0])


def solve(normal: Array, right: Array, ranges: Sequence[tuple[float, float]]) -> Array:
    """The shares (4, R), within bounds and smooth over the radius; 0 outside a level's range."""
    scale = np.trace(normal) / len(normal)
    regular = normal + 1e-4 * scale * np.eye(len(normal))
    for start in range(0, len(normal), KNOTS):
        for k in range(start, start + KNOTS - 1):
            regular[k : k + 2, k : k + 2] += SMOOTHNESS * scale * np.array([[1, -1], [-1, 1]])
    free = np.array([low <= radius <= high for low, high in ranges for radius in RADII])
    lower = np.linalg.cholesky(regular[np.ix_(free, free)])
    shares = np.zeros(len(right))
    bounds = (0.0, LARGEST_SHARE)
    shares[free] = lsq_linear(lower.T, np.linalg.solve(lower, right[free]), bounds).x
    return shares.reshape(LEVELS, KNOTS)


if __name__ == "__main__":
    main()
