"""Training in two processes, as torchrun starts them: the steps of one, and what is said if one dies."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from defocusctl.errors import DataError, ExitCode
from defocusctl.training.loop import train
from defocusctl.training.processes import Processes
from defocusctl.training.recipe import read_recipe
from defocusctl.training.state import FILE
from tests.training.tiny import write_data

pytestmark = [pytest.mark.posix, pytest.mark.slow]

CPU = torch.device("cpu")
STAGES = """[[stages]]
steps = {steps}
batch = 4
accumulate = {accumulate}
crop = 32

"""
COMMAND = ("-m", "defocusctl", "train")


def write(root: Path, *, steps: int, accumulate: int = 1) -> Path:
    """The tiny recipe with batches of four."""
    recipe = write_data(root, "iniknet")
    stages = STAGES.format(steps=steps, accumulate=accumulate)
    text = re.sub(r"(\[\[stages\]\][^[]*)+", stages, recipe.read_text())
    path = root / f"steps-{steps}-{accumulate}.toml"
    path.write_text(text)
    return path


def alone(recipe: Path, out: Path) -> None:
    train(
        read_recipe(recipe), data_root=recipe.parent, out=out, device=CPU, resume=False, max_minutes=None,
        on_progress=lambda progress: None,
    )  # fmt: skip


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    recipe = write(tmp_path, steps=3)
    alone(recipe, tmp_path / "alone")
    launched = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
         str(free_port()), *COMMAND, recipe, "--out", tmp_path / "two", "--device", "cpu"],
        env=environment(), capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert launched.returncode == ExitCode.OK, launched.stderr
    assert launched.stderr.count("3 of 3 steps") == 1
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)
    saved = [torch.load(tmp_path / name / FILE, weights_only=True) for name in ("alone", "two")]
    for key, value in saved[0]["network"].items():
        torch.testing.assert_close(saved[1]["network"][key], value, rtol=1e-4, atol=1e-5)


def test_parts_one_after_the_other_are_the_batch(tmp_path: Path) -> None:
    whole, parts = write(tmp_path, steps=3), write(tmp_path, steps=3, accumulate=4)
    alone(whole, tmp_path / "whole")
    alone(parts, tmp_path / "parts")
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)


def test_a_killed_process_ends_the_run_with_a_line_and_one_process_goes_on(tmp_path: Path) -> None:
    recipe = write(tmp_path, steps=200)
    out = tmp_path / "run"
    group = environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()), WORLD_SIZE="2")
    first, second = (
        subprocess.Popen(
            [sys.executable, *COMMAND, recipe, "--out", out, "--device", "cpu"],
            env={**group, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    )  # fmt: skip
    try:
        while first.poll() is None and not ((out / "log.jsonl").exists() and len(losses(out)) >= 2):
            time.sleep(0.05)
        second.send_signal(signal.SIGKILL)
        _, said = first.communicate(timeout=300)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == ExitCode.DEVICE, said
    assert "error: process 0 of 2 lost another one" in said
    assert "--resume" in said
    step = torch.load(out / FILE, weights_only=True)["step"]
    assert 2 <= step < 200

    state = train(
        read_recipe(recipe), data_root=tmp_path, out=out, device=CPU, resume=True, max_minutes=0,
        on_progress=lambda progress: None,
    )  # fmt: skip
    assert state.step == step + 1


def test_a_batch_that_cannot_be_shared_is_refused_before_training(tmp_path: Path) -> None:
    recipe = write(tmp_path, steps=3, accumulate=3)
    with pytest.raises(DataError, match="a batch of 4 is not divisible by 3"):
        alone(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shares_cover_the_batch_once() -> None:
    taken = [list(range(12))[part] for rank in range(3) for part in Processes(CPU, rank, 3).parts(12, 2)]
    assert [sample for part in taken for sample in part] == list(range(12))
    assert {len(part) for part in taken} == {2}
