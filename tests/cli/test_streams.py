"""stdin and stdout of ``defocusctl``, also where they are full or gone."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, photo_file, small_weights

PROGRAM = [sys.executable, "-m", "defocusctl"]
TIME_LIMIT = 200  # a program that waits for a pipe waits for ever
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.fixture
def piped_photo(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PNG on stdin."""
    content = io.BytesIO(photo_file(home / "photo.png", 32, 32).read_bytes())
    (home / "photo.png").unlink()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))


@pytest.mark.slow
def test_photos_pass_through(home: Path) -> None:
    photo = photo_file(home / "photo.png")
    command = [*PROGRAM, "deblur", "-", "--weights", str(small_weights(home, "iniknet"))]
    done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=True)
    with Image.open(io.BytesIO(done.stdout)) as result:
        assert (result.format, result.size) == ("PNG", (64, 48))
    assert list(home.glob("*_deblurred*")) == []


@pytest.mark.usefixtures("piped_photo")
def test_stdin_gets_a_name_in_a_folder(home: Path) -> None:
    (home / "out").mkdir()
    answer = defocusctl(
        "deblur", "-", "-o", "out/", "--json", "--weights", small_weights(home, "nrknet"), "-m", "nrknet"
    )
    assert answer.code == ExitCode.OK, answer.err
    assert json.loads(answer.out)["output"] == str(Path("out", "stdin_deblurred.png"))
    with Image.open(home / "out" / "stdin_deblurred.png") as result:
        assert (result.format, result.size) == ("PNG", (32, 32))


def test_stdin_that_is_no_photo_is_told_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"some text")))
    answer = defocusctl("deblur", "-", "-o", f"{home}/")
    assert answer.code == ExitCode.INPUT
    assert "standard input" in answer.err
    assert "text file" in answer.err


@pytest.mark.usefixtures("piped_photo")
@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        (("--maps", "-m", "nrknet"), "photo_gamma.png"),
        (("--compare",), "photo_compare.png"),
        (("--maps-data", "nowhere/maps.npz"), "nowhere"),
    ],
)
def test_pictures_beside_stdout_are_checked_first(home: Path, arguments: tuple[str, ...], taken: str) -> None:
    if taken.endswith(".png"):
        (home / taken).write_text("mine")
    answer = defocusctl("deblur", "-", "--weights", "never-looked-for", *arguments)
    assert answer.code == ExitCode.OUTPUT, answer.err
    assert taken in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["weights", "list", "--json"]], ids=" ".join)
def test_a_full_stdout_is_one_line(home: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == ExitCode.OUTPUT
    assert len(done.stderr.splitlines()) == 1
    assert "cannot write to standard output" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("redirection", ["2>/dev/full", ">&- 2>&-", "2>&-"])
def test_a_full_or_closed_stderr_costs_nothing(home: Path, redirection: str) -> None:
    photo, result = photo_file(home / "photo.png", 32, 32), home / "result.png"
    command = [*PROGRAM, "deblur", str(photo), "-o", str(result)]
    command += ["--weights", str(small_weights(home, "iniknet"))]
    done = subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *command], capture_output=True)
    assert done.returncode == ExitCode.OK
    assert result.exists()


@pytest.mark.slow
def test_a_closed_stdout_loses_the_photo(home: Path) -> None:
    photo = photo_file(home / "photo.png", 32, 32)
    command = [*PROGRAM, "deblur", str(photo), "-o", "-", "--weights", str(small_weights(home, "iniknet"))]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True)
    assert done.returncode == ExitCode.OUTPUT
    assert "cannot write to standard output" in done.stderr


@pytest.mark.slow
def test_a_reader_that_has_gone_is_one_line(home: Path) -> None:
    """The photo itself is lost, so that the command must not end well."""
    photo = photo_file(home / "photo.png", 32, 32)
    command = [*PROGRAM, "deblur", str(photo), "-o", "-", "--weights", str(small_weights(home, "iniknet"))]
    command += ["--quiet"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writer)
    assert done.returncode == ExitCode.OUTPUT
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot write to standard output" in done.stderr


