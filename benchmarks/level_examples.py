"""Blurred photos with a network's change at each level, for ``level_shares.py`` and ``level_selector.py``.

Examples are photos rendered with blur of known radii, or real pairs. Restoring them takes most of the time,
so they are kept in a folder and read from there when they are needed again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defocusctl.data.batches import RenderedSource, StepCrops, render_crops
from defocusctl.data.defocus import to_light, to_pixels
from defocusctl.data.pairs import PixelCache, as_float
from defocusctl.data.scenes import ApertureShapes, point_spread
from defocusctl.data.settings import Aperture, Geometry, Rendering
from defocusctl.deblurrer import Deblurrer
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.models.level_shares import LevelShares
from defocusctl.photo import Photo, read_photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.blur import estimate_blur
from defocusctl.restoring.levels import CELL, SCALES
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.selection import SCALE_OF, levels_for, shares_by_radius, worthwhile
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.weights.checkpoint import load_model
from defocusctl.weights.resolve import resolve_weights

Array = npt.NDArray[Any]

CROP = 416
DISC_CROP, BORDER = 320, 16
LARGEST = 2.0
"""Megapixels; larger pairs are left out, because scale 1 takes minutes for each."""

RENDERING = Rendering(
    max_radius=(0.7, 36.0),
    sharp=0.05,
    off_focus=0.5,
    scene_softness=0.4,
    levels=16,
    geometry=Geometry(depth=0, plane=1, layers=1, smooth=1),
    aperture=Aperture(soft_edge=0.0, gaussian_edge=(0.15, 0.6)),
)

DISCS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Radii in pixels that sharp photos are blurred by."""

SOFT_EDGES = (0.0, 0.15, 0.3)
"""Sigma of the Gaussian that a disc is convolved with, relative to its radius."""

NOISE = 0.005
"""Shot noise at white, in linear light."""


class Example(NamedTuple):
    """A blurred and a sharp photo (H, W, 3) in [0, 1], the estimated blur, and the change at each level.

    ``radius`` and ``sigma`` are in pixels, one for each 8 x 8 pixels (h, w); ``changes`` is (4, H, W, 3).
    """

    name: str
    blurred: Array
    sharp: Array
    radius: Array
    sigma: Array
    changes: Array

    @property
    def available(self) -> tuple[int, ...]:
        """The scales at which a photo of this size may be restored."""
        return levels_for(Size(*self.blurred.shape[:2]))

    def by_radius(self, shares: LevelShares) -> Array:
        """The shares of the levels by blur radius, (4, h, w)."""
        return worthwhile(shares_by_radius(self.radius, self.sigma, shares, self.available))


class Errors(NamedTuple):
    """What the squared error of an example depends on, as sums over its cells of 8 x 8 pixels.

    With shares w, it is ``before - 2 w . gained + w . products . w`` in each cell: ``before`` is (h, w),
    ``gained`` (4, h, w), ``products`` (4, 4, h, w). Within a cell, shares are taken as constant.
    """

    before: Array
    gained: Array
    products: Array

    @classmethod
    def of(cls, example: Example) -> Self:
        error = example.sharp - example.blurred
        return cls(
            before=summed(error**2),
            gained=np.stack([summed(change * error) for change in example.changes]),
            products=np.stack([[summed(a * b) for b in example.changes] for a in example.changes]),
        )

    def gain(self, shares: Array) -> float:
        """The gain in PSNR (dB) over the blurred photo with the shares of the levels (4, h, w)."""
        added = np.einsum("ahw,abhw,bhw->", shares, self.products, shares)
        after = self.before.sum() - 2 * (shares * self.gained).sum() + added
        return float(10 * np.log10(self.before.sum() / after))


