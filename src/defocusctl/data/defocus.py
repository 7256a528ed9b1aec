"""Rendered defocus: a sharp photo and a disparity field -> the file that a camera with a blurring lens saves.

The lens blurs linear light, with white at 1, which may be exceeded; then come noise, gamma, quantisation
and JPEG. All but JPEG is batched and on the device.

Axes: B scenes, L blur levels, C colour (RGB), H rows, W columns.
"""

from functools import partial
from math import ceil
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from defocusctl.data.scenes import (
    ApertureShapes,
    circles_of_confusion,
    draw_disparity,
    draw_shapes,
    gaussian_blurred,
    point_spread,
    receptive_radius,
    uniform,
)
from defocusctl.data.settings import Camera, Rendering
from defocusctl.photo.geometry import round_up

GAMMA = 2.2


class Samples(NamedTuple):
    """Pixels in [0, 1], (B, 3, H, W) each, and the circle radius in pixels, (B, H, W), if rendered."""

    blurred: Tensor
    sharp: Tensor
    radius: Tensor | None


def margin(rendering: Rendering) -> int:
    """Pixels around a crop that its blur needs, rounded up to a size that the FFT likes."""
    return round_up(ceil(receptive_radius(rendering.aperture, rendering.max_radius[1]) + 1), 8)


def render(rendering: Rendering, photos: Tensor, depth: Tensor | None, generator: torch.Generator) -> Samples:
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
    return Samples(pixels, sharp, c.abs()[..., *inner])


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
    chance = uniform(generator, 2, batch)
    sigma = torch.where(chance[0] < rendering.soft_scenes, rendering.scene_softness * chance[1], 0.0)
    return gaussian_blurred(photos, sigma.view(batch, 1, 1, 1)).clamp(0, 1)


def to_light(encoded: Tensor) -> Tensor:
    """Undo the display gamma of pixel values in [0, 1]."""
    return encoded.clamp(0, 1) ** GAMMA


def to_pixels(light: Tensor) -> Tensor:
    """Clip at white and apply the display gamma."""
    return light.clamp(0, 1) ** (1 / GAMMA)


def lift_highlights(camera: Camera, light: Tensor, generator: torch.Generator) -> Tensor:
    """Give clipped highlights back some of the light the file lost, so that they blur as bright discs."""
    draw = partial(uniform, generator, light.shape[0], 1, 1, 1)
    chosen = draw() < camera.highlights
    gain = 1 + (camera.highlight_gain - 1) * draw()
    brightness = light.amin(dim=1, keepdim=True)
    lifted = light * (1 + (gain - 1) * ((brightness - 0.85) / 0.15).clamp(0, 1) ** 2)
    return torch.where(chosen, lifted, light)


def photograph(camera: Camera, light: Tensor, generator: torch.Generator) -> Tensor:
    """Noise, gamma, rounding to 8 bits and, sometimes, JPEG: linear light -> pixels in [0, 1]."""
    pixels = to_pixels(_with_noise(camera, light, generator))
    pixels = (pixels * 255).round() / 255
    return _maybe_jpeg(camera, pixels, generator)


def _with_noise(camera: Camera, light: Tensor, generator: torch.Generator) -> Tensor:
    """Shot and read noise in linear light, in some scenes correlated as demosaicing leaves it.

    The variance is sigma^2 (0.2 s + (1 - s) light) with a random share s: sigma is pure shot noise at white,
    and read noise is as strong as shot noise at a light of 0.2.
    """
    draw = partial(uniform, generator, light.shape[0], 1, 1, 1)
    chosen = (draw() < camera.noise).float()
    sigma = camera.noise_sigma * draw() * chosen
    read_share = draw()
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    smoothing = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], device=light.device) / 6  # keeps sigma
    smooth = conv2d(noise, smoothing.expand(3, 1, 3, 3), padding=1, groups=3)
    noise = torch.where(draw() < camera.correlated_noise, smooth, noise)
    variance = read_share * 0.2 + (1 - read_share) * light.clamp(min=0)
    return light + sigma * torch.sqrt(variance) * noise


def _maybe_jpeg(camera: Camera, pixels: Tensor, generator: torch.Generator) -> Tensor:
    draw = partial(uniform, generator, pixels.shape[0], 1, 1, 1)
    low, high = camera.jpeg_quality
    quality = torch.floor(low + (high + 1 - low) * draw()).clamp(max=high)
    subsampled = draw() < 0.5
    chosen = draw() < camera.jpeg
    if camera.jpeg == 0:
        return pixels
    drawn = zip(pixels, *(values.flatten().tolist() for values in (chosen, quality, subsampled)), strict=True)
    return torch.stack(
        [jpeg(photo, int(q), subsampled=half) if take else photo for photo, take, q, half in drawn]
    )


def jpeg(pixels: Tensor, quality: int, *, subsampled: bool) -> Tensor:
    """What a baseline JPEG file does to (3, H, W) pixels in [0, 1]; ``subsampled`` is 4:2:0, else 4:4:4.

    ``quality`` is 1 to 100 in libjpeg's scale, which OpenCV brings.
    """
    bgr = (pixels * 255).round().byte().flip(0).permute(1, 2, 0).cpu().numpy()
    chroma = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, chroma]
    _, file = cv2.imencode(".jpg", np.ascontiguousarray(bgr), options)
    decoded = torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)).to(pixels.device)
    return decoded.permute(2, 0, 1).flip(0) / 255
