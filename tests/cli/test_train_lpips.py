"""A perceptual loss needs AlexNet: fetched and verified before training, or one line before any training."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl
from tests.evaluation.alexnet import recipe_alexnet, register, saved
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine
from tests.training.tiny import write_photo

RECIPE = """
model = "iniknet"
log_every = 1
[network]
width = 4
blocks_per_stage = 1
atoms = 2
kernel_sizes = 3
[data]
sharp = ["sharp"]
[[stages]]
steps = 2
batch = 1
crop = {crop}
[loss]
perceptual_weight = 0.1
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        yield server


def write(folder: Path, crop: int = 128) -> Path:
    write_photo(folder / "sharp" / "0.png", seed=1, size=160)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(crop=crop))
    return recipe


def test_offline_without_the_weights_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    answer = defocusctl("train", write(tmp_path), "--out", tmp_path / "run", "--offline", "--device", "cpu")
    assert answer.code == ExitCode.WEIGHTS
    assert "defocusctl weights fetch alexnet" in answer.err
    assert "perceptual_weight" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_weights_are_fetched_and_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback
) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    register(monkeypatch, tmp_path, server, saved(recipe_alexnet()))
    call = ("train", write(tmp_path), "--out", tmp_path / "run", "--device", "cpu")
    answer = defocusctl(*call)
    assert answer.code == ExitCode.OK, answer.err
    assert "2 of 2 steps" in answer.err
    write(tmp_path, crop=96)
    small = defocusctl("train", call[1], "--out", tmp_path / "small", "--device", "cpu", "--offline")
    assert small.code == ExitCode.DATA
    assert "an image of 24x24 pixels is too small for LPIPS" in small.err
