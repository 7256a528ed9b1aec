"""Where things are: disparity fields (1 / distance, larger is nearer) for rendered scenes.

The thin-lens law makes the circle of confusion proportional to |1 / z_focus - 1 / z|, so a scene in
disparity needs one factor only. Axes: B scenes, H rows, W columns; fields lie in [0, 1].
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from defocusctl.data.settings import Geometry, Rendering


def draw_disparity(
    geometry: Geometry, depth: Tensor | None, size: tuple[int, int], batch: int, generator: torch.Generator
) -> Tensor:
    """A (B, H, W) field per scene: from ``depth`` maps (B, H, W) if given, planes, layers, smooth fields."""
    kinds = torch.tensor(
        [geometry.depth if depth is not None else 0.0, geometry.plane, geometry.layers, geometry.smooth]
    )
    if kinds.sum() <= 0:  # only depth maps were asked for and there are none
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
    batch = disparity.shape[0]

    def uniform() -> Tensor:
        return torch.rand(batch, 1, 1, generator=generator, device=generator.device)

    low, high = rendering.max_radius
    max_radius = low * (high / low) ** uniform()
    pixel = (uniform().flatten() * disparity[0].numel()).long()
    inside = disparity.flatten(1).gather(1, pixel.unsqueeze(1)).unsqueeze(2)
    outside = torch.where(uniform() < 0.5, -0.05 - uniform(), 1.05 + uniform())
    focus = torch.where(uniform() < rendering.off_focus, outside, inside)
    offset = disparity - focus
    c = max_radius * offset / offset.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    tolerance = rendering.depth_of_field * uniform()
    c = torch.sign(c) * (c.abs() - tolerance).clamp(min=0)
    return torch.where(uniform() < rendering.sharp, 0.0, c)


def _planes(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Planes slanted in a random direction; a plane is linear in disparity."""
    angle = 2 * torch.pi * torch.rand(batch, 1, 1, generator=generator, device=generator.device)
    y = torch.linspace(-0.5, 0.5, size[0], device=generator.device).view(1, -1, 1)
    x = torch.linspace(-0.5, 0.5, size[1], device=generator.device).view(1, 1, -1)
    return _normalised(y * torch.sin(angle) + x * torch.cos(angle))


def _smooth(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Smooth random fields: a coarse grid of noise, enlarged bicubically."""
    grid = torch.rand(batch, 1, 5, 5, generator=generator, device=generator.device)
    field = interpolate(grid, size=size, mode="bicubic", align_corners=True)
    return _normalised(field.squeeze(1))


def _layers(smooth: Tensor, plane: Tensor, generator: torch.Generator) -> Tensor:
    """Objects with hard edges: a smooth field cut at random heights, each part with its own slight slant."""
    batch = smooth.shape[0]
    cuts = torch.rand(batch, 3, generator=generator, device=generator.device)
    heights = torch.rand(batch, 4, generator=generator, device=generator.device)
    slant = 0.3 * torch.rand(batch, 4, generator=generator, device=generator.device)
    part = (smooth.unsqueeze(1) > cuts.view(batch, 3, 1, 1)).sum(dim=1)  # (B, H, W), 0 ... 3
    flat = part.flatten(1)
    shape = smooth.shape
    return heights.gather(1, flat).view(shape) + slant.gather(1, flat).view(shape) * plane


def _normalised(field: Tensor) -> Tensor:
    low = field.amin(dim=(1, 2), keepdim=True)
    high = field.amax(dim=(1, 2), keepdim=True)
    return (field - low) / (high - low).clamp(min=1e-6)
