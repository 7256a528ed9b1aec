"""Which optimiser a recipe gets, and that Muon's steps are what its paper says."""

import math

import torch
from torch.optim import Adam, AdamW

from defocusctl.training.recipe import Optimiser
from defocusctl.training.setup import optimiser_of
from tests.training.tiny import tiny_network


def test_weight_decay_decides_between_adam_and_adamw() -> None:
    network = tiny_network("iniknet")
    assert type(optimiser_of(Optimiser(), network)) is Adam
    assert type(optimiser_of(Optimiser(weight_decay=1e-4), network)) is AdamW


def test_muon_moves_matrices_orthogonally_and_the_rest_like_adam() -> None:
    network = tiny_network("iniknet")
    optimiser = optimiser_of(Optimiser(algorithm="muon", learning_rate=0.1), network)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    optimiser.step()
    kinds = set()
    for name, parameter in network.named_parameters():
        step = before[name] - parameter.detach()
        kinds.add(parameter.ndim >= 2)
        if parameter.ndim < 2:  # the first step of Adam is the rate times the gradient's sign
            assert torch.allclose(step, 0.1 * parameter.grad.sign(), atol=1e-3), name
            continue
        matrix = step.flatten(1)
        scale = 0.1 * 0.2 * math.sqrt(max(matrix.shape))
        values = torch.linalg.svdvals(matrix) / scale
        assert values.max() < 1.3, name
        assert values.min() > 0.3, name  # five Newton-Schulz steps bring them near one
    assert kinds == {False, True}
