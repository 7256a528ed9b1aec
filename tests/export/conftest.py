"""Small networks, exported once for all tests here: the export of a graph takes seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from defocusctl.export.run import graph_file
from defocusctl.weights.resolve import resolve_weights
from tests.cli.command import Answer, defocusctl, photo_file, small_weights
from tests.machine import make_fresh_machine


class Graphs(NamedTuple):
    """The machine's home, the small weights by model, their ONNX files there, and how the first was made."""

    home: Path
    weights: dict[str, Path]
    onnx: dict[str, Path]
    answer: Answer


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """NRKNet's graph by ``export``, INIKNet's by ``deblur`` with a backend that needs it."""
    home = tmp_path_factory.mktemp("graphs")
    with pytest.MonkeyPatch.context() as patch:
        make_fresh_machine(patch, home)
        weights = {model: small_weights(home, model) for model in ("iniknet", "nrknet")}
        onnx = {
            model: graph_file(resolve_weights(model, str(path), offline=True))
            for model, path in weights.items()
        }
        onnx["nrknet"].parent.mkdir(parents=True)
        chosen = ("--weights", weights["nrknet"], "-o", onnx["nrknet"], "--coefficients", "--json")
        answer = defocusctl("export", "-m", "nrknet", *chosen)
        assert answer.code == 0, answer.err
        photo = photo_file(home / "first.png")
        first = defocusctl(
            "deblur", photo, "-m", "iniknet", "--weights", weights["iniknet"], "--backend", "onnxruntime"
        )
        assert first.code == 0, first.err
    return Graphs(home, weights, onnx, answer)


@pytest.fixture
def home(graphs: Graphs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A working folder on the machine of ``graphs``, without a network."""
    make_fresh_machine(monkeypatch, graphs.home)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
