"""How a step is computed changes its speed, never what it learns."""

from pathlib import Path

import pytest
import torch

from defocusctl.errors import DataError
from defocusctl.training.execution import Execution, choose_execution
from defocusctl.training.recipe import Recipe, read_recipe
from tests.training.tiny import tiny_network, write_data

CPU = torch.device("cpu")


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
@pytest.mark.parametrize("layout", ["nchw", "mixed"])
def test_layouts_have_the_same_gradients(model: str, layout: str, tmp_path: Path) -> None:
    recipe = read_recipe(write_data(tmp_path, model))
    generator = torch.Generator().manual_seed(1)
    blurred, sharp = torch.rand(2, 2, 3, 32, 48, generator=generator)
    gradients = []
    for kind in ("channels_last", layout):
        execution = Execution("fp32", kind)
        network = execution.prepare(tiny_network(model), CPU)
        execution.loss(network, blurred, sharp, recipe).backward()
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_auto_chooses_and_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    recipe = read_recipe(write_data(tmp_path, "nrknet"))
    recipe = Recipe.model_validate({**recipe.model_dump(), "precision": "auto", "layout": "auto"})
    network = tiny_network("nrknet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    chosen = choose_execution(recipe, network, CPU)
    assert chosen.precision in ("fp32", "bf16")
    assert chosen.layout in ("channels_last", "nchw", "mixed")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_mixed_layout_needs_float32(tmp_path: Path) -> None:
    path = write_data(tmp_path, "nrknet")
    path.write_text('precision = "bf16"\nlayout = "mixed"\n' + path.read_text())
    with pytest.raises(DataError, match="mixed"):
        read_recipe(path)
