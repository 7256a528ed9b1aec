"""Networks whose features and coefficients are computed at half the photo's size."""

from copy import deepcopy

import pytest
import torch
from benchmarks.receptive_field import receptive_radius

from defocusctl.models.constant_folding import with_constant_dictionary
from defocusctl.models.fast_layers import for_inference
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from tests.models.test_receptive_field import assert_reach_is_where_gradients_end

CPU = torch.device("cpu")


@pytest.fixture(params=["iniknet", "nrknet"])
def half(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    if request.param == "iniknet":
        config = INIKNetConfig(
            width=4, blocks_per_stage=1, atoms=2, kernel_sizes=3, atom_width=4, feature_scale=2
        )
        return INIKNet(config).eval()
    return NRKNet(NRKNetConfig(width=4, atoms=3, feature_scale=2)).eval()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(32, 32), (48, 80), (64, 96)])
def test_any_size_of_photo_is_restored(half: Network, size: tuple[int, int]) -> None:
    image, coefficients = half(torch.rand(2, 3, *size))
    assert image.shape == (2, 3, *size)
    finest = coefficients[half.coefficient_names[0]]
    assert finest.shape[-2:] == size


@torch.inference_mode()
def test_coefficients_are_bilinear_enlargements(half: Network) -> None:
    """Neighbours 2k - 1 and 2k, or 2k + 1 and 2k + 2, of an enlargement by 2 both give back its sample k."""
    coefficients = half(torch.rand(1, 3, 48, 64)).coefficients[half.coefficient_names[0]]
    row = coefficients[..., 10, :]
    from_left = 1.5 * row[..., 2:-2:2] - 0.5 * row[..., 1:-3:2]
    from_right = 1.5 * row[..., 3:-1:2] - 0.5 * row[..., 4::2]
    torch.testing.assert_close(from_left, from_right)
    assert from_left.std() > 0


def test_the_scale_is_read_from_the_shapes(half: Network) -> None:
    assert type(half).from_state(half.state_dict()).config == half.config


def test_estimates_of_training_have_the_sizes_of_their_targets(half: Network) -> None:
    blurred, sharp = torch.rand(2, 1, 3, 48, 48)
    output = half.training_output(blurred, sharp)
    for _, estimate, target in output.restored:
        assert estimate.shape == target.shape
    sum(estimate.mean() for _, estimate, _ in output.restored).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in half.parameters())


@torch.inference_mode()
def test_faster_layers_and_a_constant_dictionary_change_nothing(half: Network) -> None:
    x = torch.rand(1, 3, 48, 64)
    expected = half(x).image
    torch.testing.assert_close(for_inference(deepcopy(half), CPU)(x).image, expected)
    torch.testing.assert_close(with_constant_dictionary(deepcopy(half))(x).image, expected)


@pytest.mark.slow
def test_reach_is_described(half: Network) -> None:
    full = type(half)(type(half.config)(**{**vars(half.config), "feature_scale": 1}))
    assert receptive_radius(half) > receptive_radius(full)
    assert_reach_is_where_gradients_end(half)
