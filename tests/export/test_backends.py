"""``deblur`` with other backends than PyTorch: the same photos, the same guards."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from defocusctl.cli.options import Backend
from defocusctl.errors import ExitCode
from defocusctl.export.graph import PhotoGraph, write_onnx
from defocusctl.models.blocks import padded
from defocusctl.models.prediction import Network, Prediction
from defocusctl.photo import Photo
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import BACKENDS, RestoreSettings
from defocusctl.weights.checkpoint import load_checkpoint
from tests.cli.command import defocusctl, photo_file, small_network, textured
from tests.export.conftest import Graphs

pytestmark = pytest.mark.slow

OTHERS = ("onnxruntime", "openvino")


def test_the_backends_on_the_command_line_are_those_there_are() -> None:
    assert get_args(Backend) == BACKENDS


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_every_backend_restores_the_same(graphs: Graphs, backend: str, model: str) -> None:
    checkpoint = load_checkpoint(graphs.weights[model])
    pixels = textured(75, 110).astype(np.float32) / 255
    chosen = {"device": "cpu", "precision": "fp32", "tile": 80, "overlap": 16}
    graph = graphs.onnx[model]
    theirs = Restorer(checkpoint.model, RestoreSettings(**chosen, backend=backend), graph).restore(
        [Photo.of_pixels(pixels, 1.0)], keep_coefficients=True
    )[0]
    ours = Restorer(checkpoint.model, RestoreSettings(**chosen)).restore(
        [Photo.of_pixels(pixels, 1.0)], keep_coefficients=True
    )[0]
    assert (theirs.report.backend, theirs.report.precision) == (backend, "fp32")
    assert theirs.report.tiles == ours.report.tiles > 1
    np.testing.assert_allclose(theirs.pixels, ours.pixels, rtol=0, atol=1e-5)
    assert theirs.coefficients is not None
    assert ours.coefficients is not None
    assert theirs.coefficients.keys() == ours.coefficients.keys()
    for name, maps in ours.coefficients.items():
        np.testing.assert_allclose(theirs.coefficients[name], maps, rtol=0, atol=2e-3)


class Halved(Network):
    """Pads to multiples of 32 itself, as networks with features at half size do."""

    name: ClassVar[str] = "halved"
    coefficient_names = ("mean",)
    multiple = 32
    default_overlap = 8
    bytes_per_pixel = 100

    def forward(self, x: Tensor) -> Prediction:
        height, width = x.shape[-2:]
        mean = avg_pool2d(padded(x, 32), 2)
        twice = mean.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return Prediction(
            x - 0.5 * twice[..., :height, :width], {"mean": mean[..., : height // 2, : width // 2]}
        )


@pytest.mark.parametrize(("height", "width"), [(20, 32), (40, 33), (100, 150)])
def test_tiles_are_what_the_network_needs(tmp_path: Path, height: int, width: int) -> None:
    """Graphs take no other tiles, and the network's padding would make shifted ones differ."""
    network, path = Halved(), tmp_path / "halved.onnx"
    write_onnx(PhotoGraph(network, coefficients=True, precision="fp32", batch=1), {}, 18, path)
    photo = Photo.of_pixels(textured(height, width), 255.0)
    settings = RestoreSettings(device="cpu", precision="fp32", tile=64)
    theirs, ours, whole = (
        Restorer(network, each, path).restore([photo], keep_coefficients=True)[0]
        for each in (replace(settings, backend="onnxruntime"), settings, replace(settings, tile=0))
    )
    for other in (ours, whole):
        assert np.abs(theirs.pixels.astype(int) - other.pixels).max() <= 1
        assert theirs.coefficients is not None
        assert other.coefficients is not None
        np.testing.assert_allclose(theirs.coefficients["mean"], other.coefficients["mean"], rtol=0, atol=1e-3)


