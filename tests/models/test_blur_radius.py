"""The blur radius network: any size of photo, tiles like the whole, levels fused by what they are sure of."""

from math import log, log1p

import pytest
import torch
from torch import Tensor

from defocusctl.models import blur_radius
from defocusctl.models.blur_radius import (
    CONTEXT,
    LARGEST,
    BlurRadius,
    BlurRadiusConfig,
    LogRadius,
    fused,
    pyramid,
)
from defocusctl.models.shape_check import built_without_numbers


@pytest.fixture
def network() -> BlurRadius:
    torch.manual_seed(1)
    built = BlurRadius(BlurRadiusConfig(entry_width=4, width=6))
    built.initialise()
    return built.eval()


def photo(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (7, 9), (16, 16), (63, 200), (131, 77), (256, 192)])
def test_every_size_has_its_grid(network: BlurRadius, size: tuple[int, int]) -> None:
    radius, sigma = network(photo(*size, batch=2))
    cells = -(-size[0] // 8), -(-size[1] // 8)
    assert radius.shape == sigma.shape == (2, 1, *cells)
    assert radius.dtype == sigma.dtype == torch.float32
    assert radius.min() >= 0
    assert sigma.min() > 0
    assert radius.isfinite().all()
    assert sigma.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_photo_has_an_estimate(network: BlurRadius, value: float) -> None:
    radius, sigma = network(torch.full((1, 3, 72, 72), value))
    assert radius.isfinite().all()
    assert sigma.isfinite().all()


def test_the_default_network_is_small() -> None:
    assert 100_000 < sum(parameter.numel() for parameter in BlurRadius().parameters()) < 300_000


@pytest.mark.slow
def test_tiles_equal_the_whole(network: BlurRadius, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = photo(777, 530)
    whole = network(picture)
    monkeypatch.setattr(blur_radius, "TILE", 64)
    tiled = network(picture)
    assert torch.allclose(tiled.radius, whole.radius, atol=1e-4)
    assert torch.allclose(tiled.sigma, whole.sigma, rtol=1e-4)


def test_the_context_of_a_tile_is_all_that_the_network_sees(network: BlurRadius) -> None:
    side = 2 * CONTEXT + 160
    picture = photo(side, side).requires_grad_()
    seen = torch.zeros(side, dtype=torch.bool)
    cells = side // 16 + torch.arange(2)  # both places of a cell in the coarsest features' grid
    for cell in cells:
        (gradient,) = torch.autograd.grad(network._level(picture).median[0, 0, cell, cell], picture)
        seen = gradient[0].abs().sum(dim=(0, 1)) > 0
        first, last = (int(seen.nonzero()[end]) for end in (0, -1))
        assert first >= 8 * cell - CONTEXT
        assert last < 8 * cell + 8 + CONTEXT
        assert last - first > 100, "but it sees its surroundings"


def test_levels_are_area_averages_down_to_32_pixels() -> None:
    levels = pyramid(photo(130, 301))
    assert [tuple(level.shape[-2:]) for level in levels] == [(130, 301), (65, 151), (33, 76)]
    assert levels[1][0, 0, 0, 0] == pytest.approx(float(levels[0][0, 0, :2, :2].mean()), abs=1e-6)
    assert len(pyramid(photo(63, 500))) == 1
    assert len(pyramid(photo(600, 500))) == 4


def level(radius: float, scale: float, cells: int) -> LogRadius:
    """The same distribution in every cell; ``scale`` is of log(1 + radius)."""
    return LogRadius(*(torch.full((1, 1, cells, cells), value) for value in (log1p(radius), log(scale))))


def test_radius_and_sigma_are_in_pixels_of_the_photo() -> None:
    radius, sigma = fused([level(3.0, 0.1, 8)], (7, 8))
    assert radius.shape == (1, 1, 7, 8)
    assert torch.allclose(radius, torch.tensor(3.0))
    assert torch.allclose(sigma, torch.tensor(2**0.5 * 0.1 * 4))
    coarse_only = fused([level(3.0, 1e4, 8), level(3.0, 0.1, 4)], (8, 8))
    assert torch.allclose(coarse_only.radius, torch.tensor(6.0), atol=1e-3)
    assert torch.allclose(coarse_only.sigma, torch.tensor(2 * 2**0.5 * 0.1 * 4), rtol=1e-2)


def test_a_level_at_the_end_of_its_range_leaves_it_to_coarser_ones() -> None:
    sure = [level(LARGEST, 0.02, 8), level(LARGEST, 0.02, 4), level(10.0, 0.3, 2)]
    assert torch.allclose(fused(sure, (8, 8)).radius, torch.tensor(40.0), rtol=1e-3)
    assert torch.allclose(fused(sure[:1], (8, 8)).radius, torch.tensor(LARGEST)), "unless there is none"


def test_levels_that_disagree_are_less_sure_than_each() -> None:
    agree = fused([level(4.0, 0.1, 8), level(2.0, 0.1, 4)], (8, 8))
    disagree = fused([level(4.0, 0.1, 8), level(6.0, 0.05, 4)], (8, 8))
    assert torch.allclose(agree.radius, torch.tensor(4.0))
    assert (disagree.sigma / (1 + disagree.radius) > 1.5 * agree.sigma / (1 + agree.radius)).all()


def test_training_reaches_every_parameter(network: BlurRadius) -> None:
    output = network.training_output(photo(128, 128, batch=2), torch.full((2, 128, 128), 5.0))
    assert len(output.terms) == 4, "three levels and what they say together"
    for median, log_scale, truth in output.terms:
        assert median.shape == log_scale.shape == truth.shape
    truths = [float(truth[0, 0, 0, 0]) for _, _, truth in output.terms]
    assert truths == pytest.approx([log1p(5), log1p(2.5), log1p(1.25), log1p(5)])
    sum(part.sum() for term in output.terms for part in term[:2]).backward()  # type: ignore[union-attr]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_sizes_are_those_of_the_tensors(network: BlurRadius) -> None:
    state = network.state_dict()
    assert BlurRadius.from_state(state).config == network.config
    built = built_without_numbers(BlurRadius.from_state, state).state_dict()
    assert {key: tensor.shape for key, tensor in built.items()} == {
        key: tensor.shape for key, tensor in state.items()
    }
