"""From light to file: gamma, sensor noise, quantisation and JPEG; all but JPEG batched and on the device.

Axes: B scenes, C colour (RGB), H rows, W columns. Light is linear with white at 1 and may exceed it.
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from defocusctl.data.settings import Camera

GAMMA = 2.2


def to_light(encoded: Tensor) -> Tensor:
    """Undo the display gamma of pixel values in [0, 1]."""
    return encoded.clamp(0, 1) ** GAMMA


def to_pixels(light: Tensor) -> Tensor:
    """Clip at white and apply the display gamma."""
    return light.clamp(0, 1) ** (1 / GAMMA)


def lift_highlights(camera: Camera, light: Tensor, generator: torch.Generator) -> Tensor:
    """Give clipped highlights back some of the light the file lost, so that they blur as bright discs."""
    batch = light.shape[0]
    chosen = _uniform(batch, generator) < camera.highlights
    gain = 1 + (camera.highlight_gain - 1) * _uniform(batch, generator)
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
    batch = light.shape[0]
    chosen = (_uniform(batch, generator) < camera.noise).float()
    sigma = camera.noise_sigma * _uniform(batch, generator) * chosen
    read_share = _uniform(batch, generator)
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    smoothing = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]], device=light.device) / 6  # keeps sigma
    smooth = conv2d(noise, smoothing.expand(3, 1, 3, 3), padding=1, groups=3)
    noise = torch.where(_uniform(batch, generator) < camera.correlated_noise, smooth, noise)
    variance = read_share * 0.2 + (1 - read_share) * light.clamp(min=0)
    return light + sigma * torch.sqrt(variance) * noise


def _maybe_jpeg(camera: Camera, pixels: Tensor, generator: torch.Generator) -> Tensor:
    batch = pixels.shape[0]
    low, high = camera.jpeg_quality
    quality = torch.floor(low + (high + 1 - low) * _uniform(batch, generator)).clamp(max=high)
    subsampled = _uniform(batch, generator) < 0.5
    chosen = _uniform(batch, generator) < camera.jpeg
    if camera.jpeg == 0:
        return pixels
    drawn = zip(
        pixels,
        chosen.flatten().tolist(),
        quality.flatten().tolist(),
        subsampled.flatten().tolist(),
        strict=True,
    )
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


def _uniform(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, 1, 1, 1, generator=generator, device=generator.device)
