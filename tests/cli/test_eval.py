"""``defocusctl eval`` on small data, as a user types it, with real networks of few channels."""

import csv
import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from defocusctl.cli.eval_options import Baseline, DatasetName, ProtocolName
from defocusctl.errors import ExitCode
from defocusctl.evaluation.protocols import PROTOCOLS
from defocusctl.evaluation.results import Method, PublishedRow
from tests.cli.command import Answer, defocusctl, small_weights, textured
from tests.machine import make_fresh_machine


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A fresh machine; the tests work in its folder, with a RealDOF of three pairs in ``data``."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    work = tmp_path / "work"
    for name, shift in (("01", 0), ("02", 3), ("03", 6)):
        sharp = np.roll(textured(64, 96), shift, axis=1)
        blurred = (sharp.astype(int) + np.roll(sharp, 1, axis=1) + np.roll(sharp, 1, axis=0)) // 3
        for side, pixels in (("source", blurred.astype(np.uint8)), ("target", sharp)):
            folder = work / "data" / "RealDOF" / side
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{name}.png")
    monkeypatch.chdir(work)
    monkeypatch.setenv("COLUMNS", "200")
    return work


def evaluate(home: Path, *arguments: object, dataset: str = "realdof") -> Answer:
    weights = small_weights(home, "iniknet")
    model = ("--model", "iniknet", "--weights", weights)
    return defocusctl(
        "eval", "--dataset", dataset, "--root", home / "data", *model, "--offline", "--no-lpips", *arguments
    )


def test_the_command_line_names_what_there_is() -> None:
    from defocusctl.data.catalogue import SETS
    from defocusctl.evaluation.methods import CLASSICAL

    assert set(get_args(ProtocolName)) == {*PROTOCOLS, "all"}
    assert {name.value for name in Baseline} == set(CLASSICAL)
    assert set(get_args(DatasetName)) == {*SETS, "pairs", "photos"}


@pytest.mark.slow
def test_a_table_with_the_published_rows_marked(home: Path) -> None:
    answer = evaluate(home, "--allow-partial", "--baseline", "unsharp")
    assert answer.code == ExitCode.OK, answer.err
    assert "unsharp (2 px)" in answer.out
    assert "published (DPDD)" in answer.out
    assert "published: INIKNet paper, Table 2, protocol iniknet" in answer.out
    assert "25.231" in answer.out
    assert "50" in answer.err  # RealDOF has that many images, and here are three


