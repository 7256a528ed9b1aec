"""``defocusctl datasets``, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, photo_file


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFOCUSCTL_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """RealDOF, RTF and CUHK as they should be, in tiny."""
    for number in range(1, 51):
        for part in ("source", "target"):
            _photo(tmp_path / "RealDOF" / part / f"{number:02}.png", 2)
    for number in range(1, 23):
        for level in ("0", "1", "5"):
            _photo(tmp_path / "RTF" / "image" / level / f"image_{number:02}.png", 2)
        _photo(tmp_path / "RTF" / "GT" / f"sharp_{number:02}.png", 2)
    _photo(tmp_path / "CUHK" / "out_of_focus0001.jpg", 8)
    return tmp_path


def _photo(path: Path, height: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return photo_file(path, height, 12)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list_tells_all_about_the_sets(arguments: tuple[str, ...]) -> None:
    answer = defocusctl("datasets", *arguments)
    assert (answer.code, answer.err) == (ExitCode.OK, "")
    for words in (
        "train 350, val 74, test 76",
        "11261",
        "1008x688",
        "AIFNet's page",
        "by mail",
        "research use",
    ):
        assert words in answer.out
    assert "give --root, or set DEFOCUSCTL_DATA" in answer.out


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list_as_json_with_what_is_here(root: Path, arguments: tuple[str, ...]) -> None:
    (root / "RTF" / "GT" / "sharp_22.png").unlink()
    answer = defocusctl("datasets", *arguments, "--json", "--root", root)
    listed = {item["name"]: item for item in json.loads(answer.out)}
    assert list(listed) == ["dpdd", "lfdof", "realdof", "rtf", "cuhk", "realdefocus", "sdd", "idfd"]
    assert listed["dpdd"]["images"] == {"train": 350, "val": 74, "test": 76}
    assert listed["dpdd"]["here"] == {}
    assert listed["realdof"]["here"] == {
        "test": {"folder": str(root / "RealDOF"), "images": 50, "problems": []}
    }
    assert listed["rtf"]["here"]["test"]["images"] == 21
    assert len(listed["rtf"]["here"]["test"]["problems"]) == 2
    assert listed["cuhk"]["reference"] is False


def test_the_list_looks_where_the_environment_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "RTF" / "GT" / "sharp_22.png").unlink()
    for photo in (root / "CUHK").iterdir():
        photo.unlink()
    monkeypatch.setenv("DEFOCUSCTL_DATA", str(root))
    answer = defocusctl("datasets")
    here = {
        line.split("│")[1].strip(): line.split("│")[-2].strip()
        for line in answer.out.splitlines()
        if "│" in line
    }
    assert here["realdof"] == "test 50"
    assert here["rtf"] == "test 21 (see check)"
    assert here["dpdd"] == here["cuhk"] == "no"


def test_check_of_what_is_as_it_should_be(root: Path) -> None:
    answer = defocusctl("datasets", "check", "--root", root)
    assert (answer.code, answer.err) == (ExitCode.OK, "")
    assert answer.out.splitlines() == [
        f"realdof test: 50 images in {root / 'RealDOF'}",
        "  sizes: 12x2 (50)",
        f"rtf test: 22 images in {root / 'RTF'}",
        "  sizes: 12x2 (22)",
        "  not scored: image/1 (another noise level), image/5 (another noise level)",
        f"cuhk test: 1 image in {root / 'CUHK'}",
        "  sizes: 12x8 (1)",
        "no problems: realdof, rtf, cuhk",
    ]


def test_check_tells_every_problem_and_ends_with_8(root: Path) -> None:
    (root / "RTF" / "GT" / "sharp_22.png").unlink()
    _photo(root / "RealDOF" / "target" / "07.png", 3)
    damaged = root / "RealDOF" / "source" / "50.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    answer = defocusctl("datasets", "check", "--root", root)
    problems = [line for line in answer.out.splitlines() if line.startswith("  problem: ")]
    assert len(problems) == 4
    assert "50.png" in problems[0]
    assert "12x2 and 12x3" in problems[1]
    assert "image_22.png" in problems[2]
    assert "21 images, but RTF has 22" in problems[3]
    assert answer.code == ExitCode.DATA
    assert answer.err.count("\n") == 1
    assert "2 of 3 datasets have problems (realdof, rtf)" in answer.err


def test_check_of_named_sets_tells_what_is_missing(root: Path) -> None:
    answer = defocusctl("datasets", "check", "rtf", "dpdd", "--root", root)
    assert answer.code == ExitCode.DATA
    assert "dpdd test\n  problem: DPDD (test) is not in" in answer.out
    assert "RealDOF" not in answer.out
    assert "1 of 2 datasets have problems (dpdd)" in answer.err
    assert defocusctl("datasets", "check", "rtf", "--root", root).code == ExitCode.OK


def test_check_shows_labels(tmp_path: Path) -> None:
    for number in range(10, 770, 10):
        _photo(tmp_path / "test" / "DPDD" / "inputC" / f"1P0A{number:04}.png", 2)
        _photo(tmp_path / "test" / "DPDD" / "target" / f"1P0A{number - 1:04}.png", 2)
    np.save(tmp_path / "test" / "DPDD" / "indoor_labels.npy", np.arange(1, 38))
    np.save(tmp_path / "test" / "DPDD" / "outdoor_labels.npy", np.arange(38, 77))
    answer = defocusctl("datasets", "check", "--root", tmp_path)
    assert answer.code == ExitCode.OK
    assert "dpdd test: 76 images" in answer.out
    assert "  labels: indoor 37, outdoor 39\n" in answer.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["check"], ExitCode.DATA, "give --root, or set DEFOCUSCTL_DATA"),
        (["--root", "nowhere"], ExitCode.DATA, "no folder 'nowhere': check --root"),
        (["check", "--root", "."], ExitCode.DATA, "no dataset with a test split is in '.'"),
        (["check", "--root", ".", "--split", "val"], ExitCode.DATA, "no dataset with a val split"),
        (["check", "dppd", "--root", "."], ExitCode.USAGE, "known are dpdd"),
        (["check", "rtf", "--root", ".", "--split", "val"], ExitCode.USAGE, "RTF has no split 'val'"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: ExitCode, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = defocusctl("datasets", *arguments)
    assert answer.code == code
    assert told in answer.err
    assert answer.err.count("\n") == 1
