"""Rendered defocus: a sharp photo and a disparity field -> the photo as an out-of-focus lens would take it.

Axes: B scenes, L blur levels, C colour (RGB), H rows, W columns.
"""

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from defocusctl.data.camera import lift_highlights, photograph, to_light, to_pixels
from defocusctl.data.scenes import (
    ApertureShapes,
    circles_of_confusion,
    draw_disparity,
    draw_shapes,
    gaussian_blurred,
    point_spread,
    receptive_radius,
)
from defocusctl.data.settings import Rendering
from defocusctl.geometry import round_up


class RenderedPair(NamedTuple):
    """Pixels in [0, 1], (B, 3, H, W) each, and the circle radius in pixels, (B, H, W)."""

    blurred: Tensor
    sharp: Tensor
    radius: Tensor


def margin(rendering: Rendering) -> int:
    """Pixels around a crop that its blur needs, rounded up to a size that the FFT likes."""
    return round_up(ceil(receptive_radius(rendering.aperture, rendering.max_radius[1]) + 1), 8)


def render(
    rendering: Rendering, photos: Tensor, depth: Tensor | None, generator: torch.Generator
) -> RenderedPair:
    """Blur every photo with a lens, a scene and a camera drawn from ``generator``.

    Args:
        photos: (B, 3, H + 2m, W + 2m) sharp pixels in [0, 1] with m = ``margin(rendering)``.
        depth: (B, H + 2m, W + 2m) disparity maps in [0, 1], larger is nearer, or None.
    """
    batch, _, height, width = photos.shape
    photos = _soften(rendering, photos, generator)
    light = lift_highlights(rendering.camera, to_light(photos), generator)
    disparity = draw_disparity(rendering.geometry, depth, (height, width), batch, generator)
    c = circles_of_confusion(rendering, disparity, generator)
    shapes = draw_shapes(rendering.aperture, batch, generator)
    blurred = defocus(light, c, shapes, rendering.levels)
    m = margin(rendering)
    inner = slice(m, height - m), slice(m, width - m)
    pixels = photograph(rendering.camera, blurred[..., *inner], generator)
    sharp = (to_pixels(light)[..., *inner] * 255).round() / 255
    return RenderedPair(pixels, sharp, c.abs()[..., *inner])


def defocus(light: Tensor, c: Tensor, shapes: ApertureShapes, levels: int) -> Tensor:
    """Linear light (B, 3, H, W) blurred by signed circles of confusion c (B, H, W) in pixels.

    The scene is cut into ``levels`` of equal c, one of them exactly in focus; a pixel between two levels
    belongs to both. Every level is blurred with its coverage and laid over those behind it, so that a near
    object spreads over a far one and a sharp near edge stays sharp. Where blurring uncovers what the photo
    does not show, the visible levels fill the gap in proportion. Borders wrap around: cut the margin off.
    """
    height, width = c.shape[1:]
    radii = _levels(c, levels)  # (B, L), far to near
    step = (radii[:, 1] - radii[:, 0]).view(-1, 1, 1, 1)
    position = (c.unsqueeze(1) - radii.view(*radii.shape, 1, 1)) / step
    membership = (1 - position.abs()).clamp(min=0).unsqueeze(2)  # (B, L, 1, H, W)
    layers = torch.cat([membership * light.unsqueeze(1), membership], dim=2)  # (B, L, 4, H, W)
    kernels = point_spread(shapes, radii, height, width).unsqueeze(2)
    spread = torch.fft.irfft2(torch.fft.rfft2(layers) * torch.fft.rfft2(kernels), s=(height, width))
    colour, coverage = spread[:, :, :3], spread[:, :, 3:].clamp(0, 1)
    total = torch.zeros_like(light)
    weight = torch.zeros_like(light[:, :1])
    transmitted = torch.ones_like(weight)
    for level in reversed(range(levels)):
        total = total + transmitted * colour[:, level]
        weight = weight + transmitted * coverage[:, level]
        transmitted = transmitted * (1 - coverage[:, level])
    return (total / weight.clamp(min=1e-3)).clamp(min=0)


def _levels(c: Tensor, levels: int) -> Tensor:
    """Evenly spaced signed radii (B, L) that cover the scene, with zero among them if it lies between."""
    low, high = c.amin(dim=(1, 2)), c.amax(dim=(1, 2))
    step = ((high - low) / (levels - 2)).clamp(min=1e-3)
    first = torch.floor(low / step)
    return (first.unsqueeze(1) + torch.arange(levels, device=c.device)) * step.unsqueeze(1)


def _soften(rendering: Rendering, photos: Tensor, generator: torch.Generator) -> Tensor:
    """Blur some photos slightly: real scenes are seldom as crisp as the training photos."""
    batch = photos.shape[0]
    chance = torch.rand(2, batch, generator=generator, device=photos.device)
    sigma = torch.where(chance[0] < rendering.soft_scenes, rendering.scene_softness * chance[1], 0.0)
    return gaussian_blurred(photos, sigma.view(batch, 1, 1, 1)).clamp(0, 1)
