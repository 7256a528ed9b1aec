"""Finds the gamma and the aperture that explain real defocus best.

python benchmarks/cards/lens_fit.py SET [SET...] [--patches 4] [--limit N]

Every SET holds `source` (blurred) and `target` (sharp). Of 60 random patches of 64 x 64 pixels per pair,
those that differ most are used. The sharp patch is shifted (in steps of half a pixel), linearised with a
gamma, blurred by a kernel of the renderer, scaled to the exposure of the blurred patch and converted back;
the best of 22 radii from 0.6 to 13 pixels counts. Patches for which no disc at gamma 2.2 halves the error are
skipped. Prints, as Markdown, the median error over the patches in dB relative to the unblurred patch (lower
is better), and the radii.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from defocusctl.data.pairs import PixelCache, pairs_in
from defocusctl.data.scenes import ApertureShapes, point_spread

SIZE, MARGIN = 64, 24
FULL = SIZE + 2 * MARGIN
RADII = torch.from_numpy(np.geomspace(0.6, 13, 22)).float().unsqueeze(0)
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
GAMMAS = (1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.6)
FY = torch.fft.fftfreq(FULL).view(-1, 1)
FX = torch.fft.rfftfreq(FULL).view(1, -1)


class Patch(NamedTuple):
    """Pixels in [0, 1]: (3, SIZE, SIZE) blurred, (3, FULL, FULL) sharp with the same centre."""

    blurred: Tensor
    sharp: Tensor


def lens(*, soft_edge: float = 0.0, aberration: float = 0.0, gaussian_edge: float = 0.0) -> Tensor:
    """Spectra (radii, FULL, FULL // 2 + 1) of the renderer's kernels."""
    zero = torch.zeros(1, 1, 1, 1)
    shape = ApertureShapes(zero, zero, zero + soft_edge, zero + aberration, zero, zero + gaussian_edge)
    return torch.fft.rfft2(point_spread(shape, RADII, FULL, FULL)[0])


def gaussian() -> Tensor:
    """Spectra of Gaussians with the same second moments as the discs, sigma = radius / 2."""
    sigma = RADII.view(-1, 1, 1) / 2
    return torch.exp(-2 * torch.pi**2 * sigma**2 * (FY**2 + FX**2))


LENSES = {
    "disc": lens(),
    "bright rim": lens(aberration=0.4),
    "dim rim": lens(aberration=-0.4),
    "soft edge": lens(soft_edge=0.5),
    **{f"Gaussian edge {sigma}": lens(gaussian_edge=sigma) for sigma in (0.15, 0.3, 0.45, 0.6)},
    "Gaussian": gaussian(),
}


def errors(patch: Patch, gamma: float, spectra: Tensor, shift: tuple[float, float]) -> Tensor:
    """Mean squared error of pixel values for every radius."""
    moved = torch.exp(-2j * torch.pi * (FY * shift[0] + FX * shift[1]))
    light = torch.fft.rfft2(patch.sharp**gamma)
    spread = torch.fft.irfft2(light * (spectra * moved).unsqueeze(1), s=(FULL, FULL))
    spread = spread[..., MARGIN:-MARGIN, MARGIN:-MARGIN].clamp(min=1e-6)
    wanted = patch.blurred**gamma
    exposure = (spread * wanted).sum((1, 2, 3)) / (spread**2).sum((1, 2, 3))
    pixels = ((exposure.view(-1, 1, 1, 1) * spread) ** (1 / gamma)).clamp(0, 1)
    return ((pixels - patch.blurred) ** 2).mean((1, 2, 3))


def patches_of(blurred: Tensor, sharp: Tensor, count: int, rng: np.random.Generator) -> list[Patch]:
    """The ``count`` patches that differ most among 60 random ones."""
    height, width = blurred.shape[1:]
    if min(height, width) < FULL:
        return []
    found = []
    for _ in range(60):
        top, left = rng.integers(0, height - FULL + 1), rng.integers(0, width - FULL + 1)
        inner = slice(top + MARGIN, top + MARGIN + SIZE), slice(left + MARGIN, left + MARGIN + SIZE)
        patch = Patch(blurred[:, *inner], sharp[:, top : top + FULL, left : left + FULL])
        found.append((float(unblurred(patch)), len(found), patch))
    return [patch for _, _, patch in sorted(found, reverse=True)[:count]]


def unblurred(patch: Patch) -> Tensor:
    """The error of the sharp patch without any blur."""
    return ((patch.sharp[:, MARGIN:-MARGIN, MARGIN:-MARGIN] - patch.blurred) ** 2).mean()


def fits(patch: Patch) -> tuple[float, dict[str, float]] | None:
    """Radius in pixels and, for each model, the error in dB relative to the unblurred patch."""
    disc = LENSES["disc"]
    shifts = [(dy, dx) for dy in SHIFTS for dx in SHIFTS]
    shift = min(shifts, key=lambda by: float(errors(patch, 2.2, disc[::3], by).min()))
    with_disc = errors(patch, 2.2, disc, shift)
    reference = unblurred(patch)
    if with_disc.min() > reference / 2:
        return None
    models = {f"gamma {gamma}": errors(patch, gamma, disc, shift) for gamma in GAMMAS}
    models |= {name: errors(patch, 2.2, spectra, shift) for name, spectra in LENSES.items()}
    scores = {name: float(10 * torch.log10(error.min() / reference)) for name, error in models.items()}
    return float(RADII[0, with_disc.argmin()]), scores


def _pixels(photo: np.ndarray) -> Tensor:
    return torch.tensor(photo).permute(2, 0, 1) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--patches", type=int, default=4)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    cache = PixelCache(0)
    columns = [*(f"gamma {gamma}" for gamma in GAMMAS), *LENSES]
    print(f"| set | patches | radius, 10 / 50 / 90 % | {' | '.join(columns)} |")
    print(f"|---|{'---:|' * (2 + len(columns))}")
    for folder in given.sets:
        found = []
        for pair in pairs_in(folder / "source", folder / "target")[: given.limit]:
            blurred, sharp = (_pixels(cache.rgb(path)) for path in (pair.blurred, pair.sharp))
            patches = patches_of(blurred, sharp, given.patches, rng)
            found += [fit for patch in patches if (fit := fits(patch))]
        radii = " / ".join(
            f"{radius:.1f}" for radius in np.quantile([radius for radius, _ in found], (0.1, 0.5, 0.9))
        )
        medians = " | ".join(f"{np.median([scores[name] for _, scores in found]):.2f}" for name in columns)
        print(f"| {folder.name} | {len(found)} | {radii} | {medians} |", flush=True)


if __name__ == "__main__":
    main()
