"""What commands say while they work: here as if every step took long, and was looked at when it ends."""

import json
from pathlib import Path

import pytest

from defocusctl.cli.bars import doing, download_bar, step_bar
from tests.cli.command import Answer, defocusctl, photo_file, small_weights
from tests.cli.eval_data import make_realdof
from tests.training.tiny import write_data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _everything_takes_long(_no_lines_of_progress: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defocusctl.cli.bars.FIRST_LINE", 0.0)
    monkeypatch.setattr("defocusctl.cli.bars.TICK", 86400.0)


def said(answer: Answer) -> list[str]:
    assert answer.code == 0, answer.err
    return list(dict.fromkeys(answer.err.splitlines()))


def test_deblur(home: Path) -> None:
    photo_file(home / "photo.png")
    weights = small_weights(home, "iniknet")
    lines = said(defocusctl("deblur", "photo.png", "--weights", weights, "--scale", "1"))
    assert {"starting ...", "loading iniknet ...", "photo.png: 1/1 tiles, writing"} <= {*lines}


def test_results_on_stdout_stay_alone_there_and_quiet_is_quiet(home: Path) -> None:
    photo_file(home / "photo.png")
    deblur = ["deblur", "photo.png", "--weights", small_weights(home, "iniknet")]
    answer = defocusctl(*deblur, "--json")
    assert json.loads(answer.out)["input"] == "photo.png"
    assert "loading iniknet ..." in said(answer)
    assert said(defocusctl(*deblur, "-o", "other.png", "--quiet")) == []


def test_batch(home: Path) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "photo.png")
    batch = ["batch", "in", "out", "--weights", small_weights(home, "iniknet")]
    lines = said(defocusctl(*batch, "--dry-run"))
    assert {"looking for photos ...", "estimating the cost ...", "checking what is done: 1/1"} <= {*lines}
    lines = said(defocusctl(*batch, "--report"))
    assert {"looking for photos ...", "loading iniknet ...", "making the report: 1/1"} <= {*lines}


def test_weights(home: Path) -> None:
    answer = defocusctl("weights", "verify", "blur-radius/bundled")
    assert said(answer) == [f"verifying {answer.out.split()[-1]} ..."]


def test_info(home: Path) -> None:
    answer = defocusctl("info", "--json")
    assert json.loads(answer.out)["devices"]
    assert said(answer) == ["looking for devices, networks and weights ..."]


def test_export(home: Path) -> None:
    options = ["--format", "safetensors", "--weights", small_weights(home, "iniknet")]
    lines = said(defocusctl("export", "-o", "network.safetensors", *options))
    assert "exporting iniknet as safetensors and comparing it with the network ..." in lines


def test_datasets_and_eval(home: Path) -> None:
    make_realdof(home, 2)
    answer = defocusctl("datasets", "check", "realdof", "--root", home)
    assert "reading realdof: 4/4" in answer.err.splitlines()
    weights = small_weights(home, "iniknet")
    options = ["--root", home, "--weights", weights, "--no-lpips", "--allow-partial", "--out", "scores"]
    lines = said(defocusctl("eval", "--dataset", "realdof", *options))
    assert {"looking for realdof ...", "loading iniknet ...", "making the report ..."} <= {*lines}
    (images,) = (line for line in lines if ": 2/2, PSNR in dB: " in line)
    assert images.startswith("RealDOF")


def test_training(home: Path) -> None:
    pytest.importorskip("tensorboard", reason="no TensorBoard here: pip install '.[train]'")
    recipe = write_data(home, "iniknet")
    lines = said(defocusctl("train", recipe, "--out", "run"))
    assert {"starting ...", "iniknet: starting ..."} <= {*lines}
    assert any(line.startswith("iniknet: 4/4, loss ") for line in lines)
    lines = said(defocusctl("contact-sheet", recipe, "-o", "sheet.png", "--count", "2"))
    assert "rendering and drawing 2 pairs ..." in lines


def test_a_line_is_said_while_the_work_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("defocusctl.cli.bars.TICK", 0.01)
    said = ""
    with doing("counting"):
        while "counting ..." not in said:
            said += capsys.readouterr().err


def test_the_lines_have_what_is_done_and_in_total(capsys: pytest.CaptureFixture[str]) -> None:
    with doing("counting"):
        pass
    with step_bar("photos") as advance:
        advance(1, 4, "one")
        advance(3, 4, "three")
    with download_bar("weights", quiet=False) as on_bytes:
        on_bytes(1_500_000, 12_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["counting ...", "photos: starting ..."]
    assert [line.partition(", 0:")[0] for line in lines[2:]] == [
        "photos: 3/4, three",
        "weights: 1.5 MB of 12.0 MB",
    ]
