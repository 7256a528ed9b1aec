"""The networks against arrays that the authors' released code produced (see tests/golden/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.inverse_atoms import InverseAtoms
from defocusctl.models.nrknet import NRKNet, pyramid
from defocusctl.models.upstream_keys import from_upstream, recognise
from tests.golden_weights import released_state

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> dict[str, torch.Tensor]:
    with np.load(GOLDEN / f"{name}_64x96.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def released_network(name: str) -> torch.nn.Module:
    state = from_upstream(name, released_state(name))
    network = NETWORKS[name].from_state(state)
    network.load_state_dict(state, strict=True)
    return network.eval()


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    worst = (actual - expected).abs().max() / expected.abs().max()
    assert worst < 1e-5, f"off by {worst:.2e} of the largest magnitude"


@pytest.mark.parametrize(("name", "count"), [("iniknet", 1_976_847), ("nrknet", 6_094_107)])
def test_parameter_counts_are_the_papers(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in NETWORKS[name]().parameters()) == count


@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
def test_released_keys_and_shapes_cover_the_whole_network(name: str) -> None:
    keys = json.loads((GOLDEN / f"{name}_keys.json").read_text())
    state = {f"module.{key}": torch.zeros(shape) for key, shape in keys.items()}
    assert recognise(state) == name
    ours = NETWORKS[name]().state_dict()
    translated = from_upstream(name, state)
    assert {key: value.shape for key, value in translated.items()} == {
        key: value.shape for key, value in ours.items()
    }


def test_an_unknown_released_key_is_named() -> None:
    with pytest.raises(KeyError, match=r"surprise\.weight"):
        from_upstream("nrknet", {"surprise.weight": torch.zeros(1)})


@torch.inference_mode()
def test_iniknet_inference() -> None:
    arrays = golden("iniknet")
    image, coefficients = released_network("iniknet")(arrays["x"])
    assert_close(image, arrays["y"])
    assert_close(coefficients["mu"], arrays["mu"])
    assert_close(coefficients["omega"], arrays["omega"])


@torch.inference_mode()
def test_iniknet_scales() -> None:
    arrays = golden("iniknet")
    network = released_network("iniknet")
    assert isinstance(network, INIKNet)
    output = network.training_output(arrays["x"], arrays["x"])
    for (_, estimate, _), key in zip(output.restored, ("y", "y_half", "y_quarter"), strict=True):
        assert_close(estimate, arrays[key])


@torch.inference_mode()
def test_iniknet_atoms() -> None:
    arrays = golden("iniknet")
    network = released_network("iniknet")
    assert isinstance(network, INIKNet)
    for size, kernels in zip(network.config.sampled_sizes, network.atoms(), strict=True):
        assert_close(kernels, arrays[f"atoms_{size}"])


@torch.inference_mode()
def test_nrknet_inference() -> None:
    arrays = golden("nrknet")
    image, coefficients = released_network("nrknet")(arrays["x"])
    assert_close(image, arrays["y"])
    for t in (1, 2, 3):
        assert_close(coefficients[f"gamma_{t}"], arrays[f"gamma_{t}"])


@torch.inference_mode()
def test_nrknet_reblurring() -> None:
    arrays = golden("nrknet")
    network = released_network("nrknet")
    assert isinstance(network, NRKNet)
    output = network.training_output(arrays["x"], arrays["sharp"])
    assert_close(output.restored[0][1], arrays["y"])
    for t, (_, reblurred, target) in enumerate(output.reblurred, start=1):
        assert_close(reblurred, arrays[f"reblurred_{t}"])
        assert torch.equal(target, pyramid(arrays["x"])[t - 1])


def test_the_centre_of_every_atom_is_sampled_at_exactly_zero() -> None:
    atoms = InverseAtoms(count=1, sizes=range(3, 17, 2), width=4)
    centres = [points[len(points) // 2] for points in atoms.points.split([k * k for k in atoms.sizes])]
    for centre in centres:
        assert centre.tolist() == [0.0, 1.0, 0.5]
