"""A run that was stopped and resumed is the run that never stopped; what goes wrong is said in one line."""

import json
import multiprocessing
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from defocusctl.errors import DataError, InputError, OutputError, WeightsError
from defocusctl.models.iniknet import INIKNetConfig
from defocusctl.training.loop import LOCK, Progress, train
from defocusctl.training.recipe import read_recipe
from defocusctl.training.state import FILE, PART, TrainingState
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata
from tests.training.tiny import tiny_network, write_data, write_photo, write_weights

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ignore(progress: Progress) -> None:
    del progress


def run(
    recipe: Path,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    on_progress: Callable[[Progress], None] = ignore,
) -> TrainingState:
    return train(
        read_recipe(recipe),
        data_root=recipe.parent,
        out=out,
        device=CPU,
        resume=resume,
        max_minutes=max_minutes,
        on_progress=on_progress,
    )


def tensors(out: Path, part: str) -> dict[str, torch.Tensor]:
    saved = torch.load(out / FILE, weights_only=True)[part]
    if part == "optimiser":
        return {f"{i}.{key}": value for i, slot in saved["state"].items() for key, value in slot.items()}
    return dict(saved)


def interrupt_after(step: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)

    return on_progress


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "algorithm"), [("iniknet", "adam"), ("nrknet", "adam"), ("iniknet", "muon")]
)
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, model: str, algorithm: str) -> None:
    recipe = write_data(tmp_path, model)
    recipe.write_text(recipe.read_text().replace("[optimiser]", f'[optimiser]\nalgorithm = "{algorithm}"'))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    seen: list[Progress] = []
    assert run(recipe, whole, on_progress=seen.append).step == 4
    assert run(recipe, parts, max_minutes=0).step == 1
    with pytest.raises(KeyboardInterrupt):
        run(recipe, parts, resume=True, on_progress=interrupt_after(2))
    assert torch.load(parts / FILE, weights_only=True)["step"] == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert run(recipe, parts, resume=True).step == 4
    assert_same_state(whole, parts)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert [bool(progress.scores) for progress in seen] == [False, False, True, True]

    lines = [json.loads(line) for line in (parts / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "real/psnr" in line] == [3, 4]
    assert [line["step"] for line in lines if "rendered/worst_gain" in line] == [3, 4]
    assert sorted(path.name for path in (parts / "samples").iterdir()) == ["0000003.png", "0000004.png"]
    assert any((parts / "tensorboard").iterdir())
    assert not (parts / PART).exists()

    loaded = load_checkpoint(parts / "weights.safetensors", model_name=model)
    assert loaded.metadata.trained_on == "noise"
    assert loaded.metadata.source == "defocusctl train, seed 3, 4 of 4 steps"
    averaged = tensors(parts, "ema")
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, averaged[f"module.{key}"])


PART_ONE = """
[[stages]]
steps = 2
batch = 1
crop = 32
[[stages]]
steps = 1
batch = 2
crop = 48
seed = 4
rendering = { max_radius = [2.0, 5.0] }
optimiser = { learning_rate = 2e-3, schedule = "nrknet" }
"""
PART_TWO = """
steps = 2
batch = 1
crop = 32
seed = 5
rendering = { max_radius = [2.0, 5.0], sharp = 0.5 }
optimiser = { algorithm = "muon", warmup_steps = 0, ema_decay = 0.8, schedule_steps = 4 }
"""
PART_THREE = """
steps = 2
batch = 1
crop = 32
optimiser = { learning_rate = 5e-4 }
"""


def with_stages(recipe: Path, stages: str, start_from: Path | None = None) -> Path:
    """The recipe with other stages, in a file of its own."""
    text = re.sub(r"(\[\[stages\]\][^[]*)+", stages, recipe.read_text())
    if start_from is not None:
        text = re.sub(r"start_from = .*", f'start_from = "{start_from}"', text)
    path = recipe.with_stem(f"stages-{len(list(recipe.parent.glob('*.toml')))}")
    path.write_text(text)
    return path


