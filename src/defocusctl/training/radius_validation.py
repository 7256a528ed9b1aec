"""How well a network knows the blur of rendered scenes that it never saw, where the truth is known."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from defocusctl.data.batches import RenderedSource, StepCrops, render_crops
from defocusctl.data.pairs import PixelCache, photos_below
from defocusctl.data.settings import Rendering
from defocusctl.models.blur_radius import CELL
from defocusctl.models.prediction import Model
from defocusctl.training.recipe import RENDERED, Validation

DRAWN = 6  # of each set, in a picture
SEED = 20_232
IN_FOCUS, BLURRED = 0.25, 1.5  # pixels; cells in between are neither
TEXTURED = 0.04  # contrast (standard deviation of the sharp pixels of a cell) from which on there is texture
SHOWN = 20.0  # pixels of radius that are white in pictures


class Scene(NamedTuple):
    """One rendered crop on the CPU: (3, H, W) pixels; per cell the true radius and the sharp contrast."""

    photo: Tensor
    radius: Tensor
    contrast: Tensor


class RadiusScore(NamedTuple):
    """Over the cells of a set; the first two only of those with texture."""

    error: float  # mean absolute error of log(1 + radius)
    auc: float  # area under the ROC curve of telling what is in focus from what is blurred
    error_everywhere: float
    within_sigma: float  # share of cells whose truth is within one standard deviation; 0.76 if all is well

    def __str__(self) -> str:
        return (
            f"log radius off by {self.error:.3f} (everywhere {self.error_everywhere:.3f}), "
            f"AUC {self.auc:.4f}, {self.within_sigma:.0%} within sigma"
        )


class RadiusValidation:
    """The rendered scenes of a recipe's validation photos, two of each; the same in every run."""

    def __init__(
        self, settings: Validation, rendering: Rendering, root: Path, white: float | None = None
    ) -> None:
        cache = PixelCache(0, white)
        self.sets: dict[str, list[Scene]] = {}
        if settings.sharp:
            photos = photos_below(root, settings.sharp)[: settings.limit]
            seeds = range(SEED, SEED + 2 * len(photos))
            self.sets[RENDERED] = [
                _scene(photo, rendering, settings.crop, seed, cache)
                for photo, seed in zip(2 * photos, seeds, strict=True)
            ]

    @torch.inference_mode()
    def measure(self, network: Model, device: torch.device) -> Mapping[str, RadiusScore]:
        """How right ``network`` (evaluation mode, float32) is on every set."""
        return {
            name: score([(scene, *_estimated(network, scene, device)) for scene in scenes])
            for name, scenes in self.sets.items()
        }

    @torch.inference_mode()
    def strips(self, network: Model, device: torch.device) -> NDArray[np.uint8]:
        """A picture: a few scenes of every set, each photo | estimated radius | true radius."""
        rows = []
        for scenes in self.sets.values():
            for scene in scenes[:: max(len(scenes) // DRAWN, 1)][:DRAWN]:
                radius, _ = _estimated(network, scene, device)
                parts = [scene.photo, _picture(radius), _picture(scene.radius)]
                rows.append(
                    (torch.cat(parts, dim=2).clamp(0, 1).permute(1, 2, 0) * 255).round().byte().numpy()
                )
        return np.concatenate(rows)


def _scene(photo: Path, rendering: Rendering, crop: int, seed: int, cache: PixelCache) -> Scene:
    source = RenderedSource([photo], [], 1.0)
    crops = StepCrops([source], rendering, cache, batch=1, crop=crop, seed=seed)[0]
    samples = render_crops(crops, rendering, seed)
    assert samples.radius is not None
    sharp = samples.sharp.mean(dim=1)
    variance = avg_pool2d(sharp.square(), CELL) - avg_pool2d(sharp, CELL).square()
    return Scene(samples.blurred[0], avg_pool2d(samples.radius, CELL)[0], variance[0].clamp(min=0).sqrt())


def _estimated(network: Model, scene: Scene, device: torch.device) -> tuple[Tensor, Tensor]:
    """Radius and standard deviation of every cell, on the CPU."""
    radius, sigma = network(scene.photo.unsqueeze(0).to(device))
    return radius[0, 0].cpu(), sigma[0, 0].cpu()


def score(results: list[tuple[Scene, Tensor, Tensor]]) -> RadiusScore:
    """The score of scenes with their estimated radii and standard deviations."""
    truth = torch.cat([scene.radius.flatten() for scene, _, _ in results])
    textured = torch.cat([scene.contrast.flatten() for scene, _, _ in results]) > TEXTURED
    radius = torch.cat([part.flatten() for _, part, _ in results])
    sigma = torch.cat([part.flatten() for _, _, part in results])
    error = (radius.log1p() - truth.log1p()).abs()
    return RadiusScore(
        error=float(error[textured].mean()),
        auc=auc(radius[textured & (truth <= IN_FOCUS)], radius[textured & (truth >= BLURRED)]),
        error_everywhere=float(error.mean()),
        within_sigma=float(((radius - truth).abs() <= sigma).float().mean()),
    )


def auc(low: Tensor, high: Tensor) -> float:
    """The chance that a value of ``high`` is above one of ``low``; 0.5 if either is empty."""
    if not len(low) or not len(high):
        return 0.5
    ranks = torch.cat([low, high]).argsort().argsort()[len(low) :] + 1
    above = ranks.double().sum() - len(high) * (len(high) + 1) / 2
    return float(above / (len(low) * len(high)))


def _picture(radius: Tensor) -> Tensor:
    grey = (radius / SHOWN).expand(1, 1, *radius.shape)
    return interpolate(grey, scale_factor=CELL, mode="nearest")[0].expand(3, -1, -1)
