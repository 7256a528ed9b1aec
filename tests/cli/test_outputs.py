"""No result of ``deblur`` replaces an input or another result, whatever is forced."""

import os
from pathlib import Path

import pytest

from defocusctl.cli.deblur_jobs import check_outputs
from defocusctl.errors import ExitCode, OutputError, UsageError
from tests.cli.command import defocusctl, photo_file, small_weights


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its content."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.posix
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("a.png", "a_deblurred.png"), ExitCode.OUTPUT),
        (("a.png", "link.png"), ExitCode.OUTPUT),
        (("a.png", "b.png", "-o", "out/", "--compare-to", "b.png"), ExitCode.OUTPUT),
        (("a.png", "a_deblurred_mu.png", "--maps"), ExitCode.OUTPUT),
        (("a.png", "-o", "out.png", "--compare-to", "out.png"), ExitCode.USAGE),
        (("a.png", "b.png", "--compare-to", "c.png"), ExitCode.USAGE),
        (("a.png", "b.png", "--maps-data", "m.npz"), ExitCode.USAGE),
        (("a.png", "a.bmp", "b.png", "--maps"), ExitCode.USAGE),
        (("a.png", "a.png"), ExitCode.USAGE),
    ],
)
def test_nothing_runs_that_would_destroy_something(
    home: Path, arguments: tuple[str, ...], code: ExitCode
) -> None:
    for name in ("a.png", "a.bmp", "b.png", "a_deblurred.png", "a_deblurred_mu.png"):
        photo_file(home / name)
    (home / "out.png").write_bytes(b"earlier")
    (home / "link.png").symlink_to("a_deblurred.png")
    (home / "out").mkdir()
    before = files(home)
    answer = defocusctl("deblur", *arguments, "--force", "--weights", "never-looked-for")
    assert answer.code == code, answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(home) == before


def test_results_of_their_own_may_be_written(tmp_path: Path) -> None:
    check_outputs([tmp_path / "a.png"], [tmp_path / "b.png", tmp_path / "c.png", tmp_path / "B.png"])


@pytest.mark.posix
def test_names_that_a_disk_takes_for_one(tmp_path: Path) -> None:
    """The second spelling of the folder makes it look like one on a disk that ignores case."""
    (tmp_path / "photos").mkdir()
    if not (tmp_path / "PHOTOS").exists():
        (tmp_path / "PHOTOS").symlink_to("photos")
    with pytest.raises(UsageError, match="several results"):
        check_outputs([], [tmp_path / "photos" / "a.png", tmp_path / "photos" / "A.png"])
    with pytest.raises(OutputError, match="replace an input"):
        check_outputs([tmp_path / "photos" / "a.png"], [tmp_path / "photos" / "A.PNG"])


@pytest.mark.parametrize(("option", "name"), [("--compare-to", "c.jpg"), ("--maps-data", "maps.png")])
def test_pictures_are_not_misnamed(home: Path, option: str, name: str) -> None:
    answer = defocusctl("deblur", photo_file(home / "photo.png"), option, name)
    assert answer.code == ExitCode.USAGE
    assert len(answer.err.splitlines()) == 1
    assert name in answer.err
    assert [path.name for path in home.iterdir()] == ["photo.png"]


def test_export_never_replaces_the_weights_that_it_reads(home: Path) -> None:
    weights = small_weights(home, "nrknet")
    before = weights.read_bytes()
    arguments = ("-m", "nrknet", "--weights", weights, "--format", "safetensors", "-o", weights, "--force")
    answer = defocusctl("export", *arguments)
    assert answer.code == ExitCode.OUTPUT
    assert f"'{weights}' is an input itself" in answer.err
    assert weights.read_bytes() == before


@pytest.mark.posix
@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("-o", "dangling.png"), "'dangling.png' exists already"),
        (("-o", "o.png", "--compare-to", "dangling.png"), "'dangling.png' exists already"),
        (("-o", f"{'n' * 300}.png"), "File name too long"),
        (("-o", f"{'n' * 240}.png", "--maps"), "File name too long"),
        (("-o", "o.png", "--maps-dir", "n" * 300), "File name too long"),
    ],
)
def test_names_that_cannot_be_written_are_refused_at_once(
    home: Path, arguments: tuple[str, ...], cause: str
) -> None:
    photo_file(home / "a.png")
    (home / "dangling.png").symlink_to("nowhere")
    answer = defocusctl("deblur", "a.png", *arguments, "--weights", "never-looked-for")
    assert (answer.code, len(answer.err.splitlines())) == (ExitCode.OUTPUT, 1), answer.err
    assert cause in answer.err
    assert set(files(home)) == {"a.png"}


@pytest.mark.posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize(
    "arguments", [("-o", "closed/o.png"), ("-o", "o.png", "--compare-to", "closed/c.png")]
)
def test_a_closed_folder_is_refused_at_once(home: Path, arguments: tuple[str, ...]) -> None:
    photo_file(home / "a.png")
    (home / "closed").mkdir(mode=0)
    answer = defocusctl("deblur", "a.png", *arguments, "--weights", "never-looked-for")
    assert (answer.code, len(answer.err.splitlines())) == (ExitCode.OUTPUT, 1), answer.err
