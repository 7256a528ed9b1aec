"""From light to file: gamma, sensor noise, quantisation and JPEG, batched and on the device.

Axes: B scenes, C colour (RGB), H rows, W columns. Light is linear with white at 1 and may exceed it.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

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
    return torch.where(chosen, jpeg(pixels, quality, subsampled), pixels)


# The example quantisation tables of the JPEG standard (ITU-T T.81, annex K).
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def jpeg(pixels: Tensor, quality: Tensor, subsampled: Tensor) -> Tensor:
    """What baseline JPEG does to (B, 3, H, W) pixels in [0, 1]; H and W multiples of 16.

    Subsampled chroma is averaged 2 x 2 and brought back with the triangle filter that libjpeg calls fancy
    upsampling, which is bilinear interpolation.

    Args:
        quality: (B, 1, 1, 1), 1 to 100 in libjpeg's scale.
        subsampled: (B, 1, 1, 1), true where chroma is stored at half the width and height.
    """
    matrix = torch.tensor(_TO_YCC, device=pixels.device)
    ycc = torch.einsum("yc,bchw->byhw", matrix, pixels * 255) - torch.tensor(
        [128.0, 0, 0], device=pixels.device
    ).view(1, 3, 1, 1)
    y, chroma = ycc[:, :1], ycc[:, 1:]
    luma_table, chroma_table = (torch.tensor(table, device=pixels.device) for table in (_LUMA, _CHROMA))
    y = _quantised(y, _scaled(luma_table, quality))
    scaled = _scaled(chroma_table, quality)
    half = interpolate(_quantised(avg_pool2d(chroma, 2), scaled), scale_factor=2, mode="bilinear")
    chroma = torch.where(subsampled, half, _quantised(chroma, scaled))
    decoded = torch.cat([y + 128, chroma], dim=1)
    rgb = torch.einsum("cy,byhw->bchw", torch.linalg.inv(matrix), decoded)
    return rgb.round().clamp(0, 255) / 255


def _scaled(table: Tensor, quality: Tensor) -> Tensor:
    """libjpeg's quality scaling: (8, 8) table -> (B, 1, 8, 8)."""
    factor = torch.where(quality < 50, torch.floor(5000 / quality), 200 - 2 * quality)
    return torch.floor((table * factor + 50) / 100).clamp(1, 255)


def _quantised(plane: Tensor, table: Tensor) -> Tensor:
    """Round the 8 x 8 cosine coefficients of (B, C, H, W) planes to multiples of (B, 1, 8, 8) steps."""
    batch, channels, height, width = plane.shape
    n = torch.arange(8, device=plane.device)
    dct = torch.cos((2 * n.view(1, 8) + 1) * n.view(8, 1) * torch.pi / 16) / 2
    dct[0] /= 2**0.5
    blocks = plane.reshape(batch, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    coefficients = dct @ blocks @ dct.T
    steps = table.view(batch, 1, 1, 1, 8, 8)
    blocks = dct.T @ ((coefficients / steps).round() * steps) @ dct
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(plane.shape)


def _uniform(batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, 1, 1, 1, generator=generator, device=generator.device)
