"""What only happens at a terminal: progress bars and Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from defocusctl.errors import ExitCode
from tests.cli.command import photo_file, small_weights

pytestmark = [
    pytest.mark.posix,
    pytest.mark.slow,
]

PROGRAM = [sys.executable, "-m", "defocusctl"]


def read_until(terminal: int, sign: str) -> str:
    """What a terminal shows, less its colours, until the regular expression ``sign`` or the program's end."""
    shown = b""
    while re.search(sign, plain(shown)) is None:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        shown += piece
    return plain(shown)


def plain(shown: bytes) -> str:
    """The text without the sequences that colour it and move the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))


def test_interrupting_a_run_leaves_nothing_half_written(home: Path) -> None:
    """The bar counts tiles; Ctrl-C as soon as the first are done, which leaves minutes of work."""
    photo_file(home / "photo.png", 1500, 2000)
    small_weights(home, "iniknet")
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "deblur", "photo.png", "--weights", "iniknet.safetensors", "--tile", "160"],
        stderr=inside,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(inside)
    try:
        shown = read_until(terminal, r"[1-9]\d*/\d+ tiles, \d+\.\d+ MP/s")
        process.send_signal(signal.SIGINT)
        shown += read_until(terminal, r"interrupted.*\n")
        process.wait()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert "tiles" in shown
    assert "None" not in shown
    assert "error: " in shown
    assert "interrupted: finished results are kept" in shown
    assert "Traceback" not in shown
    assert process.returncode == ExitCode.INTERRUPTED
    assert sorted(path.name for path in home.iterdir()) == ["iniknet.safetensors", "photo.png"]


def test_interrupting_the_start_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the first slow import runs: in its place stands a module that sends it."""
    (home / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    monkeypatch.setenv("PYTHONPATH", str(home))
    done = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True)
    assert done.returncode == ExitCode.INTERRUPTED
    assert done.stderr == "error: interrupted: finished results are kept\n"
    assert done.stdout == ""