def staged(recipe: Path) -> Path:
    two, three = (f'[[stages]]\nrestart_from = "{weights}"\n' for weights in ("averaged", "last"))
    return with_stages(recipe, f"{PART_ONE}{two}{PART_TWO}{three}{PART_THREE}\n")


def assert_same_state(first: Path, second: Path) -> None:
    for part in ("network", "ema", "optimiser"):
        one, other = tensors(first, part), tensors(second, part)
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items()), part


@pytest.mark.slow
@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_a_run_can_stop_after_any_step_of_any_stage(tmp_path: Path, model: str) -> None:
    recipe = staged(write_data(tmp_path, model))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    seen: list[Progress] = []
    run(recipe, whole, on_progress=seen.append)
    assert [(progress.step, progress.steps) for progress in seen] == [(step, 7) for step in range(1, 8)]
    assert [progress.step for progress in seen if progress.scores] == [2, 3, 5, 6, 7], "ends of stages too"
    for step in range(1, 8):
        assert run(recipe, parts, resume=True, max_minutes=0).step == step
    assert_same_state(whole, parts)
    logs = [
        [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()] for out in (whole, parts)
    ]
    for lines in logs:
        for line in lines:
            line.pop("seconds", None)
    assert logs[0] == logs[1]
    rates = [line["learning_rate"] for line in logs[0] if "loss" in line]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-3, 1e-3 * (1 + 0.5**0.5) / 2, 5e-4, 5e-4])


