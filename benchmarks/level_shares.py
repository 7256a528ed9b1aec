"""Measures which share of each level's change is best for each blur radius, and stores it with the weights.

    python benchmarks/level_shares.py --model iniknet PHOTOS [--scenes 60] [--weights FILE] [--write FILE]

Photos from the folder PHOTOS are blurred with known radii and restored at scale 1, 1/2, 1/4 and 1/8. The
shares (docs/levels.md) that bring the sum of the changes closest to the sharp photos are found by
non-negative least squares; they are piecewise linear in log(1 + radius). Scenes count by the inverse of the
error before restoring, since gains are in decibels. ``--write`` stores a copy of the weights with the shares
in its metadata.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from defocusctl.data.batches import RenderedSource, StepCrops, render_crops
from defocusctl.data.pairs import PixelCache
from defocusctl.data.settings import Aperture, Geometry, Rendering
from defocusctl.deblurrer import Deblurrer
from defocusctl.models.level_shares import LevelShares
from defocusctl.photo import Photo
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint

Array = npt.NDArray[Any]

RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
NAMES = ("1", "1/2", "1/4", "1/8")
CROP = 416
RENDERING = Rendering(
    max_radius=(0.7, 36.0),
    sharp=0.05,
    off_focus=0.5,
    scene_softness=0.4,
    levels=16,
    geometry=Geometry(depth=0, plane=1, layers=1, smooth=1),
    aperture=Aperture(soft_edge=0.4),
)
SMOOTHNESS = 0.02
"""How much neighbouring radii's shares are drawn together, relative to the data."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="iniknet")
    parser.add_argument("--weights")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    weights = given.weights or "bundled"
    deblurrer = Deblurrer.load(given.model, weights, RestoreSettings(), offline=True)
    restorers = [Restorer(deblurrer.network, RestoreSettings(scale=name)) for name in NAMES]
    normal, right = np.zeros((52, 52)), np.zeros(52)
    gains: list[list[float]] = []
    for number in range(given.scenes):
        blurred, sharp, radius = scene(given.photos, number)
        changes = [change(restorer, blurred) for restorer in restorers]
        error = sharp - blurred
        weight = 1 / (np.mean(error**2) + 1e-5) / error.size
        hats = basis(radius)
        for i, left in enumerate(hats):
            if not left.any():
                continue
            for a in range(4):
                right[a * 13 + i] += weight * np.sum(left[..., None] * changes[a] * error)
            for j in range(max(0, i - 1), min(13, i + 2)):
                product = (left * hats[j])[..., None]
                for a in range(4):
                    for b in range(4):
                        normal[a * 13 + i, b * 13 + j] += weight * np.sum(product * changes[a] * changes[b])
        before = np.mean(error**2)
        gains.append([10 * np.log10(before / np.mean((error - part) ** 2)) for part in changes])
        print(number, f"{radius.mean():.1f} px", *(f"{gain:+.2f}" for gain in gains[-1]), flush=True)
    shares = LevelShares(RADII, tuple(map(tuple, solve(normal, right).reshape(4, 13).round(3).tolist())))
    print("mean gain at each scale:", np.mean(gains, axis=0).round(2))
    print(json.dumps(asdict(shares)))
    for name, row in zip(NAMES, shares.shares, strict=True):
        print(f"{name:>4}", *(f"{share:5.2f}" for share in row))
    if given.write:
        checkpoint = load_checkpoint(deblurrer.weights.path)
        metadata = replace(checkpoint.metadata, level_shares=shares)
        save_checkpoint(given.write, checkpoint.model, metadata, dtype=torch.float16)


def scene(folder: Path, number: int) -> tuple[Array, Array, Array]:
    """A blurred photo, the sharp one (H, W, 3), and the radius in pixels (H, W)."""
    photos = sorted(folder.iterdir())
    photo = photos[number * 7 % len(photos)]
    source = RenderedSource([photo], [], 1.0)
    crops = StepCrops([source], RENDERING, PixelCache(10**8), batch=1, crop=CROP, seed=number)[0]
    samples = render_crops(crops, RENDERING, number)
    assert samples.radius is not None
    blurred, sharp = (part[0].permute(1, 2, 0).numpy() for part in (samples.blurred, samples.sharp))
    return blurred, sharp, samples.radius.reshape(blurred.shape[:2]).numpy()


def change(restorer: Restorer, pixels: Array) -> Array:
    """What the network at one scale adds to a photo (H, W, 3)."""
    after: Array = restorer.restore([Photo.of_pixels(pixels, 1.0)])[0].pixels
    return after - pixels


def basis(radius: Array) -> list[Array]:
    """For each of ``RADII``, how much it counts at each pixel: hat functions of log(1 + radius)."""
    position, knots = np.log1p(radius), np.log1p(RADII)
    return [np.interp(position, knots, row).astype(np.float32) for row in np.eye(len(RADII))]


def solve(normal: Array, right: Array) -> Array:
    """The shares, at least 0 and of smooth course over the radius; 0 at a radius of 0."""
    scale = np.trace(normal) / len(normal)
    regular = normal.copy()
    for a in range(4):
        for i in range(len(RADII) - 1):
            k = a * len(RADII) + i
            regular[k : k + 2, k : k + 2] += SMOOTHNESS * scale * np.array([[1, -1], [-1, 1]])
    regular += 1e-4 * scale * np.eye(len(normal))
    shares = np.zeros(len(right))
    fixed = {a * len(RADII) for a in range(4)}
    for _ in range(5000):  # coordinate descent
        for k in range(len(right)):
            if k not in fixed:
                step = (right[k] - regular[k] @ shares) / regular[k, k]
                shares[k] = max(0.0, shares[k] + step)
    return shares


if __name__ == "__main__":
    main()
