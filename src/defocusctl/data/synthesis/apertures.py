"""Point spread functions of an out-of-focus lens, for a whole batch at once.

Axes: B scenes, L blur levels, H rows, W columns.
"""

from dataclasses import dataclass
from math import pi, sin, sqrt

import torch
from torch import Tensor

from defocusctl.data.settings import Aperture


@dataclass(frozen=True)
class ApertureShapes:
    """One lens per scene; every field is (B, 1, 1, 1)."""

    blades: Tensor
    """Edges of the polygon, 0 for a disc."""
    rotation: Tensor
    soft_edge: Tensor
    """Width of the soft edge relative to the radius."""
    aberration: Tensor
    """Rim brighter (positive) or dimmer than the centre; changes sign across the focus."""
    ellipticity: Tensor
    gaussian_edge: Tensor | None = None
    """Sigma of a Gaussian that the disc is convolved with, relative to the radius."""


def draw_shapes(settings: Aperture, batch: int, generator: torch.Generator) -> ApertureShapes:
    """Random lenses within the recipe's ranges."""

    def uniform() -> Tensor:
        return torch.rand(batch, 1, 1, 1, generator=generator, device=generator.device)

    low, high = settings.blades
    least, most = settings.gaussian_edge
    blades = torch.floor(low + uniform() * (high - low + 1)).clamp(max=high)
    return ApertureShapes(
        blades=torch.where(uniform() < settings.polygon, blades, 0.0),
        rotation=uniform() * 2 * pi,
        soft_edge=settings.soft_edge * uniform() ** 2,
        aberration=settings.aberration * (2 * uniform() - 1),
        ellipticity=settings.ellipticity * uniform(),
        gaussian_edge=least + (most - least) * uniform() if most > 0 else None,
    )


def receptive_radius(settings: Aperture, radius: float) -> float:
    """Pixels from the centre to where the widest kernel of a circle of ``radius`` pixels ends."""
    blades = settings.blades[0]
    corner = sqrt(2 * pi / (blades * sin(2 * pi / blades))) if settings.polygon > 0 else 1.0
    gaussian = 2 * settings.gaussian_edge[1]  # two sigmas: what lies beyond is a few per cent and faint
    return radius * (corner + settings.soft_edge / 2 + gaussian) + 0.5


def point_spread(shapes: ApertureShapes, signed_radius: Tensor, height: int, width: int) -> Tensor:
    """Kernels of sum one, (B, L, H, W), centred at the origin with wrap-around as an FFT expects.

    Args:
        signed_radius: (B, L) circle radius in pixels, positive in front of the focal plane. The edge is
            anti-aliased over one pixel, so that radius 0 is exactly a delta.
    """
    device = signed_radius.device
    y = _wrapped(height, device).view(1, 1, height, 1)
    x = _wrapped(width, device).view(1, 1, 1, width)
    cos, sin = torch.cos(shapes.rotation), torch.sin(shapes.rotation)
    along, across = x * cos + y * sin, (y * cos - x * sin) * (1 + shapes.ellipticity)
    distance = torch.sqrt(along**2 + across**2)  # (B, 1, H, W)
    r = signed_radius.abs().view(*signed_radius.shape, 1, 1)  # (B, L, 1, 1)
    edge = r * _polygon_reach(torch.atan2(across, along), shapes.blades)
    softness = 1 + shapes.soft_edge * r
    coverage = (0.5 + (edge - distance) / softness).clamp(0, 1)
    relative = (distance / r.clamp(min=1e-3)).clamp(max=1)
    sign = torch.sign(signed_radius).view_as(r)
    brightness = 1 + sign * shapes.aberration * (2 * relative**2 - 1)
    kernel = coverage * torch.where(r < 1, 1.0, brightness)
    if shapes.gaussian_edge is not None:
        kernel = gaussian_blurred(kernel, shapes.gaussian_edge * r)
    normalised: Tensor = kernel / kernel.sum(dim=(2, 3), keepdim=True)
    return normalised


def gaussian_blurred(planes: Tensor, sigma: Tensor) -> Tensor:
    """Planes (..., H, W) convolved with Gaussians of ``sigma`` pixels, (..., 1, 1); borders wrap around."""
    height, width = planes.shape[-2:]
    fy = torch.fft.fftfreq(height, device=planes.device).view(-1, 1)
    fx = torch.fft.rfftfreq(width, device=planes.device)
    transfer = torch.exp(-2 * torch.pi**2 * sigma**2 * (fx**2 + fy**2))
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(planes) * transfer, s=(height, width))
    return blurred


def _wrapped(size: int, device: torch.device) -> Tensor:
    """0, 1, ..., -2, -1: distances from the origin of a periodic axis."""
    distances: Tensor = torch.fft.fftfreq(size, d=1.0 / size, device=device)
    return distances


def _polygon_reach(angle: Tensor, blades: Tensor) -> Tensor:
    """Distance of a polygon's edge from its centre relative to a disc of equal area; 1 for a disc."""
    sides = blades.clamp(min=3)
    sector = 2 * pi / sides
    apothem = torch.sqrt(pi / (sides * torch.tan(pi / sides)))
    offset = torch.remainder(angle, sector) - sector / 2
    return torch.where(blades > 0, apothem / torch.cos(offset), 1.0)
