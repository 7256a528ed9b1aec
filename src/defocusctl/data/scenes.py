"""Rendered scenes and their lenses: disparity fields and point spread functions, a whole batch at once.

Disparity is 1 / distance, larger is nearer. The thin-lens law makes the circle of confusion proportional to
|1 / z_focus - 1 / z|, so a scene in disparity needs one factor only.

Axes: B scenes, L blur levels, H rows, W columns; disparity fields lie in [0, 1]."""

from dataclasses import dataclass
from functools import partial
from math import pi, sin, sqrt

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from defocusctl.data.settings import Aperture, Geometry, Rendering


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers drawn from [0, 1), on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def draw_disparity(
    geometry: Geometry, depth: Tensor | None, size: tuple[int, int], batch: int, generator: torch.Generator
) -> Tensor:
    """A (B, H, W) field per scene: from ``depth`` maps (B, H, W) if given, planes, layers, smooth fields."""
    kinds = torch.tensor(
        [geometry.depth if depth is not None else 0.0, geometry.plane, geometry.layers, geometry.smooth]
    )
    if kinds.sum() <= 0:  # validation, which has no depth maps, of a recipe that asks for them only
        kinds = torch.tensor([0.0, 1.0, 1.0, 1.0])
    kind = torch.multinomial(kinds.to(generator.device), batch, replacement=True, generator=generator)
    plane = _planes(batch, size, generator)
    smooth = _smooth(batch, size, generator)
    fields = torch.stack(
        [plane if depth is None else depth, plane, _layers(smooth, plane, generator), smooth]
    )
    chosen = fields.gather(0, kind.view(1, batch, 1, 1).expand(1, batch, *size)).squeeze(0)
    return _normalised(chosen)


def circles_of_confusion(rendering: Rendering, disparity: Tensor, generator: torch.Generator) -> Tensor:
    """Signed circle radius in pixels, (B, H, W), positive in front of the focal plane.

    c = A (d - d_focus), scaled so that the largest |c| of the scene is the drawn maximum; what lies within
    the depth of field is exactly zero. The lens is focused on something in the crop, on a random pixel of
    it, but for the share ``off_focus`` of crops, which stand for parts of a photo far from its focus.
    """
    draw = partial(uniform, generator, disparity.shape[0], 1, 1)
    low, high = rendering.max_radius
    max_radius = low * (high / low) ** draw()
    pixel = (draw().flatten() * disparity[0].numel()).long()
    inside = disparity.flatten(1).gather(1, pixel.unsqueeze(1)).unsqueeze(2)
    outside = torch.where(draw() < 0.5, -0.05 - draw(), 1.05 + draw())
    focus = torch.where(draw() < rendering.off_focus, outside, inside)
    offset = disparity - focus
    c = max_radius * offset / offset.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    tolerance = rendering.depth_of_field * draw()
    c = torch.sign(c) * (c.abs() - tolerance).clamp(min=0)
    return torch.where(draw() < rendering.sharp, 0.0, c)


def _planes(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Planes slanted in a random direction; a plane is linear in disparity."""
    angle = 2 * torch.pi * uniform(generator, batch, 1, 1)
    y = torch.linspace(-0.5, 0.5, size[0], device=generator.device).view(1, -1, 1)
    x = torch.linspace(-0.5, 0.5, size[1], device=generator.device).view(1, 1, -1)
    return _normalised(y * torch.sin(angle) + x * torch.cos(angle))


def _smooth(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Smooth random fields: a coarse grid of noise, enlarged bicubically."""
    grid = uniform(generator, batch, 1, 5, 5)
    field = interpolate(grid, size=size, mode="bicubic", align_corners=True)
    return _normalised(field.squeeze(1))


def _layers(smooth: Tensor, plane: Tensor, generator: torch.Generator) -> Tensor:
    """Objects with hard edges: a smooth field cut at random heights, each part with its own slight slant."""
    batch = smooth.shape[0]
    cuts = uniform(generator, batch, 3)
    heights = uniform(generator, batch, 4)
    slant = 0.3 * uniform(generator, batch, 4)
    part = (smooth.unsqueeze(1) > cuts.view(batch, 3, 1, 1)).sum(dim=1)  # (B, H, W), 0 ... 3
    flat = part.flatten(1)
    shape = smooth.shape
    return heights.gather(1, flat).view(shape) + slant.gather(1, flat).view(shape) * plane


def _normalised(field: Tensor) -> Tensor:
    low = field.amin(dim=(1, 2), keepdim=True)
    high = field.amax(dim=(1, 2), keepdim=True)
    return (field - low) / (high - low).clamp(min=1e-6)


@dataclass(frozen=True)
class ApertureShapes:
    """One lens per scene; every field is (B, 1, 1, 1)."""

    blades: Tensor  # edges of the polygon, 0 for a disc
    rotation: Tensor
    soft_edge: Tensor  # width of the soft edge relative to the radius
    aberration: Tensor  # rim brighter (positive) or dimmer than the centre; changes sign across the focus
    ellipticity: Tensor
    gaussian_edge: Tensor | None = None  # sigma of a Gaussian that blurs the disc, relative to the radius


def draw_shapes(settings: Aperture, batch: int, generator: torch.Generator) -> ApertureShapes:
    """Random lenses within the recipe's ranges."""
    draw = partial(uniform, generator, batch, 1, 1, 1)
    low, high = settings.blades
    least, most = settings.gaussian_edge
    blades = torch.floor(low + draw() * (high - low + 1)).clamp(max=high)
    return ApertureShapes(
        blades=torch.where(draw() < settings.polygon, blades, 0.0),
        rotation=draw() * 2 * pi,
        soft_edge=settings.soft_edge * draw() ** 2,
        aberration=settings.aberration * (2 * draw() - 1),
        ellipticity=settings.ellipticity * draw(),
        gaussian_edge=least + (most - least) * draw() if most > 0 else None,
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
    edge = r * _polygon_edge(torch.atan2(across, along), shapes.blades)
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


def _polygon_edge(angle: Tensor, blades: Tensor) -> Tensor:
    """Distance of a polygon's edge from its centre relative to a disc of equal area; 1 for a disc."""
    sides = blades.clamp(min=3)
    sector = 2 * pi / sides
    apothem = torch.sqrt(pi / (sides * torch.tan(pi / sides)))
    offset = torch.remainder(angle, sector) - sector / 2
    return torch.where(blades > 0, apothem / torch.cos(offset), 1.0)
