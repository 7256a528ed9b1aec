"""Patterns of file names that no shell has replaced, as on Windows."""

from pathlib import Path

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, photo_file, small_weights


def test_a_pattern_stands_for_the_files_that_match(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    for name in ("b.png", "a.png", "[c].png", "other.jpg"):
        photo_file(home / name)
    answer = defocusctl("deblur", "?.png", "[c].png", "--weights", weights, "--json")
    assert answer.code == ExitCode.OK, answer.err
    written = {path.name for path in home.glob("*_deblurred*")}
    assert written == {"a_deblurred.png", "b_deblurred.png", "[c]_deblurred.png"}
    answer = defocusctl("deblur", "--in-place", "o*.jpg", "--weights", weights)
    assert answer.code == ExitCode.OK, answer.err
    assert (home / "other.orig.jpg").is_file()


def test_folders_of_a_pattern_may_have_brackets(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    folder = home / "2024 [raw]" / "day"
    folder.mkdir(parents=True)
    photo_file(folder / "a.png")
    (home / "out").mkdir()
    for pattern in ("2024 [raw]/*/*.png", "2024 [raw]/**/a*.png", "2024 [raw]/d**y/a.png"):
        answer = defocusctl("deblur", pattern, "--weights", weights, "--force", "-o", "out/")
        assert answer.code == ExitCode.OK, answer.err
        assert defocusctl("batch", pattern, "batch-out", "--force", "--weights", weights).code == 0
    assert (home / "out" / "a_deblurred.png").is_file()


def test_a_pattern_that_nothing_matches_is_named(home: Path) -> None:
    answer = defocusctl("deblur", "*.jpg")
    assert answer.code == ExitCode.INPUT
    assert "'*.jpg'" in answer.err and len(answer.err.splitlines()) == 1


def test_a_result_of_a_pattern_never_replaces_another_match(home: Path) -> None:
    first = photo_file(home / "a.png").read_bytes()
    photo_file(home / "b.png")
    answer = defocusctl("deblur", "*.png", "-o", "a.png", "--force")
    assert answer.code in (ExitCode.USAGE, ExitCode.OUTPUT)
    assert (home / "a.png").read_bytes() == first
