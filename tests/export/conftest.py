"""Small networks, exported once for all tests here: the export of a graph takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from torch.export import ExportedProgram

from defocusctl.export.graph import PhotoGraph, export_program
from defocusctl.export.run import ExportSettings, export_network, graph_file
from defocusctl.weights.checkpoint import load_checkpoint
from defocusctl.weights.resolve import resolve_weights
from tests.cli.command import Answer, defocusctl, photo_file, small_weights
from tests.machine import make_fresh_machine


class Graphs(NamedTuple):
    """The machine's home, the small weights by model, their ONNX files there, and how NRKNet's was made.

    ``programs`` are those for ``torch.export.load``.
    """

    home: Path
    weights: dict[str, Path]
    onnx: dict[str, Path]
    programs: dict[str, Path]
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
        programs = {model: home / f"{model}.pt2" for model in weights}
        chosen = ("-m", "nrknet", "--weights", weights["nrknet"], "--coefficients", "--json")
        with traced_once():
            answer = defocusctl("export", *chosen, "-o", onnx["nrknet"])
            assert answer.code == 0, answer.err
            again = defocusctl("export", *chosen, "-o", programs["nrknet"], "--format", "torch-export")
            assert again.code == 0, again.err
        photo = photo_file(home / "first.png")
        with traced_once():
            first = defocusctl(
                "deblur", photo, "-m", "iniknet", "--weights", weights["iniknet"], "--backend", "onnxruntime"
            )
            assert first.code == 0, first.err
            export_network(
                load_checkpoint(weights["iniknet"]),
                resolve_weights("iniknet", str(weights["iniknet"]), offline=True),
                programs["iniknet"],
                ExportSettings("torch-export", coefficients=True, batch=1),
            )
    return Graphs(home, weights, onnx, programs, answer)


@contextmanager
def traced_once() -> Iterator[None]:
    """For several exports of one network: only the first traces it, which takes longest."""
    traced: list[ExportedProgram] = []

    def program_of(graph: PhotoGraph) -> ExportedProgram:
        if not traced:
            traced.append(export_program(graph))
        return traced[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("defocusctl.export.graph.export_program", program_of)
        yield


@pytest.fixture
def home(graphs: Graphs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A working folder on the machine of ``graphs``, without a network."""
    make_fresh_machine(monkeypatch, graphs.home)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