@pytest.mark.slow
def test_a_restart_is_a_run_that_starts_from_the_weights(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    run(staged(recipe), tmp_path / "staged")
    run(with_stages(recipe, f"{PART_ONE}\n"), tmp_path / "one")
    # the schedule of part two is of four steps, of which it takes two
    two = with_stages(
        recipe,
        "[[stages]]"
        + PART_TWO.replace("steps = 2", "steps = 4", 1).replace(", schedule_steps = 4", "")
        + "\n",
        tmp_path / "one" / "weights.safetensors",
    )
    with pytest.raises(KeyboardInterrupt):
        run(two, tmp_path / "two", on_progress=interrupt_after(2))
    last = tiny_network("iniknet")
    last.load_state_dict(tensors(tmp_path / "two", "network"))
    metadata = WeightsMetadata.of_network(last, source="test", licence="MIT", trained_on="noise")
    save_checkpoint(tmp_path / "last.safetensors", last, metadata, dtype=torch.float32)
    three = with_stages(recipe, f"[[stages]]{PART_THREE}\n", tmp_path / "last.safetensors")
    run(three, tmp_path / "three")
    assert_same_state(tmp_path / "staged", tmp_path / "three")


def souped(recipe: Path, stages: int = 4) -> Path:
    """The first of four stages, of which two begin with the mean of earlier ones."""
    parts = (
        f"{PART_ONE}",
        f"[[stages]]\nrestart_from = [1, 2]{PART_TWO}",
        f"[[stages]]\nrestart_from = [1, 3]{PART_THREE}",
    )
    return with_stages(recipe, "".join(parts[: stages - 1]) + "\n")


def weights_in(out: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(out / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["iniknet", "nrknet"])  # batch normalisation counts batches
def test_a_run_ends_with_the_mean_of_stages(tmp_path: Path, model: str) -> None:
    recipe = write_data(tmp_path, model)
    run(souped(recipe, stages=3), tmp_path / "third")
    fourth = souped(recipe)
    run(fourth, tmp_path / "fourth")
    mean = fourth.with_stem("mean")
    mean.write_text(f"mean_of = [3, 4]\n{fourth.read_text()}")
    for step in range(1, 8):
        assert run(mean, tmp_path / "mean", resume=True, max_minutes=0).step == step
    third, last = weights_in(tmp_path / "third"), weights_in(tmp_path / "fourth")
    for key, value in weights_in(tmp_path / "mean").items():
        expected = (third[key] + last[key]) / 2 if value.is_floating_point() else last[key]
        assert torch.allclose(value, expected, atol=1e-6), key


def test_a_stage_begins_with_the_mean_of_earlier_ones(tmp_path: Path) -> None:
    state = TrainingState(read_recipe(souped(write_data(tmp_path, "iniknet"))), tiny_network("iniknet"), CPU)
    for number, value in ((1, 1.0), (2, 5.0)):
        for parameter in state.ema.module.parameters():
            torch.nn.init.constant_(parameter, value)
        state.enter(number + 1)
    assert all(bool((parameter == 3).all()) for parameter in state.network.parameters())
    assert state.ends.keys() == {1, 2}


@pytest.mark.slow
def test_a_stage_can_learn_from_other_sharp_photos(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    recipe.write_text(re.sub(r"\[\[data.pairs\]\][^[]*", "", recipe.read_text()))
    (tmp_path / "sharp").rename(tmp_path / "other")
    write_photo(tmp_path / "sharp" / "grey.png", seed=1, size=64)
    own, other = (
        with_stages(recipe, f"{PART_ONE}\n[[stages]]\nsteps = 1\ncrop = 32\n{sharp}")
        for sharp in ("", 'sharp = ["other"]\n')
    )
    run(own, tmp_path / "own")
    run(other, tmp_path / "two")
    losses = [
        [
            line["loss"]
            for line in map(json.loads, (tmp_path / out / "log.jsonl").read_text().splitlines())
            if "loss" in line
        ]
        for out in ("own", "two")
    ]
    assert losses[0][:3] == losses[1][:3]
    assert losses[0][3] != losses[1][3]


@pytest.mark.slow
def test_a_run_from_before_stages_had_settings_goes_on(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    saved = torch.load(out / FILE, weights_only=True)
    saved["recipe"]["stages"] = [
        {key: stage[key] for key in ("steps", "batch", "crop")} for stage in saved["recipe"]["stages"]
    ]
    del saved["recipe"]["optimiser"]["schedule_steps"]
    torch.save(saved, out / FILE)
    assert run(recipe, out, resume=True).step == 4


def test_ema_is_the_running_mean_of_the_weights(tmp_path: Path) -> None:
    recipe = read_recipe(write_data(tmp_path, "iniknet"))  # decay 0.5
    state = TrainingState(recipe, tiny_network("iniknet"), CPU)
    name, parameter = next(iter(state.network.named_parameters()))
    for value in (1.0, 2.0, 4.0):
        torch.nn.init.constant_(parameter, value)
        state.ema.update_parameters(state.network)
    assert torch.allclose(dict(state.averaged.named_parameters())[name], torch.tensor((1.5 + 4) / 2))
    assert not state.averaged.training


def test_a_killed_run_forgets_what_its_log_says_of_later_steps(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "loss": 0.5}\n{"step": 3, "lo')
    run(recipe, out, resume=True, max_minutes=0)
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains(tmp_path: Path, precision: str) -> None:
    recipe = write_data(tmp_path, "iniknet")
    recipe.write_text(f'precision = "{precision}"\n' + recipe.read_text())
    state = run(recipe, tmp_path / "run", max_minutes=0)
    assert state.step == 1
    assert all(parameter.isfinite().all() for parameter in state.network.parameters())


def first_loss(recipe: Path, out: Path) -> float:
    seen: list[Progress] = []
    run(recipe, out, max_minutes=0, on_progress=seen.append)
    return seen[0].loss


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    with pytest.raises(DataError, match=r"already holds a run.*--resume"):
        run(recipe, out)
    recipe.write_text(recipe.read_text().replace("seed = 3", "seed = 4"))
    with pytest.raises(DataError, match="another recipe"):
        run(recipe, out, resume=True)


def test_a_second_run_in_the_folder_is_refused_before_there_is_a_checkpoint(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"

    def start_another(progress: Progress) -> None:
        with pytest.raises(OutputError, match=rf"another run is writing to '{out}'"):
            run(recipe, out)

    run(recipe, out, max_minutes=0, on_progress=start_another)
    (out / LOCK).touch()  # as a killed run leaves it
    assert run(recipe, out, resume=True, max_minutes=0).step == 2


@pytest.mark.slow
def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    content = (out / FILE).read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"no checkpoint"):
        (out / FILE).write_bytes(damaged)
        with pytest.raises(DataError, match="cannot read the checkpoint"):
            run(recipe, out, resume=True)
    torch.save({"recipe": read_recipe(recipe).model_dump(mode="json"), "network": {}}, out / FILE)
    with pytest.raises(DataError, match="does not fit its recipe"):
        run(recipe, out, resume=True)


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    recipe.write_text(recipe.read_text().replace("learning_rate = 1e-3", "learning_rate = 1e36"))
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    before = (out / FILE).read_bytes()
    with pytest.raises(DataError, match=r"the loss of step 2 .* not a finite number.*learning_rate"):
        run(recipe, out, resume=True)
    assert (out / FILE).read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "run"
    run(recipe, out, max_minutes=0)
    before = (out / FILE).read_bytes()
    (out / PART).symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write the checkpoint.*--resume"):
        run(recipe, out, resume=True, max_minutes=0)
    assert (out / FILE).read_bytes() == before
    assert not (out / PART).is_symlink()


def test_a_run_folder_that_cannot_be_made(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    with pytest.raises(OutputError, match="cannot make the folder"):
        run(recipe, recipe)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, all names are valid Unicode")
def test_a_folder_that_tensorboard_cannot_name_is_one_line(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    with pytest.raises(OutputError, match="is not UTF-8, which TensorBoard requires"):
        run(recipe, tmp_path / "r\udce9")


def with_network(recipe: Path, fields: str) -> Path:
    text = re.sub(r"start_from = .*", f"network = {{ {fields} }}", recipe.read_text())
    recipe.write_text(text[: text.index("[validation]")])
    return recipe


@pytest.mark.slow
def test_a_recipe_says_the_sizes_of_its_network(tmp_path: Path) -> None:
    fields = "width = 4, atoms = 2, kernel_sizes = 3, atom_width = 4, feature_scale = 2"
    run(with_network(write_data(tmp_path, "iniknet"), fields), tmp_path / "run")
    network = load_checkpoint(tmp_path / "run" / "weights.safetensors").model
    assert network.config == INIKNetConfig(4, 2, atoms=2, kernel_sizes=3, atom_width=4, feature_scale=2)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("colour = 3", "unknown key 'colour': iniknet has atom_"),
        ("width = -1", "'width' must"),
        ("width = 0.5", "not suit"),
    ],
)
def test_sizes_that_a_network_cannot_have_are_one_line(tmp_path: Path, fields: str, wrong: str) -> None:
    with pytest.raises(DataError, match=wrong):
        run(with_network(write_data(tmp_path, "iniknet"), fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_to_start_from_must_be_there_and_of_the_model(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    write_weights(tmp_path / "iniknet.safetensors", "nrknet")
    with pytest.raises(WeightsError, match="nrknet, not iniknet"):
        run(recipe, tmp_path / "run")
    (tmp_path / "iniknet.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot read the weights"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_photo_is_named_even_by_a_worker(tmp_path: Path) -> None:
    recipe = write_data(tmp_path, "iniknet")
    text = recipe.read_text().replace("[data]", "[data]\nworkers = 1")
    recipe.write_text(text[: text.index("[validation]")])
    for folder in ("sharp", "pairs/source"):
        for photo in (tmp_path / folder).iterdir():
            photo.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        run(recipe, tmp_path / "run")
    assert ".png" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.fixture
def spawning() -> Iterator[None]:
    """Processes are started afresh, as on Windows and macOS, and from Python 3.14 on nearly everywhere."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.slow
def test_workers_that_are_not_forked_cut_the_same_crops(tmp_path: Path, spawning: None) -> None:
    recipe = write_data(tmp_path, "iniknet")
    run(recipe, tmp_path / "alone")
    recipe.write_text(recipe.read_text().replace("[data]", "[data]\nworkers = 1"))
    run(recipe, tmp_path / "spawned")
    alone, spawned = (tensors(tmp_path / name, "network") for name in ("alone", "spawned"))
    assert alone.keys() == spawned.keys()
    assert all(torch.equal(alone[name], spawned[name]) for name in alone)
