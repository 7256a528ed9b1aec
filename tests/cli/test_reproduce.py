"""``reproduce``: the authors' layout and checkpoint, here with made-up photos and recipe weights."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from defocusctl.errors import ExitCode
from defocusctl.evaluation.reproduction import paper_tables
from defocusctl.models.catalogue import NETWORKS
from defocusctl.models.upstream_keys import from_upstream
from tests.cli.command import Answer, defocusctl
from tests.cli.eval_data import make_realdof
from tests.evaluation.alexnet import saved
from tests.golden_weights import released_state
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine

PAIRS = 2
ENTRY = """
[[weights]]
model = "iniknet"
name = "mirror"
configuration = "from shapes"
sources = ["{url}/INIKNet.pth"]
digest = "sha256:{digest}"
licence = "MIT"
trained_on = "{trained_on}"
channel_order = "BGR"
"""


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback) -> Path:
    """A fresh machine with the first pairs of a RealDOF, and a server with the authors' checkpoint."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("COLUMNS", "120")
    make_realdof(tmp_path, PAIRS, 40, 48)
    publish(monkeypatch, tmp_path, server, "DPDD")
    return tmp_path


def authors_state() -> "OrderedDict[str, torch.Tensor]":
    """Recipe weights by the authors' names, with a small effect: gross changes of colour are not accepted."""
    state = OrderedDict(released_state("iniknet"))
    state["sum.weight"] *= 0.1
    state["sum.bias"] *= 0.1
    return state


def publish(monkeypatch: pytest.MonkeyPatch, folder: Path, server: Loopback, trained_on: str) -> None:
    body = saved(authors_state())
    server.serve("/INIKNet.pth", body)
    registry = folder / "own.toml"
    digest = hashlib.sha256(body).hexdigest()
    registry.write_text(ENTRY.format(url=server.url, digest=digest, trained_on=trained_on))
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(registry))


def reproduce(root: Path, *arguments: object) -> Answer:
    return defocusctl(
        "reproduce", "iniknet-table-2", "--root", root, "-d", "realdof", "--weights", "mirror",
        "--no-lpips", "--device", "cpu", *arguments,
    )  # fmt: skip


@torch.inference_mode()
def expected_psnr(root: Path) -> float:
    """As the authors' script does it: BGR, cropped to multiples of 32, the output clipped."""
    state = from_upstream("iniknet", authors_state())
    network = NETWORKS["iniknet"].from_state(state).eval()
    network.load_state_dict(state)
    values = []
    for path in sorted((root / "RealDOF" / "source").iterdir()):
        blurred, sharp = (
            cv2.imread(str(root / "RealDOF" / side / path.name))[:32, :32].astype(np.float32) / 255
            for side in ("source", "target")
        )
        image = network(torch.from_numpy(blurred).permute(2, 0, 1)[None]).image[0].permute(1, 2, 0)
        values.append(peak_signal_noise_ratio(sharp, image.clamp(0, 1).numpy(), data_range=1.0))
    return float(np.mean(values))


@pytest.mark.slow
def test_measured_stands_beside_published_and_the_exit_code_says_whether_they_agree(root: Path) -> None:
    answer = reproduce(root, "--allow-partial", "--json", "--out", root / "kept")
    assert answer.code == ExitCode.EXPECTATION
    assert "differ from iniknet-table-2 by more than 0.02 dB" in answer.err
    figures = {(f["method"], f["metric"]): f for f in json.loads(answer.out)}
    psnr = figures["iniknet/mirror", "psnr"]
    assert psnr["published"] == 25.231
    assert psnr["measured"] == pytest.approx(expected_psnr(root), abs=1e-3)
    assert psnr["difference"] == psnr["measured"] - 25.231
    assert (root / "kept" / "realdof-dpdd" / "summary.json").exists()

    again = reproduce(root, "--allow-partial", "--out", root / "kept", "--resume", "--tolerance", 100)
    assert again.code == ExitCode.OK, again.err
    words = [line.split() for line in again.out.splitlines()]
    shown = next(line for line in words if "iniknet/mirror" in line and "PSNR" in line)
    numbers = ("25.231", f"{psnr['measured']:.4f}", f"{psnr['difference']:+.4f}")
    assert all(number in shown for number in numbers)
    assert "every PSNR agrees with iniknet-table-2 within 100 dB" in again.out


def test_a_set_that_is_not_whole_is_refused_before_anything_is_fetched(root: Path, server: Loopback) -> None:
    answer = reproduce(root)
    assert answer.code == ExitCode.DATA
    assert f"{PAIRS} images, but RealDOF has 50" in answer.err
    assert server.requests == []


def test_figures_are_of_the_training_data_of_the_weights(
    monkeypatch: pytest.MonkeyPatch, root: Path, server: Loopback
) -> None:
    publish(monkeypatch, root, server, "my own photos")
    answer = reproduce(root, "--allow-partial")
    assert answer.code == ExitCode.WEIGHTS
    assert "no set of the table is for the training data of these weights" in answer.err


def test_what_there_is_not_is_said_with_what_there_is(root: Path) -> None:
    none = defocusctl("reproduce", "iniknet-table-9", "--root", root)
    assert none.code == ExitCode.USAGE
    assert ", ".join(paper_tables()) in none.err
    other = defocusctl("reproduce", "nrknet-table-2", "--root", root, "-d", "dpdd")
    assert other.code == ExitCode.USAGE
    assert "it has lfdof, rtf" in other.err


def test_the_tables_that_compare_a_network_with_others() -> None:
    tables = {
        name: [(part.dataset, part.trained_on) for part in parts] for name, parts in paper_tables().items()
    }
    assert tables == {
        "iniknet-table-1": [("dpdd", "DPDD"), ("lfdof", "LFDOF")],
        "iniknet-table-2": [("realdof", "DPDD"), ("realdof", "LFDOF"), ("rtf", "DPDD"), ("rtf", "LFDOF")],
        "nrknet-table-1": [("dpdd", "DPDD"), ("realdof", "DPDD"), ("rtf", "DPDD")],
        "nrknet-table-2": [("lfdof", "LFDOF"), ("rtf", "LFDOF")],
    }