@pytest.mark.slow
def test_what_is_kept_can_be_read_again_and_expected(home: Path) -> None:
    out = home / "run"
    answer = evaluate(
        home, "--allow-partial", "--out", out, "--save-images", "--protocol", "all", "--limit", 2
    )
    assert answer.code == ExitCode.OK, answer.err
    with (out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * len(PROTOCOLS)
    assert {row["method"] for row in rows} == {"input", "iniknet/iniknet.safetensors"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images"] == 2
    model = summary["methods"][1]
    assert model["parameters"] > 0
    assert model["macs"] > 0
    assert model["digest"].startswith("sha256:")
    saved = sorted(path.name for path in (out / "images" / "iniknet-iniknet.safetensors").iterdir())
    assert saved == ["01.png", "02.png"]
    page = (out / "report.html").read_text()
    assert "iniknet/iniknet.safetensors" in page

    again = evaluate(home, "--allow-partial", "--limit", 2, "--expect", out / "summary.json")
    assert again.code == ExitCode.OK, again.err
    summary["methods"][0]["means"]["iniknet"]["psnr"] += 0.2
    (home / "other.json").write_text(json.dumps(summary))
    differing = evaluate(home, "--allow-partial", "--limit", 2, "--expect", home / "other.json")
    assert differing.code == ExitCode.EXPECTATION
    assert "input (iniknet): psnr is" in differing.err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, all names are valid Unicode")
def test_names_that_are_not_unicode_are_escaped(home: Path) -> None:
    for side in ("source", "target"):
        (home / "data" / "RealDOF" / side / "01.png").rename(home / "data" / "RealDOF" / side / "0\udce9.png")
    answer = evaluate(home, "--out", "out", "--root", "data/RealDOF", dataset="pairs")
    assert answer.code == ExitCode.OK, answer.err
    assert "0\\udce9" in (home / "out" / "scores.csv").read_text(encoding="utf-8")
    assert "0\\udce9" in (home / "out" / "report.html").read_text(encoding="utf-8")


def test_protocols_score_the_same_outputs_differently(home: Path) -> None:
    answer = evaluate(home, "--allow-partial", "--protocol", "all", "--limit", 1, "--json", "-q")
    summary = json.loads(answer.out)
    means = summary["methods"][0]["means"]
    assert means["iniknet"]["ssim"] != means["nrknet"]["ssim"]
    assert means["iniknet"]["psnr"] == pytest.approx(
        means["restormer"]["psnr"], abs=1e-6
    )  # 64 x 96 fits both


@pytest.mark.slow
def test_a_run_goes_on_where_it_was(home: Path) -> None:
    out = home / "run"
    first = evaluate(home, "--allow-partial", "--out", out, "--limit", 1)
    assert first.code == ExitCode.OK, first.err
    whole = (out / "scores.jsonl").read_text()
    (out / "scores.jsonl").write_text(whole + '[{"image": "02", "meth')  # cut short by a power failure
    assert evaluate(home, "--allow-partial", "--out", out).code == ExitCode.DATA
    resumed = evaluate(home, "--allow-partial", "--out", out, "--resume")
    assert resumed.code == ExitCode.OK, resumed.err
    lines = (out / "scores.jsonl").read_text().splitlines()
    assert lines[:2] == whole.splitlines()
    assert [json.loads(line)[0]["image"] for line in lines[1:]] == ["01", "02", "03"]
    other = evaluate(home, "--allow-partial", "--out", out, "--resume", "--protocol", "nrknet")
    assert other.code == ExitCode.DATA
    assert "protocols" in other.err


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize("name", ["scores.csv", "summary.json", "report.html"])
def test_files_of_another_origin_are_not_replaced(home: Path, name: str, resume: list[str]) -> None:
    out = home / "folder"
    out.mkdir()
    (out / name).write_text("mine")
    answer = evaluate(home, "--allow-partial", "--out", out, "--limit", 1, *resume)
    assert answer.code == ExitCode.OUTPUT
    assert f"'{out / name}' would be replaced" in answer.err
    assert (out / name).read_text() == "mine" and len(list(out.iterdir())) == 1


def test_photos_without_references_have_no_scores(home: Path) -> None:
    folder = home / "data" / "RealDOF" / "source"
    weights = small_weights(home, "nrknet")
    answer = defocusctl(
        "eval", "-d", "photos", "--blurred", folder, "-m", "nrknet", "--weights", weights,
        "--out", home / "run", "--save-images", "--json", "-q",
    )  # fmt: skip
    assert answer.code == ExitCode.OK, answer.err
    means = json.loads(answer.out)["methods"][1]["means"]["iniknet"]
    assert means["psnr"] is None
    assert (home / "run" / "images" / "nrknet-nrknet.safetensors" / "01.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resume",), "--out"),
        (("--weights", "bundled"), "2 --weights for 1 --model"),
        (("--blurred", "data"), "do not go with"),
        (("--expect", "nothing.json", "--allow-partial"), "nothing.json"),
        (("--tolerance", "nan"), "--tolerance nan is not possible"),
    ],
)
def test_calls_that_cannot_be_meant(home: Path, arguments: tuple[str, ...], said: str) -> None:
    answer = evaluate(home, *arguments)
    assert answer.code in (ExitCode.USAGE, ExitCode.DATA)
    assert said in answer.err.splitlines()[-1]


def test_the_whole_tool_is_a_row_of_its_own(home: Path) -> None:
    """Papers report a network alone, so nothing published is about the other row."""
    answer = evaluate(home, "--allow-partial", "--scale", "1/2", "--json")
    assert answer.code == ExitCode.OK, answer.err
    _, alone, tool = json.loads(answer.out)["methods"]
    assert tool["label"] == f"{alone['label']} at scale 1/2"
    assert (alone["kind"], tool["kind"]) == ("model", "tool")
    assert alone["means"]["iniknet"]["psnr"] != tool["means"]["iniknet"]["psnr"]
    row = PublishedRow("INIKNet", "DPDD", "a paper", "iniknet", psnr=25.0)
    assert Method(alone["label"], alone["kind"], model="iniknet").is_reported_in(row)
    assert not Method(tool["label"], tool["kind"], model="iniknet").is_reported_in(row)


def test_gains_by_blur_radius_add_up_to_the_whole(home: Path) -> None:
    """One image: the squared errors of the ranges give the PSNR of the whole, before and after."""
    answer = evaluate(home, "--allow-partial", "--limit", "1", "--json", "--out", "run")
    assert answer.code == ExitCode.OK, answer.err
    before, after = json.loads(answer.out)["methods"]
    gains = after["gains_by_radius"]["iniknet"]
    assert sum(gain["share"] for gain in gains) == pytest.approx(1)
    assert all(gain["gain"] == 0 for gain in before["gains_by_radius"]["iniknet"])
    first, *_, last = [json.loads(line) for line in Path("run/scores.jsonl").read_text().splitlines()][1]
    for row in (first, last):
        pixels, errors = (sum(column) for column in zip(*row["by_radius"], strict=True))
        assert pixels == 64 * 96
        assert -10 * np.log10(errors / pixels) == pytest.approx(row["psnr"], abs=0.02)
    assert "Gain by blur radius" in Path("run/report.html").read_text()
    resumed = evaluate(home, "--allow-partial", "--limit", "1", "--json", "--out", "run", "--resume")
    assert json.loads(resumed.out)["methods"] == [before, after]