def summed(values: Array) -> Array:
    """Sums over blocks of 8 x 8 pixels and the colours: (H, W, C) -> (h, w)."""
    height, width = values.shape[:2]
    plane = np.pad(values.sum(axis=2), ((0, -height % CELL), (0, -width % CELL)))
    return np.asarray(plane.reshape(plane.shape[0] // CELL, CELL, -1, CELL).sum(axis=(1, 3)))


class Examples:
    """Makes examples with a network and the blur radius network, and keeps them in ``folder``."""

    def __init__(self, model: str, weights: str, folder: Path) -> None:
        deblurrer = Deblurrer.load(model, weights, RestoreSettings(), offline=True)
        self.weights = deblurrer.weights.path
        blur_radius = resolve_weights(BlurRadius.name, "bundled", offline=True)
        self._blur_radius = load_model(blur_radius.path, BlurRadius)
        self._restorers = {
            scale: Restorer(deblurrer.network, RestoreSettings(scale=name))
            for name, scale in SCALE_OF.items()
        }
        self._folder = folder / model / deblurrer.weights.name

    def rendered(self, folders: list[Path], count: int) -> Iterator[Example]:
        """Photos of the folders, blurred with soft-edged discs of radii up to 36 pixels."""
        photos = [photo for folder in folders for photo in sorted(folder.iterdir())]
        for number in range(count):
            photo = photos[int(np.random.default_rng(number).integers(len(photos)))]
            file = self._folder / "rendered" / f"{number:03d}.npz"
            yield self._kept(file) or self._made(file, *scene(photo, number))

    def discs(self, folder: Path) -> Iterator[Example]:
        """The photos of a folder, each blurred by a disc."""
        for number, photo in enumerate(sorted(folder.iterdir())):
            file = self._folder / "discs" / f"{photo.stem}.npz"
            yield self._kept(file) or self._made(file, *disc_blurred(photo, number))

    def pairs(self, folder: Path) -> Iterator[Example]:
        """The pairs of ``folder / "source"`` and ``folder / "target"`` that are not too large."""
        for source in sorted((folder / "source").iterdir()):
            file = self._folder / folder.name / f"{source.stem}.npz"
            kept = self._kept(file)
            if kept is None:
                photo = read_photo(source)
                if photo.size.megapixels > LARGEST:
                    continue
                target = read_photo(next((folder / "target").glob(f"{source.stem}.*")))
                parts = (each.pixels.astype(np.float32) / each.full_scale for each in (photo, target))
                kept = self._made(file, *(np.broadcast_to(part, (*part.shape[:2], 3)) for part in parts))
            yield kept

    def _kept(self, file: Path) -> Example | None:
        if not file.exists():
            return None
        with np.load(file) as arrays:
            return Example(file.stem, *(arrays[name].astype(np.float32) for name in Example._fields[1:]))

    def _made(self, file: Path, blurred: Array, sharp: Array) -> Example:
        photo = Photo.of_pixels(np.ascontiguousarray(blurred), 1.0)
        blur = estimate_blur(self._blur_radius, photo, Box(0, 0, *photo.size))
        changes = [np.zeros_like(blurred)] * len(SCALES)
        for scale in levels_for(photo.size):
            changes[SCALES.index(scale)] = self._restorers[scale].restore([photo])[0].pixels - blurred
        example = Example(file.stem, blurred, sharp, blur.radius, blur.sigma, np.stack(changes))
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: value.astype(np.float16) for name, value in example._asdict().items() if name != "name"
        }
        np.savez(file, **arrays)
        print(f"  made {file.parent.name}/{file.stem}", flush=True)
        return example


def scene(photo: Path, seed: int) -> tuple[Array, Array]:
    """A crop of a photo blurred in a random way, and as it was (H, W, 3)."""
    crops = StepCrops(
        [RenderedSource([photo], [], 1.0)], RENDERING, PixelCache(10**8), batch=1, crop=CROP, seed=seed
    )[0]
    samples = render_crops(crops, RENDERING, seed)
    blurred, sharp = (part[0].permute(1, 2, 0).numpy() for part in (samples.blurred, samples.sharp))
    return blurred, sharp


def disc_blurred(photo: Path, number: int) -> tuple[Array, Array]:
    """The middle of a photo, blurred by one of the discs and noisy, and as it was (H, W, 3)."""
    pixels = as_float(PixelCache(0).rgb(photo))
    top, left = ((length - DISC_CROP) // 2 for length in pixels.shape[:2])
    sharp = torch.from_numpy(pixels[top : top + DISC_CROP, left : left + DISC_CROP]).permute(2, 0, 1)[None]
    radius, soft_edge = DISCS[number % len(DISCS)], SOFT_EDGES[number % len(SOFT_EDGES)]
    zero = torch.zeros(1, 1, 1, 1)
    shape = ApertureShapes(zero, zero, zero, zero, zero, zero + soft_edge)
    kernel = torch.fft.rfft2(point_spread(shape, torch.tensor([[radius]]), DISC_CROP, DISC_CROP)[0])
    light = torch.fft.irfft2(torch.fft.rfft2(to_light(sharp)) * kernel, s=(DISC_CROP, DISC_CROP)).clamp(0, 1)
    noise = torch.randn(light.shape, generator=torch.Generator().manual_seed(number))
    blurred = to_pixels(light + NOISE * light.sqrt() * noise)
    seen = slice(BORDER, DISC_CROP - BORDER)  # beyond, the borders wrap around

    def file(part: Tensor) -> Array:
        """What an 8-bit file holds of it."""
        return np.asarray(((part * 255).round() / 255)[0, :, seen, seen].permute(1, 2, 0))

    return file(blurred), file(sharp)
