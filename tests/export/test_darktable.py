"""Packs for darktable: its own validator takes them, and its way of cutting tiles gives our pixels."""

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from defocusctl import Deblurrer, __version__
from defocusctl.errors import ExitCode
from tests.cli.command import defocusctl, small_weights

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[2] / "samples" / "circuit-board.png"
TILE, OVERLAP = 512, 64


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported pack of a network with features at half size, beside its weights and what it contains."""
    model, precision = "nrknet", "fp16"
    folder = tmp_path_factory.mktemp("darktable")
    path = folder / f"{model}-{precision}.dtmodel"
    weights = small_weights(folder, model, feature_scale=2)
    chosen = ("--weights", weights, "--precision", precision, "--format", "dtmodel", "--json")
    answer = defocusctl("export", "-m", model, *chosen, "-o", path)
    assert answer.code == ExitCode.OK, answer.err
    description = json.loads(answer.out)["description"]
    assert (description["opset"], description["batch"]) == ("17", "1")
    assert {each.name for each in folder.iterdir()} == {path.name, weights.name}
    with ZipFile(path) as archive:
        archive.extractall(folder / "output")
    return path


def unpacked(pack: Path) -> Path:
    (folder,) = (pack.parent / "output").iterdir()
    return folder


def test_a_pack_says_what_it_is(pack: Path) -> None:
    folder = unpacked(pack)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.onnx"}
    manifest = json.loads((folder / "config.json").read_text())
    model, precision = pack.stem.split("-")
    assert (
        manifest["id"]
        == folder.name
        == f"denoise-defocus-{model}-{model}-safetensors" + ("" if precision == "fp32" else "-fp16")
    )
    assert (manifest["task"], manifest["backend"], manifest["tiling"]) == ("denoise", "onnx", True)
    assert manifest["version"] == __version__
    assert max(manifest["attributes"]["input_sizes"]) <= TILE
    assert manifest["model_card"]["license"] == "MIT"
    assert "Quan" in manifest["model_card"]["author"]


def test_the_graph_has_the_names_that_darktable_sets(pack: Path) -> None:
    graph = onnx.load(unpacked(pack) / "model.onnx")
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] <= 17
    (photo,), (restored,) = graph.graph.input, graph.graph.output
    for value in (photo, restored):
        sides = value.type.tensor_type.shape.dim
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert [sides[0].dim_value, sides[1].dim_value] == [1, 3]
    assert [side.dim_param for side in photo.type.tensor_type.shape.dim[2:]] == ["height", "width"]


def test_the_validator_of_darktable_accepts_it(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate = pytest.importorskip("dt_ai_sdk.validate", reason="no darktable-ai-sdk here")
    from dt_ai_sdk.config import ModelConfig

    manifest = json.loads((unpacked(pack) / "config.json").read_text())
    described = {key: manifest[key] for key in ("id", "name", "description", "task")}
    validate.run_validation(ModelConfig(**described, root_dir=pack.parent))
    assert "PASS" in capsys.readouterr().out


def as_darktable_does(graph: Path, photo: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) in [0, 1] through squares of TILE pixels, of which OVERLAP on each side are dropped.

    Sides are fixed when the graph is loaded, and what lies outside the photo is its mirror image.
    """
    options = onnxruntime.SessionOptions()
    for name, value in (("batch", 1), ("height", TILE), ("width", TILE)):
        options.add_free_dimension_override_by_name(name, value)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    height, width, _ = photo.shape
    step = TILE - 2 * OVERLAP
    result = np.empty_like(photo)
    for top in range(0, height, step):
        for left in range(0, width, step):
            rows, columns = (
                mirrored(np.arange(start - OVERLAP, start - OVERLAP + TILE), length)
                for start, length in ((top, height), (left, width))
            )
            tile = photo[rows[:, None], columns].transpose(2, 0, 1)[None]
            (restored,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(tile)})
            inside = restored[0, :, OVERLAP : OVERLAP + step, OVERLAP : OVERLAP + step].transpose(1, 2, 0)
            part = result[top : top + step, left : left + step]
            part[:] = inside[: part.shape[0], : part.shape[1]]
    return result.clip(0, 1)


def mirrored(index: np.ndarray, length: int) -> np.ndarray:
    index = np.abs(index)
    return np.where(index < length, index, 2 * (length - 1) - index).clip(0, length - 1)


def test_its_tiles_give_our_pixels(pack: Path) -> None:
    with Image.open(SAMPLE) as sample:
        photo = np.asarray(sample.convert("RGB"), np.float32)[:420, :900] / 255
    model, _ = pack.stem.split("-")
    weights = pack.parent / f"{model}.safetensors"
    ours = Deblurrer.from_pretrained(model, weights, scale="1", precision="fp32", tile=0)
    expected = ours.deblur(photo).image
    inside = (slice(OVERLAP, -OVERLAP), slice(OVERLAP, -OVERLAP))
    theirs = as_darktable_does(unpacked(pack) / "model.onnx", photo)
    assert np.abs(theirs - expected)[inside].max() <= 0.5 / 255
    assert np.abs(expected - photo).max() > 2 / 255
