"""Training batches as a pure function of seed and step, so that a resumed run sees what it would have seen.

Axes: B samples, C colour (RGB), H rows, W columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from defocusctl.data.defocus import Samples, margin, render
from defocusctl.data.pairs import PhotoPair, PixelCache, Pixels, as_float
from defocusctl.data.settings import Rendering


class Crops(NamedTuple):
    """What one step reads from disk: crops of pairs (``blurred`` given) or of sharp photos to be rendered."""

    step: int
    sharp: Tensor
    blurred: Tensor | None
    depth: Tensor | None


@dataclass(frozen=True)
class RenderedSource:
    """Sharp photos that are blurred by ``render``, and depth maps that lend them their geometry."""

    photos: Sequence[Path]
    depth: Sequence[Path]
    weight: float


@dataclass(frozen=True)
class PairSource:
    """Photos that were taken twice, blurred and sharp."""

    pairs: Sequence[PhotoPair]
    weight: float


Source = RenderedSource | PairSource


@dataclass(frozen=True, eq=False)
class StepCrops(Dataset[Crops]):
    """Item ``step`` is the whole batch of that step: one source, random crops, flips and quarter turns.

    ``crop`` is in pixels; photos that are to be rendered are cut larger by what ``rendering`` blurs.
    """

    sources: Sequence[Source]
    rendering: Rendering
    cache: PixelCache
    batch: int
    crop: int
    seed: int

    def __getitem__(self, step: int) -> Crops:
        random = np.random.default_rng([self.seed, step])
        weights = np.array([source.weight for source in self.sources])
        source = self.sources[int(random.choice(len(weights), p=weights / weights.sum()))]
        if isinstance(source, PairSource):
            crops = [self._pair(source, random) for _ in range(self.batch)]
            blurred, sharp = (torch.stack(side) for side in zip(*crops, strict=True))
            return Crops(step, sharp, blurred, None)
        size = self.crop + 2 * margin(self.rendering)
        photos = [self._photo(source, size, random) for _ in range(self.batch)]
        depth = [self._depth(source, size, random) for _ in range(self.batch)] if source.depth else None
        return Crops(step, torch.stack(photos), None, torch.stack(depth) if depth else None)

    def _pair(self, source: PairSource, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        pair = source.pairs[int(random.integers(len(source.pairs)))]
        both = self.cache.both(pair.blurred, pair.sharp)
        top, left = _corner(both[0], self.crop, random)
        turn = int(random.integers(8))
        blurred, sharp = (_turned(_cut(image, top, left, self.crop), turn) for image in both)
        return blurred, sharp

    def _photo(self, source: RenderedSource, size: int, random: np.random.Generator) -> Tensor:
        image = self.cache.rgb(source.photos[int(random.integers(len(source.photos)))])
        side = self._side(min(image.shape[:2]), size, random)
        top, left = _corner(image, side, random)
        cut = _cut(image, top, left, side)
        if side > size:
            cut = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        return _turned(cut, int(random.integers(8)))

    def _side(self, available: int, size: int, random: np.random.Generator) -> int:
        """Pixels of a photo that are shrunk to ``size``, no more than the photo has."""
        if self.rendering.smallest_scale == 1:
            return size
        scale = self.rendering.smallest_scale ** float(random.random())
        return max(min(int(size / scale), available), size)

    def _depth(self, source: RenderedSource, size: int, random: np.random.Generator) -> Tensor:
        """A window of random size of a random map, between a quarter of the map and the whole."""
        grey = self.cache.rgb(source.depth[int(random.integers(len(source.depth)))])[..., :1]
        side = max(int(min(grey.shape[:2]) * random.uniform(0.25, 1)), 1)
        top, left = _corner(grey, side, random)
        window = _cut(grey, top, left, side)
        resized = cv2.resize(as_float(window), (size, size), interpolation=cv2.INTER_LINEAR)
        return _turned(resized[..., None], int(random.integers(8)))[0]


def render_crops(crops: Crops, rendering: Rendering, seed: int) -> Samples:
    """The samples of a step, on the device the crops are on."""
    if crops.blurred is not None:
        return Samples(crops.blurred, crops.sharp, None)
    generator = torch.Generator(crops.sharp.device).manual_seed(seed * 1_000_003 + crops.step)
    return render(rendering, crops.sharp, crops.depth, generator)


def _corner(image: Pixels, size: int, random: np.random.Generator) -> tuple[int, int]:
    """Where a square of the image begins."""
    height, width, _ = image.shape
    return int(random.integers(max(height - size, 0) + 1)), int(random.integers(max(width - size, 0) + 1))


def _cut(image: Pixels, top: int, left: int, size: int) -> Pixels:
    """A square of the image; a photo smaller than it is continued by reflection."""
    cut = image[top : top + size, left : left + size]
    missing = size - cut.shape[0], size - cut.shape[1]
    if missing == (0, 0):
        return cut
    mode = "reflect" if min(cut.shape[0] - missing[0], cut.shape[1] - missing[1]) > 0 else "symmetric"
    return np.pad(cut, ((0, missing[0]), (0, missing[1]), (0, 0)), mode=mode)  # type: ignore[call-overload, no-any-return]


def _turned(image: Pixels | NDArray[np.float32], turn: int) -> Tensor:
    """One of the eight symmetries of a square, as a float tensor (C, H, W) in [0, 1]."""
    values = image if image.dtype == np.float32 else as_float(image)  # type: ignore[arg-type]
    values = np.rot90(values, k=turn % 4)
    if turn >= 4:
        values = values[:, ::-1]
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32))
