"""Finds which share of each level's change is best for each blur radius, and stores it with the weights.

    python benchmarks/level_shares.py --model iniknet --photos SHARP --pairs FOLDER --examples FOLDER
        [--others FOLDER...] [--ranges 1-1.5 2-6 6-24 8-32]

Sharp photos blurred by discs of 1 to 6 pixels and the real pairs of FOLDER are restored at scale 1, 1/2, 1/4
and 1/8. The shares (docs/levels.md) maximise the mean gain in PSNR over the pairs plus ``--disc-weight``
times that over the discs, given the *estimated* radii; they are piecewise linear in log(1 + radius), and 0
outside a level's range. Prints the mean and the worst gain on these, and on the pairs of other folders, with
the network alone at scale 1, with the mean of scale 1 and 1/2, and with the shares; and how many pixels are
computed, without context, relative to scale 1. ``--write`` stores a copy of the weights with the shares in
its metadata.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from level_examples import Array, Errors, Example, Examples
from scipy.optimize import minimize

from defocusctl.models.level_shares import LevelShares
from defocusctl.restoring.selection import SCALE_OF, shares_by_radius
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint

RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
LEVELS, KNOTS = len(SCALE_OF), len(RADII)

RANGES = ((1.0, 1.5), (2.0, 6.0), (6.0, 24.0), (8.0, 32.0))
"""The radii at which each level may have a share, so that a level is not computed where it gains little.

Below 1 pixel, a share would gain at most 0.02 dB on the real pairs, and photos in focus would have to be
computed. A disc of 2 pixels leaves hardly anything that scale 1/2 does not show.
"""

SMOOTHNESS = 0.02
"""How much of the mean gain, in dB, a difference of 1 between neighbouring radii must be worth."""

LARGEST_SHARE = 1.2
"""No change is exaggerated more than this."""


class Equations(NamedTuple):
    """The squared error of an example: ``before - 2 w . right + w . normal . w`` for the shares w (4 R,)."""

    before: float
    right: Array
    normal: Array


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--photos", type=Path, required=True, metavar="SHARP")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="real pairs that choose nothing")
    parser.add_argument("--examples", type=Path, required=True, help="where restored examples are kept")
    parser.add_argument("--disc-weight", type=float, default=0.3)
    parser.add_argument(
        "--ranges",
        type=span,
        nargs=LEVELS,
        default=RANGES,
        metavar="LOW-HIGH",
        help="radii at which the levels may have shares [default: 1-1.5 2-6 6-24 8-32]",
    )
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    examples = Examples(given.model, given.weights, given.examples)
    found = best_shares(
        [
            (1.0, [equations(example) for example in examples.pairs(given.pairs)]),
            (given.disc_weight, [equations(example) for example in examples.discs(given.photos)]),
        ],
        given.ranges,
    )
    shares = LevelShares(RADII, tuple(map(tuple, found.round(2).tolist())))
    print(json.dumps(asdict(shares)))
    print("    ", *(f"{radius:5.1f}" for radius in RADII))
    for name, row in zip(SCALE_OF, shares.shares, strict=True):
        print(f"{name:>4}", *(f"{share:5.2f}" for share in row))
    show_gains("discs", examples.discs(given.photos), shares)
    for folder in (given.pairs, *given.others):
        show_gains(folder.name, examples.pairs(folder), shares)
    if given.write:
        checkpoint = load_checkpoint(examples.weights)
        metadata = replace(checkpoint.metadata, level_shares=shares)
        save_checkpoint(given.write, checkpoint.model, metadata, dtype=torch.float16)


def span(text: str) -> tuple[float, float]:
    """``LOW-HIGH`` as two numbers."""
    low, high = map(float, text.split("-"))
    return low, high


def show_gains(name: str, group: Iterable[Example], shares: LevelShares) -> None:
    """Print the mean and the worst gain of a group of examples, and the pixels that are computed."""
    gains: dict[str, list[float]] = {"scale 1": [], "mean of 1 and 1/2": [], "by radius": []}
    computed = []
    for example in group:
        errors = Errors.of(example)
        one = np.zeros((LEVELS, *errors.before.shape), np.float32)
        one[0] = 1
        both = one.copy()
        if 2 in example.available:
            both[:2] = 0.5
        by_radius = example.by_radius(shares)
        computed.append(sum(float((by_radius[i] > 0).mean()) / 4**i for i in range(LEVELS)))
        for way, chosen in zip(gains, (one, both, by_radius), strict=True):
            gains[way].append(errors.gain(chosen))
    texts = (f"{way} {np.mean(each):+.2f} ({min(each):+.2f})" for way, each in gains.items())
    print(f"{name}, {len(computed)}: {', '.join(texts)}; computed {np.mean(computed):.2f}", flush=True)


def equations(example: Example) -> Equations:
    """How the squared error of an example depends on the shares at ``RADII``."""
    errors = Errors.of(example)
    hats = np.stack([basis(example, knot) for knot in range(KNOTS)])
    normal = np.einsum("ijhw,abhw->aibj", hats[:, None] * hats, errors.products, optimize=True)
    right = np.einsum("ihw,ahw->ai", hats, errors.gained, optimize=True)
    size = LEVELS * KNOTS
    return Equations(float(errors.before.sum()), right.ravel(), normal.reshape(size, size))


def basis(example: Example, knot: int) -> Array:
    """The shares (h, w) of a level that has a share of 1 at one of ``RADII`` and 0 at the others."""
    only = tuple(float(each == knot) for each in range(KNOTS))
    nothing = (0.0,) * KNOTS
    unit = LevelShares(RADII, (only, nothing, nothing, nothing))
    shares = shares_by_radius(example.radius, example.sigma, unit, example.available)
    return np.asarray(shares[0])


def best_shares(
    groups: Sequence[tuple[float, Sequence[Equations]]], ranges: Sequence[tuple[float, float]]
) -> Array:
    """The shares (4, R) that maximise the weighted mean gains of the groups, smooth over the radius."""

    def loss(shares: Array) -> tuple[float, Array]:
        steps = np.diff(shares.reshape(LEVELS, KNOTS), axis=1)
        value, slope = SMOOTHNESS * (steps**2).sum(), np.zeros((LEVELS, KNOTS))
        slope[:, 1:] += 2 * SMOOTHNESS * steps
        slope[:, :-1] -= 2 * SMOOTHNESS * steps
        gradient = slope.ravel()
        for weight, group in groups:
            for before, right, normal in group:
                after = before - 2 * shares @ right + shares @ normal @ shares
                value += weight / len(group) * 10 * np.log10(after / before)
                gradient += weight / len(group) * 20 / np.log(10) * (normal @ shares - right) / after
        return float(value), gradient

    bounds = [(0, LARGEST_SHARE if low <= radius <= high else 0) for low, high in ranges for radius in RADII]
    start = np.array([high / 2 for _, high in bounds])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x).reshape(LEVELS, KNOTS)


if __name__ == "__main__":
    main()
