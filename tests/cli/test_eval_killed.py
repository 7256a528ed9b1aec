"""``eval --resume`` after the process was killed in the middle."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl
from tests.cli.eval_data import make_realdof, scores
from tests.machine import make_fresh_machine

COUNT, BEFORE = 6, 3
pytestmark = [pytest.mark.posix, pytest.mark.slow]

KILLED = f"""
import os, signal
from defocusctl.__main__ import main
from defocusctl.evaluation.files import Journal

write, written = Journal.write, []

def write_or_die(journal, rows):
    write(journal, rows)
    written.append(rows)
    if len(written) == {BEFORE}:
        os.kill(os.getpid(), signal.SIGKILL)

Journal.write = write_or_die
main()
"""
"""The program, which is killed when it has recorded the scores of so many images."""


def command(root: Path, out: Path) -> list[str]:
    return [
        *("eval", "-d", "realdof", "--root", str(root), "--out", str(out)),
        *("--allow-partial", "--no-lpips", "-q"),
        *("--baseline", "richardson-lucy", "--baseline", "wiener"),
    ]


def test_a_killed_run_goes_on_to_the_same_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path / "home")
    make_realdof(tmp_path, COUNT, 40, 48)
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    process = subprocess.run([sys.executable, "-c", KILLED, *command(tmp_path, killed)])
    assert process.returncode == -signal.SIGKILL
    assert _scored(killed) == BEFORE
    assert not (killed / "scores.csv").exists()

    assert defocusctl(*command(tmp_path, killed), "--resume").code == ExitCode.OK
    assert defocusctl(*command(tmp_path, undisturbed)).code == ExitCode.OK
    resumed, straight = ([_without_time(row) for row in scores(out)] for out in (killed, undisturbed))
    assert resumed == straight
    assert len(resumed) == COUNT * 3
    means = [json.loads((out / "summary.json").read_text())["comparisons"] for out in (killed, undisturbed)]
    assert means[0] == means[1]


def _scored(out: Path) -> int:
    """How many images the run has whole lines of; the first line says what the run is."""
    journal = out / "scores.jsonl"
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def _without_time(row: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != "seconds"}
