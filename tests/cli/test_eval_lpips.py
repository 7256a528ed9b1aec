"""LPIPS in ``defocusctl eval``: AlexNet fetched and verified on the way, and what is said without it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import ExitCode
from defocusctl.evaluation.metrics import Lpips
from defocusctl.evaluation.protocols import PROTOCOLS
from tests.cli.command import Answer, defocusctl
from tests.cli.eval_data import make_realdof, scores
from tests.evaluation.alexnet import recipe_alexnet, register, saved
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    """A fresh machine with one pair of RealDOF, and a server that it can fetch from."""
    make_fresh_machine(monkeypatch, tmp_path)
    make_realdof(tmp_path, 1)
    with serving() as server:
        yield server


def evaluate(root: Path, out: Path, *arguments: object) -> Answer:
    return defocusctl(
        "eval", "-d", "realdof", "--root", root, "--baseline", "unsharp", "--allow-partial", "--out", out,
        *arguments,
    )  # fmt: skip


def test_alexnet_is_fetched_verified_and_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback
) -> None:
    register(monkeypatch, tmp_path, server, saved(recipe_alexnet()))
    answer = evaluate(tmp_path, tmp_path / "run")
    assert answer.code == ExitCode.OK, answer.err
    assert "no LPIPS" not in answer.err
    assert "LPIPS ↓" in answer.out
    folder = tmp_path / "RealDOF"
    pair = [
        np.asarray(Image.open(folder / side / "01.png"), np.float32) / 255 for side in ("source", "target")
    ]
    protocol = PROTOCOLS["iniknet"]
    expected = protocol.score(pair[0], pair[1], "realdof", Lpips(recipe_alexnet())).lpips
    first = scores(tmp_path / "run")[0]
    assert (first["method"], float(first["lpips"])) == ("input", pytest.approx(expected, rel=0, abs=1e-6))
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["lpips"] == Lpips.variant

    offline = evaluate(tmp_path, tmp_path / "offline", "--offline")
    assert offline.code == ExitCode.OK
    assert scores(tmp_path / "offline")[0]["lpips"] == first["lpips"]
    assert len(server.requests) == 1


def test_a_file_of_another_digest_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback
) -> None:
    body = saved(recipe_alexnet())
    register(monkeypatch, tmp_path, server, body)
    server.serve("/alexnet.pth", body[:-1] + b"!")
    answer = evaluate(tmp_path, tmp_path / "run")
    assert answer.code == ExitCode.OK
    assert "no LPIPS: LPIPS needs AlexNet" in answer.err
    assert {row["lpips"] for row in scores(tmp_path / "run")} == {"nan"}


def test_without_alexnet_a_warning_says_what_to_do(tmp_path: Path) -> None:
    answer = evaluate(tmp_path, tmp_path / "run", "--offline")
    assert answer.code == ExitCode.OK
    assert "no LPIPS: LPIPS needs AlexNet: the weights alexnet/imagenet are not here" in answer.err
    assert "run 'defocusctl weights fetch alexnet' while online" in answer.err
    rows = scores(tmp_path / "run")
    assert {row["lpips"] for row in rows} == {"nan"}
    assert all(float(row["psnr"]) > 0 for row in rows)
    assert "no LPIPS" not in evaluate(tmp_path, tmp_path / "other", "--offline", "--no-lpips").err
