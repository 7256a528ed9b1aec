"""Every ablation of the papers learns, from the settings of its own recipe."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from defocusctl.data.pairs import PixelCache, as_float
from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.variants import VARIANTS, Variant
from defocusctl.training.losses import total_loss
from defocusctl.training.recipe import Recipe, read_recipe
from tests.models.test_variants import SMALL
from tests.training.tiny import write_photo

ABLATIONS = Path(__file__).parents[2] / "recipes" / "ablations"


def recipes() -> dict[tuple[str, str | None], Recipe]:
    found = [read_recipe(path) for path in sorted(ABLATIONS.glob("*.toml"))]
    return {(recipe.model, recipe.variant): recipe for recipe in found}


def test_there_is_a_recipe_for_every_ablation_and_it_changes_nothing_else() -> None:
    assert recipes().keys() == {(variant.model, variant.name) for variant in VARIANTS}
    for (model, _), recipe in recipes().items():
        paper = read_recipe(ABLATIONS.parent / f"{model}-paper.toml")
        same = {"variant": None, "network": paper.network, "loss": paper.loss}
        assert recipe.model_copy(update=same) == paper
        assert (recipe.network, recipe.loss) != (paper.network, paper.loss)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_thirty_steps_lower_the_loss(variant: Variant, tmp_path: Path) -> None:
    recipe = recipes()[variant.model, variant.name]
    photo = write_photo(tmp_path / "photo.png", seed=4, size=32)
    sharp = torch.from_numpy(as_float(PixelCache(0).rgb(photo))).permute(2, 0, 1)[None].contiguous()
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, stride=1, padding=2, count_include_pad=False)
    torch.manual_seed(1)
    network = NETWORKS[variant.model](replace(SMALL[variant.model], **recipe.network))  # type: ignore[arg-type]
    network.initialise()
    settings = recipe.loss.model_copy(update={"perceptual_weight": 0.0})  # LPIPS needs larger photos
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        loss = total_loss(network.training_output(blurred, sharp), settings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])