def with_pipe(pipe: Path, content: bytes, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the program while another process writes to a named pipe, once."""
    if not pipe.exists():
        os.mkfifo(pipe)
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
    with subprocess.Popen([sys.executable, "-c", script, str(pipe)], stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        writer.stdin.write(content)
        writer.stdin.close()
        command = [*PROGRAM, *map(str, arguments)]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
        finally:
            writer.kill()


@pytest.mark.slow
@needs_pipes
@pytest.mark.parametrize("output", [["-o", "out.png"], ["-o", "out/"], []])
def test_a_named_pipe_is_read_once(home: Path, output: list[str]) -> None:
    photo = photo_file(home / "photo.png").read_bytes()
    (home / "out").mkdir()
    weights = small_weights(home, "iniknet")
    done = with_pipe(home / "pipe.png", photo, "deblur", "pipe.png", *output, "--weights", weights)
    assert done.returncode == ExitCode.OK, done.stderr
    (result,) = [*home.glob("out*.png"), *home.glob("out/*.png"), *home.glob("pipe_deblurred.png")]
    with Image.open(result) as image:
        assert image.size == (64, 48)


@pytest.mark.slow
@needs_pipes
def test_a_named_pipe_that_holds_no_photo_costs_one_line(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    options = ["-o", "out.png", "--weights", weights, "--quiet"]
    done = with_pipe(home / "pipe", b"some text", "deblur", "pipe", *options)
    assert done.returncode == ExitCode.INPUT
    assert done.stderr == (
        "error: cannot use 'pipe': this is a text file, not a photo: "
        "give a JPEG, PNG, TIFF, WebP, BMP, PPM/PGM, AVIF, HEIC, JPEG XL or camera RAW photo\n"
    )
    assert not (home / "out.png").exists()


@pytest.mark.slow
@needs_pipes
def test_a_batch_passes_over_named_pipes_and_never_writes_to_one(home: Path) -> None:
    (home / "in").mkdir()
    photo_file(home / "in" / "photo.png")
    os.mkfifo(home / "in" / "pipe.png")
    weights = small_weights(home, "iniknet")
    batch = [*PROGRAM, "batch", "in", "out", "--weights", str(weights)]
    done = subprocess.run(batch, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == ExitCode.OK, done.stderr
    assert [path.name for path in (home / "out").glob("*.png")] == ["photo.png"]
    os.mkfifo(home / "target.png")
    to_pipe = [*PROGRAM, "deblur", "in/photo.png", "-o", "target.png", "--force", "--weights", str(weights)]
    done = subprocess.run(to_pipe, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == ExitCode.OUTPUT
    assert "'target.png' is not an ordinary file" in done.stderr


@pytest.mark.usefixtures("home")
def test_a_report_that_cannot_be_written_is_not_the_photos_fault(home: Path) -> None:
    photos = [photo_file(home / f"{name}.png", 32, 32) for name in "ab"]
    weights = small_weights(home, "iniknet")
    command = [*PROGRAM, "deblur", *map(str, photos), "--json", "--weights", str(weights)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ExitCode.OUTPUT
    assert "cannot write to standard output" in done.stderr
    assert "bug" not in done.stderr


def test_stdin_is_read_on_only_if_it_begins_like_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(bytes(1 << 20))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
    assert defocusctl("deblur", "-", "-o", "-").code == ExitCode.INPUT
    assert content.tell() < 1 << 16


@pytest.mark.posix
def test_a_closed_stdin_is_empty(home: Path) -> None:
    command = f"exec '{sys.executable}' -m defocusctl deblur - -o '{home}/' <&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.INPUT
    assert "the file is empty" in done.stderr


@pytest.mark.posix
def test_a_deleted_working_folder_is_named_as_the_cause(home: Path) -> None:
    gone = home / "gone"
    gone.mkdir()
    program = [
        sys.executable,
        "-c",
        "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])",
    ]
    done = subprocess.run([*program, *PROGRAM, "info"], cwd=gone, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.INPUT
    assert "the current folder cannot be used" in done.stderr
