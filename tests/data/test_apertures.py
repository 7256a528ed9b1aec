"""Kernels are what an out-of-focus lens of that shape would draw."""

from math import pi, sqrt

import numpy as np
import pytest
import torch

from defocusctl.data.scenes import ApertureShapes, draw_shapes, point_spread, receptive_radius
from defocusctl.data.settings import Aperture


def lens(
    blades: float = 0.0, soft_edge: float = 0.0, aberration: float = 0.0, rotation: float = 0.3
) -> ApertureShapes:
    def value(number: float) -> torch.Tensor:
        return torch.full((1, 1, 1, 1), number)

    return ApertureShapes(value(blades), value(rotation), value(soft_edge), value(aberration), value(0.0))


def kernel(shapes: ApertureShapes, radius: float, size: int = 64) -> np.ndarray:
    spread = point_spread(shapes, torch.tensor([[radius]]), size, size)[0, 0]
    return np.fft.fftshift(spread.double().numpy())


def distances(size: int = 64) -> np.ndarray:
    axis = np.arange(size) - size // 2
    return np.hypot(axis[:, None], axis[None, :])


def test_drawn_kernels_are_densities() -> None:
    shapes = draw_shapes(Aperture(polygon=0.5), 8, torch.Generator().manual_seed(0))
    kernels = point_spread(shapes, torch.linspace(-9, 9, 5).expand(8, 5), 64, 64)
    assert kernels.min() >= 0
    assert torch.allclose(kernels.sum(dim=(2, 3)), torch.ones(8, 5), atol=1e-5)


def test_in_focus_is_exactly_a_delta() -> None:
    shapes = draw_shapes(Aperture(polygon=0.5), 4, torch.Generator().manual_seed(1))
    kernels = point_spread(shapes, torch.zeros(4, 1), 16, 16)
    delta = torch.zeros(16, 16)
    delta[0, 0] = 1
    assert torch.equal(kernels, delta.expand(4, 1, 16, 16))


@pytest.mark.parametrize("radius", [3.0, 6.5, 12.0])
def test_disc_has_the_radius_of_gyration_of_a_disc(radius: float) -> None:
    gyration = sqrt((kernel(lens(), radius) * distances() ** 2).sum())
    assert gyration == pytest.approx(radius / sqrt(2), rel=0.03)


@pytest.mark.parametrize("blades", [3, 5, 6, 9])
def test_polygon_has_the_area_of_the_disc(blades: int) -> None:
    radius = 14.0
    k = kernel(lens(blades=blades), radius)
    assert 1 / k.max() == pytest.approx(pi * radius**2, rel=0.01)  # a flat kernel's height is 1 / area
    assert distances()[k > 0].max() > radius * 1.02


def test_soft_edge_and_aberration_shape_the_profile() -> None:
    hard, soft = kernel(lens(), 10.0), kernel(lens(soft_edge=0.5), 10.0)
    rim = np.abs(distances() - 10.0) < 2
    assert len(np.unique(soft[rim].round(9))) > len(np.unique(hard[rim].round(9)))
    before, behind = (kernel(lens(aberration=0.4), radius) for radius in (10.0, -10.0))
    inside, outside = distances() < 3, (distances() > 7) & (distances() < 9)
    assert before[outside].mean() > 1.3 * before[inside].mean()
    assert behind[inside].mean() > 1.3 * behind[outside].mean()


@pytest.mark.parametrize("blades", [3, 7])
def test_reach_is_where_the_widest_kernel_ends(blades: int) -> None:
    settings = Aperture(polygon=1, blades=(blades, blades), soft_edge=0.4)
    k = kernel(lens(blades=blades, soft_edge=0.4), 8.0, size=96)
    ends = distances(96)[k > 0].max()
    assert receptive_radius(settings, 8.0) - 1.5 < ends <= receptive_radius(settings, 8.0)
    assert receptive_radius(Aperture(polygon=0, soft_edge=0), 8.0) == 8.5
    assert receptive_radius(Aperture(polygon=1, blades=(4, 4), soft_edge=0), 8.0) == pytest.approx(
        8 * sqrt(pi / 2) + 0.5
    )
