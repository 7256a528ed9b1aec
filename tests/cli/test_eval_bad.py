"""Data and folders that ``defocusctl eval`` must not stumble over, and which images it takes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, small_weights
from tests.cli.eval_data import CLASSICAL, classical, make_realdof, scores
from tests.machine import make_fresh_machine

STRICT = tuple(word for word in CLASSICAL if word != "--allow-partial")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A fresh machine with six pairs of RealDOF."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    make_realdof(tmp_path, 6, 40, 48)
    return tmp_path


def pairs(root: Path) -> tuple[object, ...]:
    """The same photos as pairs of no particular set, whose count cannot be wrong."""
    folder = root / "RealDOF"
    return ("eval", "-d", "pairs", "--blurred", folder / "source", "--sharp", folder / "target", *STRICT)


def spoil(root: Path) -> None:
    folder = root / "RealDOF"
    Image.new("RGB", (40, 40)).save(folder / "target" / "02.png")
    (folder / "source" / "03.png").write_bytes(b"not a picture")
    whole = (folder / "target" / "04.png").read_bytes()
    (folder / "target" / "04.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (20, 48)).save(folder / "source" / "05.png")
    Image.new("RGB", (20, 48)).save(folder / "target" / "05.png")


def test_every_bad_pair_is_named_and_the_others_are_scored(root: Path) -> None:
    spoil(root)
    answer = defocusctl(*pairs(root), "--out", root / "run")
    assert answer.code == ExitCode.DATA
    *warnings, error = answer.err.splitlines()
    assert [line.split(":")[1].strip() for line in warnings] == ["02", "03", "04", "05"]
    assert "differ in size, 48x40 and 40x40" in warnings[0]
    assert "cannot be cropped to multiples of 32" in warnings[3]
    assert error.startswith("error: 4 problems with pairs of photos, the first: 02: ")
    assert {row["image"] for row in scores(root / "run")} == {"01", "06"}
    summary = json.loads((root / "run" / "summary.json").read_text())
    assert (summary["images"], summary["of"], len(summary["problems"])) == (2, 6, 4)
    assert "4 problems" in (root / "run" / "report.html").read_text()

    allowed = defocusctl(*pairs(root), "--allow-partial")
    assert allowed.code == ExitCode.OK
    assert len(allowed.err.splitlines()) == 4


def test_bad_pairs_that_were_mended_are_scored_on_resuming(root: Path) -> None:
    spoil(root)
    assert defocusctl(*pairs(root), "--out", root / "run").code == ExitCode.DATA
    make_realdof(root, 6, 40, 48)
    resumed = defocusctl(*pairs(root), "--out", root / "run", "--resume")
    assert (resumed.code, resumed.err) == (ExitCode.OK, "")
    assert [row["image"] for row in scores(root / "run")][::2] == [f"{n:02}" for n in range(1, 7)]


def test_nothing_but_bad_pairs(root: Path) -> None:
    for path in (root / "RealDOF" / "source").iterdir():
        path.write_bytes(b"not a picture")
    answer = defocusctl(*(word for word in pairs(root) if word != "-q"), "--out", root / "run")
    assert answer.code == ExitCode.DATA
    assert "0 images" in answer.out
    assert "error: 6 problems" in answer.err
    assert scores(root / "run") == []


def test_a_set_without_any_pair_says_why(root: Path) -> None:
    folder = root / "DPDD" / "test_c"
    for side, number in (("source", 10), ("target", 90)):
        for name in (f"1P0A{number:04}.png", f"1P0A{number + 1:04}.png")[: 1 if side == "source" else 2]:
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (48, 40)).save(folder / side / name)
    answer = classical(root, dataset="dpdd")
    assert answer.code == ExitCode.DATA
    assert "no image of DPDD can be scored" in answer.err
    assert "cannot be paired" in answer.err


@pytest.mark.parametrize(("missing", "code"), [((), ExitCode.DATA), (("--allow-partial",), ExitCode.OK)])
def test_a_wrong_count(root: Path, missing: tuple[str, ...], code: ExitCode) -> None:
    answer = defocusctl("eval", "-d", "realdof", "--root", root, *STRICT, "--limit", 1, *missing)
    assert answer.code == code
    assert "6 images, but RealDOF has 50" in answer.err


def test_a_whole_set_is_no_problem_however_few_are_scored(root: Path) -> None:
    for number in range(7, 51):
        for side in ("source", "target"):
            path = root / "RealDOF" / side / f"{number:02}.png"
            path.write_bytes((root / "RealDOF" / side / "01.png").read_bytes())
    answer = defocusctl("eval", "-d", "realdof", "--root", root, *STRICT, "--limit", 1)
    assert (answer.code, answer.err) == (ExitCode.OK, "")


def test_a_sample_is_the_same_for_the_same_seed(root: Path) -> None:
    def names(seed: int, *more: object) -> list[str]:
        answer = classical(
            root, "--sample", 3, "--seed", seed, "--out", root / f"run{seed}{len(more)}", *more
        )
        assert answer.code == ExitCode.OK, answer.err
        return [row["image"] for row in scores(root / f"run{seed}{len(more)}")][::2]

    chosen = [names(seed) for seed in range(4)]
    assert all(len(set(three)) == 3 and three == sorted(three) for three in chosen)
    assert len({tuple(three) for three in chosen}) > 1
    assert names(2, "--protocol", "ifan") == chosen[2]
    assert names(2, "--limit", 2, "--disc-radius", 1) == chosen[2][:2]


def test_an_output_that_cannot_be_written_ends_the_run(root: Path) -> None:
    out = root / "run"
    out.mkdir()
    (out / "images").write_text("in the way")
    answer = classical(root, "--out", out, "--save-images")
    assert answer.code == ExitCode.OUTPUT
    assert answer.err.splitlines()[-1].startswith(f"error: '{out / 'images'}' would be replaced")
    assert not (out / "scores.csv").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_stdout_does_not_cost_the_files(root: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "defocusctl",
        *map(str, pairs(root)),
        "--json",
        "--out",
        str(root / "run"),
    ]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stdout=full).returncode == ExitCode.OUTPUT
    kept = {path.name for path in (root / "run").iterdir()}
    assert kept == {"scores.jsonl", "scores.csv", "summary.json", "report.html"}


def test_resuming_without_the_images_of_before_is_refused(root: Path) -> None:
    out = root / "run"
    assert classical(root, "--out", out, "--limit", 1).code == ExitCode.OK
    answer = classical(root, "--out", out, "--resume", "--save-images")
    assert answer.code == ExitCode.DATA
    assert "has other settings (images)" in answer.err


@pytest.mark.slow
def test_resuming_with_other_tiles_is_refused(root: Path) -> None:
    network = (*pairs(root), "-m", "iniknet", "--weights", small_weights(root, "iniknet"), "--offline")
    first = defocusctl(*network, "--out", root / "run", "--limit", 1)
    assert first.code == ExitCode.OK, first.err
    answer = defocusctl(*network, "--out", root / "run", "--resume", "--tile", 32, "--overlap", 8)
    assert answer.code == ExitCode.DATA and "has other settings (overlap, tile)" in answer.err


def test_floating_point_pairs_are_scored_in_their_white(root: Path) -> None:
    for path in [*(root / "RealDOF" / "source").iterdir(), *(root / "RealDOF" / "target").iterdir()]:
        pixels = np.asarray(Image.open(path)).astype(np.float32)
        tifffile.imwrite(path.with_suffix(".tif"), pixels * np.float32(4), photometric="rgb")
        path.unlink()
    refused = defocusctl(*pairs(root))
    assert refused.code == ExitCode.DATA and "--white VALUE" in refused.err
    assert defocusctl(*pairs(root), "--white", 1020, "--out", root / "run").code == ExitCode.OK
    make_realdof(root, 6, 40, 48)
    for path in (root / "RealDOF").rglob("*.tif"):
        path.unlink()
    assert defocusctl(*pairs(root), "--out", root / "same").code == ExitCode.OK
    scored, same = ([row["psnr"] for row in scores(root / name)] for name in ("run", "same"))
    assert scored == pytest.approx(same, abs=0.01)
    other = defocusctl(*pairs(root), "--out", root / "run", "--resume")
    assert other.code == ExitCode.DATA and "has other settings (white)" in other.err
    assert defocusctl(*pairs(root), "--white", 0).code == ExitCode.USAGE


def test_resuming_from_another_folder_is_the_same_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert classical(Path(), "--out", root / "run", "--limit", 1).code == ExitCode.OK
    assert classical(root, "--out", root / "run", "--limit", 2, "--resume").code == ExitCode.OK


@pytest.mark.slow
def test_checkpoints_of_one_name_are_told_apart(root: Path) -> None:
    files = []
    for run in ("a", "b"):
        (root / run).mkdir()
        files.append(small_weights(root / run, "iniknet"))
    one, other = ((*("-m", "iniknet", "--weights", file),) for file in files)
    arguments = ("--limit", 1, "--offline", "--json", "--out", root / "run", "--save-images")
    answer = defocusctl(
        "eval",
        "-d",
        "realdof",
        "--root",
        root,
        "--no-lpips",
        "--allow-partial",
        "-q",
        *one,
        *other,
        *arguments,
    )
    assert answer.code == ExitCode.OK, answer.err
    labels = [method["label"] for method in json.loads(answer.out)["methods"]]
    assert labels == ["input", *(f"iniknet/{file}" for file in files)]
    assert len(list((root / "run" / "images").iterdir())) == 3
    twice = classical(root, *one, *one)
    assert (twice.code, "a method is named twice" in twice.err) == (ExitCode.USAGE, True)
