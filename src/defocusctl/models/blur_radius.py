"""How far out of focus every part of a photo is: the radius of its blur disc in pixels, and how sure that is.

One small network looks at the photo at levels 1, 1/2, 1/4 and 1/8 of its size and gives, for every cell of
8 x 8 of a level's pixels, a Laplace distribution of log(1 + radius). At every level it knows radii of up to
``LARGEST`` of that level's pixels; where the blur is wider, coarser levels take over. Textureless parts have
a wide distribution at fine levels, so that the coarse ones, which see their surroundings, decide.

Axes: B batch, H rows, W columns of the photo; h, w of a level; grids are 1/8 of either, rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, log1p
from typing import ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad, pixel_unshuffle, relu, softplus

from defocusctl.models.blocks import resize
from defocusctl.models.prediction import Model, RadiusOutput

CELL = 8  # pixels of a photo on each side of a cell of the grid
LEVELS = 4  # sizes 1, 1/2, 1/4 and 1/8 of the photo
SMALLEST_LEVEL = 32  # pixels; photos are not shrunk to less than this
LARGEST = 16.0  # radius in a level's pixels, the largest that it tells from larger ones
TRUSTED = 12.0  # radius in a level's pixels above which coarser levels start to take over
ENTRY = 4  # the input is unshuffled by this
MULTIPLE = 16  # sides of what the network sees: the coarsest of its features are at 1/16
CONTEXT = 160  # pixels; at least the receptive field's radius, and a multiple of MULTIPLE
TILE = 1024  # pixels of a level on each side that are computed at once
SMALLEST_LOG_SCALE = -4.0  # no level is surer than this, so that none is all or nothing in what is fused
DISTANCES = (1, 2, 4, 8)
MEASURES = 5 * len(DISTANCES) - 2
FAINT = 0.001  # differences below this count as none, of pixel values in [0, 1]
NOISE = 0.01  # contrast that counts as noise, of pixel values in [0, 1]


class BlurEstimate(NamedTuple):
    """Blur disc radius and its standard deviation, in pixels of the photo: (B, 1, ceil(H/8), ceil(W/8))."""

    radius: Tensor
    sigma: Tensor


class LogRadius(NamedTuple):
    """A Laplace distribution of log(1 + radius) for every cell: its median, and the log of its scale."""

    median: Tensor
    log_scale: Tensor


@dataclass(frozen=True)
class BlurRadiusConfig:
    """``entry_width`` is the number of features at 1/4 of a level's size, ``width`` that at 1/8 and 1/16."""

    entry_width: int = 32
    width: int = 48


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), 3 x 3 with bias; shape is kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(relu(self.first(relu(x))))
        return x + change


