"""The described reach against the gradients of the real networks."""

from collections.abc import Callable

import pytest
import torch
from benchmarks.receptive_field import GRID, receptive_radius

from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network

PHASES = (0, 1, 7, 14, 15, 20, 30)
"""Places in the grid of the strided layers; the farthest-looking ones are among them."""


@pytest.mark.parametrize(("name", "pixels"), [("iniknet", 261), ("nrknet", 393)])
def test_reach_of_the_released_configurations(name: str, pixels: int) -> None:
    assert receptive_radius(NETWORKS[name]()) == pixels


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda: INIKNet(INIKNetConfig(width=4, blocks_per_stage=1, atoms=1, kernel_sizes=3, atom_width=2)),
        lambda: NRKNet(NRKNetConfig(width=1, atoms=4)),
    ],
    ids=["iniknet", "nrknet"],
)
def test_reach_is_exactly_where_gradients_end(build: Callable[[], Network]) -> None:
    torch.manual_seed(0)
    assert_reach_is_where_gradients_end(build())


def assert_reach_is_where_gradients_end(network: Network) -> None:
    """In float64 with positive weights nothing cancels, and the smallest gradients do not vanish."""
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim >= 2:
                parameter.copy_(torch.rand_like(parameter) * 2 / parameter[0].numel())
    width = GRID * (2 * receptive_radius(network) // GRID + 4)
    image = (
        torch.rand(1, 3, 2 * GRID, width, dtype=torch.float64).repeat(len(PHASES), 1, 1, 1).requires_grad_()
    )
    columns = width // 2 // GRID * GRID + torch.tensor(PHASES)
    requested = network(image).image[torch.arange(len(PHASES)), :, :, columns]  # another column of each copy
    (gradient,) = torch.autograd.grad(requested.sum(), image)
    copies, reached = gradient.abs().sum(dim=(1, 2)).nonzero().unbind(dim=1)
    assert (columns[copies] - reached).abs().max() == receptive_radius(network)


def test_an_unknown_network_has_no_described_reach() -> None:
    with pytest.raises(TypeError, match="not described"):
        receptive_radius(Network())
