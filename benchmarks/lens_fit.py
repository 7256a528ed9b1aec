"""Fits the blur radius of real pairs, patch by patch, with the sharp reference's help.

python benchmarks/lens_fit.py DIR... [--step 64] [--limit N] [--out FITS.json]

A patch of the reference is blurred in linear light by soft-edged discs (a disc convolved with a Gaussian of
0.35 of its radius) of many radii, shifted by up to 0.6 pixels and exposed as the patch of the blurred photo
is; the radius whose patch is nearest to it is the fit. Patches without texture and patches that no radius
explains are left out. Prints a Markdown table of each set's fits; FITS.json has them all, as
{set: {pair: [[top, left, radius], ...]}}.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from defocusctl.data.defocus import to_light, to_pixels
from defocusctl.data.pairs import PixelCache, as_float, pairs_in
from defocusctl.data.scenes import ApertureShapes, point_spread

PATCH, MARGIN = 64, 64
FULL = PATCH + 2 * MARGIN
RADII = torch.tensor([0.0, *np.geomspace(0.4, 32, 27)], dtype=torch.float32)
SHIFTS = (-0.6, 0.0, 0.6)
TEXTURED = 0.04  # standard deviation of the reference's pixels
EXPLAINED = 0.85  # share of the blurred patch's variance that the fit must have
FY = torch.fft.fftfreq(FULL).view(-1, 1)
FX = torch.fft.rfftfreq(FULL).view(1, -1)


class Fit(NamedTuple):
    """The best radius of a patch, in pixels, and the patch's upper left corner."""

    top: int
    left: int
    radius: float


def soft_discs() -> Tensor:
    """Spectra (radii, FULL, FULL // 2 + 1)."""
    zero = torch.zeros(1, 1, 1, 1)
    shape = ApertureShapes(zero, zero, zero, zero, zero, gaussian_edge=zero + 0.35)
    return torch.fft.rfft2(point_spread(shape, RADII.unsqueeze(0), FULL, FULL)[0])


DISCS = soft_discs()


def fits_of(blurred: Tensor, sharp: Tensor, step: int = PATCH) -> list[Fit]:
    """All fits of a registered pair (3, H, W), of patches ``step`` pixels apart."""
    height, width = sharp.shape[1:]
    grey_blurred, grey_sharp = (image.mean(dim=0) for image in (blurred, sharp))
    fits = []
    for top in range(0, height - FULL + 1, step):
        for left in range(0, width - FULL + 1, step):
            reference = grey_sharp[top : top + FULL, left : left + FULL]
            y, x = top + MARGIN, left + MARGIN
            radius = fit(grey_blurred[y : y + PATCH, x : x + PATCH], reference)
            if radius is not None:
                fits.append(Fit(y, x, radius))
    return fits


def fit(blurred: Tensor, sharp: Tensor) -> float | None:
    """The radius for a patch (PATCH, PATCH) and its reference with margins (FULL, FULL), if there is one."""
    if sharp[MARGIN:-MARGIN, MARGIN:-MARGIN].std() < TEXTURED:
        return None
    light = torch.fft.rfft2(to_light(sharp))
    shifts = [(dy, dx) for dy in SHIFTS for dx in SHIFTS]
    shift = min(shifts, key=lambda by: float(errors(light, blurred, by, slice(1, None, 5)).min()))
    error = errors(light, blurred, shift, slice(None))
    best = int(error.argmin())
    if error[best] > (1 - EXPLAINED) * blurred.var():
        return None
    return _between(error, best)


def errors(light: Tensor, blurred: Tensor, shift: tuple[float, float], radii: slice) -> Tensor:
    """Mean squared error of pixel values for each radius."""
    moved = torch.exp(-2j * torch.pi * (FY * shift[0] + FX * shift[1]))
    spread = torch.fft.irfft2(light * moved * DISCS[radii], s=(FULL, FULL))
    spread = spread[:, MARGIN:-MARGIN, MARGIN:-MARGIN].clamp(min=1e-6)
    wanted = to_light(blurred)
    exposure = (spread * wanted).sum((1, 2)) / (spread**2).sum((1, 2))
    return ((to_pixels(spread * exposure.view(-1, 1, 1)) - blurred) ** 2).mean((1, 2))


def _between(error: Tensor, best: int) -> float:
    """The minimum of a parabola through the best radius and its neighbours; radii are geometric there."""
    if not 1 < best < len(error) - 1:
        return float(RADII[best])
    before, at, after = (float(value) for value in error[best - 1 : best + 2])
    offset = 0.5 * (before - after) / max(before - 2 * at + after, 1e-12)
    return float(RADII[best] * (RADII[best + 1] / RADII[best]) ** offset)


def pixels(photo: np.ndarray) -> Tensor:
    """(3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(as_float(photo).transpose(2, 0, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--step", type=int, default=PATCH)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cache = PixelCache(0)
    print("| set | fitted patches | radius, 10 / 50 / 90 % |\n|---|---:|---|")
    sets: dict[str, dict[str, list[Fit]]] = {}
    for folder in given.sets:
        found = sets[folder.name] = {}
        for pair in pairs_in(folder / "source", folder / "target")[: given.limit]:
            blurred, sharp = (pixels(image) for image in cache.both(pair.blurred, pair.sharp))
            found[pair.name] = fits_of(blurred, sharp, given.step)
        radii = [fit.radius for fits in found.values() for fit in fits]
        quantiles = " / ".join(f"{value:.1f}" for value in np.quantile(radii, (0.1, 0.5, 0.9)))
        print(f"| {folder.name} | {len(radii)} | {quantiles} |", flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps(sets))


if __name__ == "__main__":
    main()