class BlurRadius(Model):
    """Photo -> ``BlurEstimate``."""

    name: ClassVar[str] = "blur-radius"
    target: ClassVar[Literal["sharp", "radius"]] = "radius"

    def __init__(self, config: BlurRadiusConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BlurRadiusConfig()
        entry, width = config.entry_width, config.width
        self.enter = nn.Conv2d(3 * ENTRY**2 + 1, entry, 3, padding=1)
        self.fine = Residual(entry)
        self.shrink = nn.Conv2d(entry, width, 3, stride=2, padding=1)
        self.measure = nn.Conv2d(MEASURES, width, 1)
        self.middle = nn.Sequential(Residual(width), Residual(width))
        self.shrink_again = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(Residual(width), Residual(width))
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.last = Residual(width)
        self.head = nn.Conv2d(width, 2, 1)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        width, entry = state["shrink.weight"].shape[:2]
        return cls(BlurRadiusConfig(entry, width))

    def initialise(self) -> None:
        """Features of unit variance (He et al. 2015), quiet residuals, and a radius of about 2 pixels."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.constant_(module.get_parameter("bias"), 0.0)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, Residual):
                    module.second.weight.mul_(0.3)
            self.head.weight.mul_(0.1)
            self.head.get_parameter("bias").copy_(torch.tensor([1.0, -0.5]))

    @torch.no_grad()
    def forward(self, photo: Tensor) -> BlurEstimate:
        """Estimate the blur of (B, 3, H, W) RGB float32 in [0, 1] of any size, display-referred.

        Large photos are computed in tiles, with the result of the whole: beyond the photo, memory is a third
        of its size and a constant. It may be on another device than the network; the result is on its own.
        """
        return fused([self._tiled(level) for level in pyramid(photo)], grid_of(photo))

    def training_output(self, blurred: Tensor, target: Tensor) -> RadiusOutput:
        """Every level's estimate, and the fused one, against the true radius (B, H, W) of photos to match.

        Sides are multiples of 64: then every level's cells are whole.
        """
        levels = [self._level(level) for level in pyramid(blurred)]
        terms = []
        for number, level in enumerate(levels):
            radius = avg_pool2d(target.unsqueeze(1), CELL * 2**number) / 2**number
            terms.append((*level, radius.clamp(max=LARGEST).log1p()))
        radius, sigma = fused(levels, grid_of(blurred))
        log_scale = (sigma / (1 + radius)).log() - log(2) / 2
        terms.append((radius.log1p(), log_scale, avg_pool2d(target.unsqueeze(1), CELL).log1p()))
        return RadiusOutput(tuple(terms))

    def _tiled(self, level: Tensor) -> LogRadius:
        """The estimate of one level in its pixels, tile by tile; every tile sees its surroundings, too."""
        height, width = level.shape[-2:]
        device = self.head.weight.device
        rows = []
        for top in range(0, height, TILE):
            row = []
            above = max(top - CONTEXT, 0)
            for left in range(0, width, TILE):
                before = max(left - CONTEXT, 0)
                seen = level[..., above : top + TILE + CONTEXT, before : left + TILE + CONTEXT]
                found = self._level(seen.to(device))
                y, x = (top - above) // CELL, (left - before) // CELL
                inner = slice(y, y + TILE // CELL), slice(x, x + TILE // CELL)
                row.append(torch.cat([part[..., *inner].to(level.device) for part in found], dim=1))
            rows.append(torch.cat(row, dim=3))
        return LogRadius(*torch.cat(rows, dim=2).chunk(2, dim=1))

    def _level(self, image: Tensor) -> LogRadius:
        """The estimate of an image (B, 3, h, w) that fits into memory with its features."""
        cells = grid_of(image)
        height, width = image.shape[-2:]
        image = pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        fine = self.fine(self.enter(_normalised(image)))
        x = self.middle(self.shrink(fine) + self.measure(_measures(image)))
        coarse = resize(self.coarse(self.shrink_again(x)), 2)
        x = self.last(self.merge(torch.cat([x, coarse], dim=1)))
        found = self.head(relu(x))[..., : cells[0], : cells[1]].float()
        median, log_scale = found.chunk(2, dim=1)
        return LogRadius(median, SMALLEST_LOG_SCALE + softplus(log_scale - SMALLEST_LOG_SCALE))


def grid_of(photo: Tensor) -> tuple[int, int]:
    """Rows and columns of the grid of a photo (B, C, H, W)."""
    height, width = photo.shape[-2:]
    return -(-height // CELL), -(-width // CELL)


def pyramid(photo: Tensor) -> list[Tensor]:
    """The photo and its area averages at 1/2, 1/4 and 1/8, as far as ``SMALLEST_LEVEL`` allows."""
    levels = [photo]
    while len(levels) < LEVELS and min(levels[-1].shape[-2:]) >= 2 * SMALLEST_LEVEL:
        levels.append(avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
    return levels


def fused(levels: list[LogRadius], grid: tuple[int, int]) -> BlurEstimate:
    """One estimate from those of all levels, in pixels of the photo.

    The weighted mean of log(1 + radius). A level's weight is its inverse squared variance and, but for the
    coarsest, how far its range is from ending below its own estimate and below what coarser levels say at
    least: blur far beyond a level's range can look like none to it. The levels' errors are not independent:
    the variance is that of the levels with most weight, which does not fall with their number, and that
    between them.
    """
    logs: list[Tensor] = []
    variances: list[Tensor] = []
    weights: list[Tensor] = []
    for number, level in reversed(list(enumerate(levels))):
        median, log_scale = (_enlarged(part, 2**number, grid) for part in level)
        radius = median.clamp(0, log1p(LARGEST)).expm1()
        in_photo = radius * 2**number
        variance = 2 * (log_scale.exp() * (1 + radius) * 2**number / (1 + in_photo)) ** 2
        weight = 1 / variance**2
        if logs:
            mean, spread = _mixture(logs, variances, weights)
            at_least = (mean - spread.sqrt()).expm1() / 2**number
            weight = weight * _trust(radius) * _trust(at_least)
        logs.append(in_photo.log1p())
        variances.append(variance)
        weights.append(weight)
    mean, variance = _mixture(logs, variances, weights)
    return BlurEstimate(mean.expm1(), variance.sqrt() * mean.exp())


def _trust(radius: Tensor) -> Tensor:
    """1 for radii that a level knows well, falling to 0 at its largest."""
    return ((LARGEST - radius) / (LARGEST - TRUSTED)).clamp(0, 1)


def _mixture(logs: list[Tensor], variances: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of log(1 + radius) from those of several levels."""
    t, v, w = torch.stack(logs), torch.stack(variances), torch.stack(weights)
    w = w / w.sum(dim=0)
    mean = (w * t).sum(dim=0)
    return mean, (w**2 * v).sum(dim=0) / (w**2).sum(dim=0) + (w * (t - mean) ** 2).sum(dim=0)


def _enlarged(maps: Tensor, factor: int, grid: tuple[int, int]) -> Tensor:
    return (maps if factor == 1 else resize(maps, factor))[..., : grid[0], : grid[1]]


def _measures(image: Tensor) -> Tensor:
    """How strong differences at several distances are in every cell, as logarithms: (B, 18, h/8, w/8).

    Detail of a blurred photo grows with the distance, that of a sharp one hardly does; ratios are differences
    of logarithms, which convolutions can form.
    """
    grey = image.mean(dim=1, keepdim=True)
    means, peaks = [], []  # pooled one by one: all differences at once would take much memory
    for distance in DISTANCES:
        along = [_difference(grey, distance, axis) for axis in (2, 3)]
        means += [avg_pool2d(part.square(), CELL) for part in along]
        peaks.append(max_pool2d(torch.maximum(along[0].abs(), along[1].abs()), CELL))
        if distance < DISTANCES[-1]:
            means += [
                avg_pool2d(_difference(part, distance, axis).square(), CELL)
                for part, axis in zip(along, (2, 3), strict=True)
            ]
    mean, peak = torch.cat(means, dim=1), torch.cat(peaks, dim=1)
    return torch.cat([(mean + FAINT**2).log() / 2, (peak + FAINT).log()], dim=1) - log(NOISE)


def _difference(plane: Tensor, distance: int, axis: int) -> Tensor:
    """x(i + distance) - x(i) along an axis, zero at its end."""
    length = plane.shape[axis] - distance
    change = plane.narrow(axis, distance, length) - plane.narrow(axis, 0, length)
    return pad(change, (0, 0, 0, distance) if axis == 2 else (0, distance))


def _normalised(image: Tensor) -> Tensor:
    """The unshuffled image minus its local mean, over its local contrast; and the logarithm of the latter.

    Blur is a matter of the relative strength of fine and coarse detail, whatever the contrast. Mean and
    contrast are over 24 x 24 pixels, about every cell: (B, 3, h, w) -> (B, 3 * 16 + 1, h/4, w/4).
    """
    cells = torch.cat([image, image.square().mean(dim=1, keepdim=True)], dim=1)
    local = avg_pool2d(avg_pool2d(cells, CELL), 3, stride=1, padding=1, count_include_pad=False)
    mean, square = local[:, :3], local[:, 3:]
    contrast = (square - mean.square().mean(dim=1, keepdim=True)).clamp(min=0).add(NOISE**2).sqrt()
    scale = CELL // ENTRY
    mean, contrast = (interpolate(part, scale_factor=scale, mode="nearest") for part in (mean, contrast))
    detail = (pixel_unshuffle(image, ENTRY) - mean.repeat_interleave(ENTRY**2, dim=1)) / contrast
    return torch.cat([detail, contrast.log() - log(NOISE)], dim=1)
