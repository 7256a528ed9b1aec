"""Training the blur radius network: its loss, its scores, a short run, and its weights' files."""

import json
from math import exp, log
from pathlib import Path

import pytest
import torch
from PIL import Image

from defocusctl.errors import DataError, WeightsError
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.models.prediction import RadiusOutput
from defocusctl.training.loop import Progress, train
from defocusctl.training.losses import total_loss
from defocusctl.training.radius_validation import Scene, auc, score
from defocusctl.training.recipe import Loss, read_recipe
from defocusctl.weights.checkpoint import load_checkpoint, load_model

RECIPE = """
model = "blur-radius"
network = { entry_width = 8, width = 8 }
seed = 1
log_every = 1
[data]
sharp = ["sharp"]
[data.rendering]
max_radius = [1.0, 6.0]
aperture = { gaussian_edge = [0.15, 0.6] }
smallest_scale = 0.5
[optimiser]
learning_rate = 5e-3
clip_norm = 1.0
ema_decay = 0.5
[validation]
every_steps = 30
sharp = ["sharp"]
crop = 64
limit = 2
[[stages]]
steps = 30
batch = 2
crop = 64
"""


def write_recipe(root: Path) -> Path:
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        noise = (torch.rand(128, 128, 3, generator=generator) * 255).byte().numpy()
        (root / "sharp").mkdir(exist_ok=True)
        Image.fromarray(noise).save(root / "sharp" / f"{seed}.png")
    path = root / "blur-radius.toml"
    path.write_text(RECIPE)
    return path


def run(recipe: Path, out: Path) -> list[Progress]:
    seen: list[Progress] = []
    train(
        read_recipe(recipe),
        data_root=recipe.parent,
        out=out,
        device=torch.device("cpu"),
        resume=False,
        max_minutes=None,
        on_progress=seen.append,
    )
    return seen


@pytest.mark.slow
def test_the_loss_falls_in_thirty_steps_and_the_weights_are_kept(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    seen = run(recipe, tmp_path / "run")
    losses = [progress.loss for progress in seen]
    assert sum(losses[-10:]) < sum(losses[:10]) - 1
    scores = seen[-1].scores
    assert scores is not None
    assert "AUC" in str(scores["rendered"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1].keys() >= {"rendered/error", "rendered/auc", "rendered/within_sigma"}
    assert (tmp_path / "run" / "samples" / "0000030.png").exists()

    half = tmp_path / "run" / "weights-half.safetensors"
    network = load_model(half, BlurRadius)
    assert network.config.width == 8
    with pytest.raises(WeightsError, match="blur-radius, which does not restore photos"):
        load_checkpoint(half)
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_model(tmp_path / "missing.safetensors", BlurRadius)
    recipe.write_text(
        RECIPE.replace("network = { entry_width = 8, width = 8 }\n", f'start_from = "{half}"\n').replace(
            "steps = 30\nbatch", "steps = 1\nbatch"
        )
    )
    assert run(recipe, tmp_path / "further")[0].loss < losses[0]


def test_the_loss_is_the_likelihood_of_laplace_distributions() -> None:
    median, log_scale, truth = (torch.full((1, 1, 2, 2), value) for value in (1.0, log(0.5), 1.2))
    likelihood = exp(-0.2 / 0.5) / (2 * 0.5)
    loss = total_loss(RadiusOutput(((median, log_scale, truth),)), Loss())
    assert float(loss) == pytest.approx(-log(likelihood) - log(2))
    both = RadiusOutput(((median, log_scale, truth), (median, log_scale, median)))
    assert float(total_loss(both, Loss())) == pytest.approx((float(loss) + log(0.5)) / 2)


def test_scores_are_of_the_cells_they_name() -> None:
    truth = torch.tensor([[0.0, 0.0, 2.0, 4.0]])
    contrast = torch.tensor([[0.2, 0.0, 0.2, 0.2]])
    estimate = torch.tensor([[0.5, 9.0, 2.0, 4.0]])
    found = score([(Scene(torch.zeros(3, 8, 32), truth, contrast), estimate, torch.full((1, 4), 1.0))])
    assert found.auc == 1, "the textureless cell is wrong but does not count"
    assert found.error == pytest.approx(log(1.5) / 3)
    assert found.error_everywhere == pytest.approx((log(1.5) + log(10)) / 4)
    assert found.within_sigma == 0.75


def test_auc_is_the_chance_of_the_right_order() -> None:
    low, high = torch.tensor([0.1, 0.4]), torch.tensor([0.3, 0.5, 0.6])
    assert auc(low, high) == pytest.approx(5 / 6)
    assert auc(high, low) == pytest.approx(1 / 6)
    assert auc(low, low[:0]) == 0.5


@pytest.mark.parametrize(
    ("before", "pairs"),
    [
        ("[data.rendering]", '[[data.pairs]]\nblurred = "a"\nsharp = "b"\n'),
        ("[[stages]]", 'pairs = { real = "pairs" }\n'),
    ],
)
def test_pairs_have_no_known_radius(tmp_path: Path, before: str, pairs: str) -> None:
    path = tmp_path / "blur-radius.toml"
    path.write_text(RECIPE.replace(before, pairs + before))
    with pytest.raises(DataError, match="blur-radius learns from rendered photos only"):
        read_recipe(path)
