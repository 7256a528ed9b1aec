"""How good a network is on photos it never saw: rendered defocus of sharp ones, and pair folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defocusctl.data.batches import RenderedSource, StepCrops, render_crops
from defocusctl.data.pairs import PhotoPair, PixelCache, as_float, pairs_in, photos_below
from defocusctl.data.settings import Rendering
from defocusctl.errors import DataError
from defocusctl.evaluation.metrics import Quality, quality
from defocusctl.models.catalogue import network_errors
from defocusctl.models.prediction import Model, Network
from defocusctl.training.recipe import RENDERED, Validation

DRAWN = 3  # of each set, in a picture
SEED = 20_231
PSNR_CEILING = 60.0  # dB; a restored crop can equal its target, and infinity has no mean
NOTHING_TO_GAIN = 45.0  # dB; rendered scenes nearer to their target than this are drawn again ...
ATTEMPTS = 10  # ... so many times


class ValidationPair(NamedTuple):
    """One crop, (3, H, W) float32 RGB in [0, 1] on the CPU."""

    blurred: Tensor
    sharp: Tensor


class Gain(NamedTuple):
    """Mean quality of a set, and of doing nothing to it; PSNR in dB."""

    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    worst_gain: float  # the PSNR gain of the pair that gained least

    def __str__(self) -> str:
        return (
            f"{self.psnr:.2f} dB ({self.psnr - self.input_psnr:+.2f}), "
            f"SSIM {self.ssim:.4f} ({self.ssim - self.input_ssim:+.4f}), worst pair {self.worst_gain:+.2f} dB"
        )


class ValidationSets:
    """All validation crops of a recipe, read and rendered once; the same for every run and machine."""

    def __init__(
        self, settings: Validation, rendering: Rendering, root: Path, white: float | None = None
    ) -> None:
        cache = PixelCache(0, white)
        self.sets: dict[str, list[ValidationPair]] = {}
        if settings.sharp:
            photos = photos_below(root, settings.sharp)[: settings.limit]
            rendering = rendering.model_copy(update={"sharp": 0.0})
            self.sets[RENDERED] = [
                _rendered(photo, rendering, settings.crop, SEED + index, cache)
                for index, photo in enumerate(photos)
            ]
        for name, folder in settings.pairs.items():
            pairs = pairs_in(root / folder / "source", root / folder / "target")[: settings.limit]
            self.sets[name] = [_central(pair, settings.crop, cache) for pair in pairs]

    @torch.inference_mode()
    def measure(self, network: Model, device: torch.device) -> Mapping[str, Gain]:
        """Quality of every set under ``network`` (evaluation mode, float32)."""
        return {
            name: _gain([(pair, _restored(network, pair.blurred, device)) for pair in pairs])
            for name, pairs in self.sets.items()
        }

    @torch.inference_mode()
    def strips(self, network: Model, device: torch.device) -> NDArray[np.uint8]:
        """A picture: a few crops of every set, each blurred | restored | sharp, (H, W, 3)."""
        rows = []
        for pairs in self.sets.values():
            for pair in pairs[:: max(len(pairs) // DRAWN, 1)][:DRAWN]:
                restored = _restored(network, pair.blurred, device)
                row = torch.cat([pair.blurred, restored.clamp(0, 1), pair.sharp], dim=2)
                rows.append((_array(row) * 255).round().astype(np.uint8))
        width = max(row.shape[1] for row in rows)
        return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _rendered(photo: Path, rendering: Rendering, crop: int, seed: int, cache: PixelCache) -> ValidationPair:
    """A rendered crop of the photo with something to gain."""
    source = RenderedSource([photo], [], 1.0)
    crops = StepCrops([source], rendering, cache, batch=1, crop=crop, seed=seed)[0]
    for attempt in range(ATTEMPTS):
        blurred, sharp, _ = render_crops(crops, rendering, seed + SEED * attempt)
        pair = ValidationPair(blurred[0], sharp[0])
        if _quality(*pair).psnr < NOTHING_TO_GAIN:
            break
    return pair


def _central(pair: PhotoPair, crop: int, cache: PixelCache) -> ValidationPair:
    """The middle of a pair, at most ``crop`` on a side and a multiple of 16."""
    images = [as_float(image) for image in cache.both(pair.blurred, pair.sharp)]
    full_height, full_width, _ = images[0].shape
    height, width = (min(crop, side) // 16 * 16 for side in (full_height, full_width))
    if min(height, width) < Network.minimum_size:
        smallest = f"{Network.minimum_size} pixels"
        raise DataError(f"'{pair.blurred}' is too small to validate on", f"every side needs {smallest}")
    top, left = (full_height - height) // 2, (full_width - width) // 2
    inner = slice(top, top + height), slice(left, left + width)
    crops = (np.ascontiguousarray(image[inner].transpose(2, 0, 1)) for image in images)
    return ValidationPair(*map(torch.from_numpy, crops))


def _restored(network: Model, blurred: Tensor, device: torch.device) -> Tensor:
    """The network's answer to one crop, on the CPU."""
    with network_errors(network.name):
        image: Tensor = network(blurred.unsqueeze(0).to(device)).image
    return image.squeeze(0).float().cpu()


def _gain(results: list[tuple[ValidationPair, Tensor]]) -> Gain:
    after = [_quality(restored, pair.sharp) for pair, restored in results]
    before = [_quality(pair.blurred, pair.sharp) for pair, _ in results]
    return Gain(
        psnr=float(np.mean([q.psnr for q in after])),
        ssim=float(np.mean([q.ssim for q in after])),
        input_psnr=float(np.mean([q.psnr for q in before])),
        input_ssim=float(np.mean([q.ssim for q in before])),
        worst_gain=float(min(a.psnr - b.psnr for a, b in zip(after, before, strict=True))),
    )


def _quality(image: Tensor, reference: Tensor) -> Quality:
    psnr, ssim = quality(_array(image), _array(reference))
    return Quality(min(psnr, PSNR_CEILING), ssim)


def _array(image: Tensor) -> NDArray[np.float32]:
    return image.permute(1, 2, 0).numpy()
