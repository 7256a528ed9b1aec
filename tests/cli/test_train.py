"""``train`` and ``contact-sheet`` from the command line, to their files and their exit codes."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl.cli.app import run
from defocusctl.errors import ExitCode
from defocusctl.training.contact_sheet import tile_side
from defocusctl.training.loop import LOCK
from defocusctl.training.recipe import read_recipe
from defocusctl.weights.checkpoint import load_checkpoint
from tests.training.tiny import write_data, write_photo

pytestmark = pytest.mark.slow

OWN_PHOTOS = Path(__file__).parents[2] / "recipes" / "own-photos.toml"

FULL_SIZE = """
model = "{model}"
[data]
sharp = ["sharp"]
[[stages]]
steps = 2
batch = 1
crop = 32
"""


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_the_real_networks_train_from_scratch(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path, model)
    recipe = tmp_path / "full.toml"
    recipe.write_text(FULL_SIZE.format(model=model))
    out = tmp_path / "run"
    arguments = ["train", str(recipe), "--out", str(out), "--device", "cpu"]
    assert run([*arguments, "--max-minutes", "0"], debug=False) == ExitCode.OK
    told = capsys.readouterr().err
    assert "1 of 2 steps" in told
    assert "--resume" in told
    assert run([*arguments, "--resume"], debug=False) == ExitCode.OK
    assert "2 of 2 steps" in capsys.readouterr().err
    load_checkpoint(out / "weights.safetensors", model_name=model)
    assert run(arguments, debug=False) == ExitCode.DATA
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize(
    ("name", "content"),
    [("weights.safetensors", b"mine"), ("weights-half.safetensors", b""), ("log.jsonl", b'{"mine": 1}\n')],
)
def test_files_of_another_origin_are_not_replaced(
    tmp_path: Path, name: str, content: bytes, resume: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_data(tmp_path, "iniknet")
    out = tmp_path / "folder"
    out.mkdir()
    (out / name).write_bytes(content)
    arguments = ["train", str(recipe), "--out", str(out), "--device", "cpu", *resume]
    assert run(arguments, debug=False) == ExitCode.OUTPUT
    assert f"'{out / name}' would be replaced" in capsys.readouterr().err
    assert (out / name).read_bytes() == content and len(list(out.iterdir())) == 1


def test_sample_pictures_of_the_user_are_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_data(tmp_path, "iniknet")
    picture = tmp_path / "folder" / "samples" / "0000003.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"mine")
    arguments = ["train", str(recipe), "--out", str(tmp_path / "folder"), "--device", "cpu"]
    assert run(arguments, debug=False) == ExitCode.OUTPUT
    assert f"'{picture.parent}' would be replaced" in capsys.readouterr().err
    assert picture.read_bytes() == b"mine"


def test_a_contact_sheet_replaces_no_photo_of_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_data(tmp_path, "iniknet")
    photo = next((tmp_path / "sharp").iterdir())
    before = photo.read_bytes()
    arguments = ["contact-sheet", str(recipe), "-o", str(photo), "--count", "1", "--force"]
    assert run(arguments, debug=False) == ExitCode.OUTPUT
    assert "is a photo of the recipe" in capsys.readouterr().err and photo.read_bytes() == before


@pytest.mark.posix
def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_data(tmp_path, "iniknet")
    text = recipe.read_text().replace("steps = 3\nbatch", "steps = 100_000\nbatch")
    recipe.write_text(text.replace("every_steps = 3", "every_steps = 90_000"))
    out = tmp_path / "run"
    log = out / "log.jsonl"
    arguments = ["train", str(recipe), "--out", str(out), "--device", "cpu"]

    def press_when_under_way() -> None:
        while not log.exists() or log.stat().st_size == 0:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press_when_under_way, daemon=True)
    finger.start()
    assert run(arguments, debug=False) == ExitCode.INTERRUPTED
    finger.join()
    assert "interrupted" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == [LOCK, "checkpoint.pt", "log.jsonl", "tensorboard"]
    done = len(log.read_text().splitlines())
    assert run([*arguments, "--resume", "--max-minutes", "0"], debug=False) == ExitCode.OK
    assert f"{done + 1} of 100001 steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told", "code"),
    [
        (("seed = 3", "sed = 3"), "unknown key 'sed'", ExitCode.DATA),
        (('sharp = ["sharp"]', 'sharp = ["sharp", "blunt"]'), "blunt", ExitCode.DATA),
        (('"iniknet.safetensors"', '"missing.safetensors"'), "missing.safetensors", ExitCode.WEIGHTS),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, change: tuple[str, str], told: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_data(tmp_path, "iniknet")
    recipe.write_text(recipe.read_text().replace(*change, 1))
    assert run(["train", str(recipe), "--out", str(tmp_path / "run")], debug=False) == code
    (line,) = capsys.readouterr().err.splitlines()  # no bar before the first step
    assert line.startswith("error:")
    assert told in line
    assert not (tmp_path / "run").exists()


def test_no_number_of_minutes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_data(tmp_path, "iniknet")
    arguments = ["train", str(recipe), "--out", str(tmp_path / "run"), "--max-minutes", "nan"]
    assert run(arguments, debug=False) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: --max-minutes nan is not possible")


def test_own_photos_need_one_folder_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photo(tmp_path / "sharp" / "0.png", seed=0, size=48)
    recipe = tmp_path / "own-photos.toml"
    text = OWN_PHOTOS.read_text().replace("batch = 8", "batch = 1").replace("crop = 64", "crop = 32")
    recipe.write_text(text)
    out = tmp_path / "run"
    arguments = ["train", str(recipe), "--out", str(out), "--device", "cpu", "--max-minutes", "0"]
    assert run(arguments, debug=False) == ExitCode.OK
    assert (out / "weights.safetensors").is_file()
    assert "None" not in capsys.readouterr().err
    sheet = ["contact-sheet", str(recipe), "-o", str(tmp_path / "sheet.png"), "--count", "1"]
    assert run(sheet, debug=False) == ExitCode.OK


@pytest.mark.parametrize(("crop", "side"), [(32, 64), (96, 96), (512, 256)])
def test_contact_sheet_has_the_crop_of_the_last_stage(tmp_path: Path, crop: int, side: int) -> None:
    recipe = tmp_path / "full.toml"
    recipe.write_text(FULL_SIZE.format(model="nrknet").replace("crop = 32", f"crop = {crop}"))
    assert tile_side(read_recipe(recipe).stages[-1]) == side


def test_contact_sheet_is_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_data(tmp_path, "iniknet")
    sheet = tmp_path / "sheet.png"
    arguments = ["contact-sheet", str(recipe), "--count", "1", "-o"]
    assert run([*arguments, str(sheet)], debug=False) == ExitCode.OK
    picture = np.asarray(Image.open(sheet).convert("RGB"))
    assert picture.shape[1] > 1000
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500
    assert run([*arguments, str(sheet)], debug=False) == ExitCode.OUTPUT
    assert run([*arguments, str(tmp_path / "sheet.jpg")], debug=False) == ExitCode.USAGE
    capsys.readouterr()
    text = recipe.read_text()
    recipe.write_text(text.replace('sharp = ["sharp"]', "", 1))
    assert run([*arguments, str(tmp_path / "none.png")], debug=False) == ExitCode.DATA
    assert "renders no defocus" in capsys.readouterr().err