def test_deblur_uses_the_graph_of_the_cache(graphs: Graphs, home: Path) -> None:
    before = graphs.onnx["nrknet"].stat().st_mtime_ns
    photo = photo_file(home / "photo.png")
    chosen = ("-m", "nrknet", "--weights", graphs.weights["nrknet"])
    answer = defocusctl(
        "deblur", photo, *chosen, "--backend", "onnxruntime", "--json", "--maps-dir", home / "maps"
    )
    assert answer.code == ExitCode.OK, answer.err
    assert json.loads(answer.out)["backend"] == "onnxruntime"
    assert any((home / "maps").iterdir())
    assert graphs.onnx["nrknet"].stat().st_mtime_ns == before
    assert defocusctl("deblur", photo, *chosen, "--precision", "fp32", "-o", home / "ours.png").code == 0
    theirs, ours = (np.asarray(Image.open(home / name), int) for name in ("photo_deblurred.png", "ours.png"))
    assert np.abs(theirs - ours).max() <= 1


def test_graphs_run_on_the_cpu_in_float32(home: Path) -> None:
    """Which is said before a graph is made, even before weights are looked for."""
    photo = photo_file(home / "photo.png")
    chosen = ("-m", "nrknet", "--weights", "nowhere.safetensors", "--backend", "onnxruntime")
    for option in (("--precision", "bf16"), ("--device", "cuda")):
        answer = defocusctl("deblur", photo, *chosen, *option)
        assert answer.code == ExitCode.DEVICE
        assert "runs only on the CPU and in fp32: leave out --device and --precision" in answer.err


@pytest.mark.parametrize(("backend", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_the_extra_is_named_where_it_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch, backend: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    photo = photo_file(home / "photo.png")
    answer = defocusctl(
        "deblur", photo, "-m", "nrknet", "--weights", "nowhere.safetensors", "--backend", backend
    )
    assert answer.code == ExitCode.DEVICE
    assert f"{backend} is not installed: run: pip install 'defocusctl[{extra}]'" in answer.err


def greedy_graph(path: Path) -> Path:
    """A graph that answers with its input, and of more than 64 x 64 pixels asks for 16 TiB first."""
    nodes = [
        helper.make_node("Shape", ["photo"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["lengths"], to=TensorProto.FLOAT),
        helper.make_node("ReduceProd", ["lengths"], ["count"], keepdims=0),
        helper.make_node("Constant", [], ["most"], value_float=3.0 * 64 * 64),
        helper.make_node("Greater", ["count", "most"], ["large"]),
        helper.make_node("Cast", ["large"], ["one_or_none"], to=TensorProto.INT64),
        helper.make_node("Constant", [], ["huge"], value_ints=[1 << 42]),
        helper.make_node("Mul", ["one_or_none", "huge"], ["asked"]),
        helper.make_node("Constant", [], ["one"], value_ints=[1]),
        helper.make_node("Add", ["asked", "one"], ["length"]),
        helper.make_node("Expand", ["count", "length"], ["many"]),
        helper.make_node("ReduceMin", ["many"], ["least"], keepdims=0),
        helper.make_node("Sub", ["least", "count"], ["zero"]),
        helper.make_node("Add", ["photo", "zero"], ["restored"]),
    ]
    shape = ["batch", 3, "height", "width"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("photo", "restored")]
    graph = helper.make_graph(nodes, "greedy", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_tiles_are_halved_until_they_fit(tmp_path: Path) -> None:
    settings = RestoreSettings(tile=160, overlap=8, backend="onnxruntime")
    restorer = Restorer(small_network("iniknet"), settings, greedy_graph(tmp_path / "greedy.onnx"))
    photo = textured(68, 168)  # 100 x 200 with its context
    first = restorer.restore([Photo.of_pixels(photo, 255.0)])[0]
    assert first.report.warnings == ("cpu ran out of memory with tiles of 128 pixels, went on with 64",)
    assert np.array_equal(first.pixels, photo)
