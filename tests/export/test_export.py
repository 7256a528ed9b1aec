"""``defocusctl export``: the files, what they say of themselves, and what becomes of those that are wrong."""

import json
import re
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from defocusctl.cli.export import Format
from defocusctl.errors import ExitCode, OutputError
from defocusctl.export.comparison import PHOTO, compare
from defocusctl.export.graph import DESCRIPTION, lower_opset
from defocusctl.export.run import SUFFIXES
from defocusctl.models.catalogue import NETWORKS
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.metadata import WeightsMetadata
from tests.cli.command import defocusctl, photo_file, small_network
from tests.export.conftest import Graphs

pytestmark = pytest.mark.slow

MODELS = ("iniknet", "nrknet")


def properties(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def photo_pixels(height: int, width: int) -> np.ndarray:
    """A part of a real photo as a graph takes it."""
    with Image.open(PHOTO) as photo:
        part = np.asarray(photo)[20 : 20 + height, 30 : 30 + width]
    return np.ascontiguousarray(part.transpose(2, 0, 1)[None], dtype=np.float32) / 255


@pytest.mark.parametrize("model", MODELS)
def test_an_onnx_file_says_what_it_is(graphs: Graphs, model: str) -> None:
    texts = properties(graphs.onnx[model])
    assert texts["model"] == model
    assert texts["weights_hash"] == str(Checksum.of_file(graphs.weights[model], "sha256"))
    assert (texts["licence"], texts["channel_order"], texts["opset"]) == ("MIT", "RGB", "18")
    assert texts["value_range"].startswith("0 to 1")
    assert "multiples of 16" in texts["padding"]
    assert texts["software"].startswith("defocusctl ")
    opsets = {entry.domain: entry.version for entry in onnx.load(graphs.onnx[model]).opset_import}
    assert opsets[""] == 18


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, all names are valid Unicode")
def test_the_name_of_weights_need_not_be_unicode(graphs: Graphs, home: Path) -> None:
    weights, target = home / "w\udce9.safetensors", home / "named.onnx"
    weights.write_bytes(graphs.weights["nrknet"].read_bytes())
    answer = defocusctl("export", "--model", "nrknet", "--weights", weights, "-o", target)
    assert answer.code == ExitCode.OK, answer.err
    assert "w\\udce9" in properties(target)["weights"]


@pytest.mark.parametrize("model", MODELS)
def test_the_graph_takes_any_size_and_what_export_writes_any_batch(graphs: Graphs, model: str) -> None:
    session = onnxruntime.InferenceSession(graphs.onnx[model], providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [
        "restored",
        *NETWORKS[model].coefficient_names,
    ]
    network = small_network(model)
    for height, width in ((17, 61), (48, 64), (75, 50)):
        photo = photo_pixels(height, width)
        padded = np.pad(photo, ((0, 0), (0, 0), (0, -height % 16), (0, -width % 16)), mode="reflect")
        with torch.inference_mode():
            expected = network(torch.from_numpy(padded)).image.numpy()[..., :height, :width]
        if model == "nrknet":  # the other is the cache's, which takes one
            photo = np.concatenate([photo, photo[:, ::-1]])
        (restored,) = session.run(["restored"], {"photo": photo})
        assert restored.shape == (len(photo), 3, height, width)
        np.testing.assert_allclose(restored[:1], expected, rtol=0, atol=1e-5)


def test_the_report_states_the_largest_difference(graphs: Graphs) -> None:
    report = json.loads(graphs.answer.out)
    comparison = report["comparison"]
    assert report["output"] == str(graphs.onnx["nrknet"])
    assert report["bytes"] == graphs.onnx["nrknet"].stat().st_size
    assert 0 <= comparison["pixels"] <= comparison["limit"] == 1e-4
    assert comparison["coefficients"] <= 1e-4
    assert {"1x3x97x131", "1x3x17x33", "2x3x51x64"} <= set(comparison["sizes"])


@pytest.mark.parametrize(("model", "batch"), [("iniknet", 1), ("nrknet", 2)])
def test_a_program_of_torch_export(graphs: Graphs, model: str, batch: int) -> None:
    extra = {DESCRIPTION: ""}
    program = torch.export.load(graphs.programs[model], extra_files=extra)
    assert json.loads(extra[DESCRIPTION])["model"] == model
    photo = photo_pixels(40, 51)
    photos = np.concatenate([photo, photo[:, ::-1]])[:batch]
    restored = program.module()(torch.from_numpy(photos))[0].numpy()
    assert restored.shape == (batch, 3, 40, 51)
    padded = np.pad(photo, ((0, 0), (0, 0), (0, 8), (0, 13)), mode="reflect")
    with torch.inference_mode():
        expected = small_network(model)(torch.from_numpy(padded)).image.numpy()
    np.testing.assert_allclose(restored[:1], expected[..., :40, :51], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("fp16", torch.float16)])
def test_safetensors_are_weights_for_this_program(
    graphs: Graphs, home: Path, precision: str, dtype: torch.dtype
) -> None:
    target = home / "again.safetensors"
    chosen = ("--weights", graphs.weights["nrknet"], "--format", "safetensors", "--precision", precision)
    answer = defocusctl("export", "-m", "nrknet", *chosen, "-o", target, "--json")
    assert answer.code == ExitCode.OK, answer.err
    assert (json.loads(answer.out)["comparison"]["pixels"] == 0) == (dtype is torch.float32)
    again, before = (load_checkpoint(path) for path in (target, graphs.weights["nrknet"]))
    assert again.metadata == before.metadata
    for key, tensor in before.model.state_dict().items():
        stored = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
        assert torch.equal(again.model.state_dict()[key], stored)


def test_what_differs_from_the_network_is_not_written(home: Path) -> None:
    """Numbers that lose much as float16."""
    network = small_network("nrknet")
    with torch.no_grad():
        network.get_parameter("unet.enter1.0.weight").mul_(3e4)
    weights = home / "coarse.safetensors"
    metadata = WeightsMetadata.of_network(network, source="a test", licence="MIT", trained_on="nothing")
    save_checkpoint(weights, network, metadata, dtype=torch.float32)
    chosen = ("--weights", weights, "--format", "safetensors", "--precision", "fp16")
    answer = defocusctl("export", "-m", "nrknet", *chosen, "-o", home / "wrong.safetensors")
    assert answer.code == ExitCode.OUTPUT, answer.err
    assert re.search(
        r"differs from the network by [\d.]+, and 0.002 is allowed: nothing was written", answer.err
    )
    assert list(home.iterdir()) == [weights]


def test_what_is_no_number_differs_from_the_network(graphs: Graphs) -> None:
    """As in a graph in float16 whose numbers overflow."""
    checkpoint = load_checkpoint(graphs.weights["nrknet"])
    with pytest.raises(OutputError, match=r"differs from the network by nan, and 0\.002 is allowed"):
        compare(
            lambda photo: [np.full_like(photo, np.nan)],
            checkpoint,
            [PHOTO],
            "fp16",
            coefficients=False,
            batch=1,
        )


@pytest.mark.parametrize("model", MODELS)
def test_opset_17_gives_the_same(graphs: Graphs, model: str) -> None:
    lowered = onnx.load(graphs.onnx[model])
    lower_opset(lowered)
    photo = photo_pixels(51, 70)
    of_18, of_17 = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"photo": photo})
        for content in (graphs.onnx[model].read_bytes(), lowered.SerializeToString())
    )
    for expected, actual in zip(of_18, of_17, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_photos_of_ones_own_are_compared_on(graphs: Graphs, home: Path) -> None:
    photos = photo_file(home / "a.png", 40, 50), photo_file(home / "b.png", 20, 20)
    checks = [argument for photo in photos for argument in ("--check", photo)]
    chosen = ("--weights", graphs.weights["nrknet"], "--format", "safetensors", "--json")
    answer = defocusctl("export", "-m", "nrknet", *chosen, "-o", home / "x.safetensors", *checks)
    assert set(json.loads(answer.out)["comparison"]["sizes"]) == {
        "1x3x40x50", "1x3x17x33", "2x3x40x50", "1x3x20x20", "1x3x17x20", "2x3x20x20",
    }  # fmt: skip


def refused(home: Path, graphs: Graphs, *arguments: object) -> Any:
    """What ``export`` answers to options that do not fit; nothing is written."""
    before = set(home.rglob("*"))
    answer = defocusctl("export", "-m", "nrknet", "--weights", graphs.weights["nrknet"], *arguments)
    assert set(home.rglob("*")) == before
    (line,) = answer.err.splitlines()
    return answer.code, line


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], ExitCode.USAGE, "give either -o FILE or --push OWNER/NAME"),
        (["-o", "a.onnx", "--push", "a/b"], ExitCode.USAGE, "give either"),
        (["-o", "a.onnx", "--private"], ExitCode.USAGE, "--private is for --push"),
        (["-o", "a.onnx", "--opset", "11"], ExitCode.USAGE, "use 17 to 21"),
        (["-o", "a.pt2", "--format", "torch-export", "--opset", "18"], ExitCode.USAGE, "leave out --opset"),
        (["-o", "a.dtmodel", "--format", "dtmodel", "--opset", "18"], ExitCode.USAGE, "for ONNX files only"),
        (["-o", "a.dtmodel", "--format", "dtmodel", "--coefficients"], ExitCode.USAGE, "with one output"),
        (["-o", "a.onnx", "--precision", "bf16"], ExitCode.USAGE, "use fp32, fp16"),
        (["-o", "a.safetensors", "--format", "safetensors", "--coefficients"], ExitCode.USAGE, "leave out"),
        (["-o", "a.png"], ExitCode.OUTPUT, "does not end in .onnx"),
        (["-o", "nowhere/a.onnx"], ExitCode.OUTPUT, "create the folder first"),
        (["--push", "me"], ExitCode.USAGE, "is not owner/name"),
        (["--push", "me/it", "--format", "onnx"], ExitCode.USAGE, "use --format safetensors"),
    ],
)
def test_options_that_do_not_fit(
    graphs: Graphs, home: Path, arguments: list[str], code: int, said: str
) -> None:
    answered, line = refused(home, graphs, *arguments)
    assert (answered, said in line) == (code, True), line


def test_nothing_is_overwritten_without_force(graphs: Graphs, home: Path) -> None:
    target = home / "there.safetensors"
    target.write_bytes(b"mine")
    chosen = ("-o", target, "--format", "safetensors")
    assert refused(home, graphs, *chosen)[0] == ExitCode.OUTPUT
    assert target.read_bytes() == b"mine"
    assert (
        defocusctl("export", "-m", "nrknet", "--weights", graphs.weights["nrknet"], *chosen, "--force").code
        == 0
    )
    assert load_checkpoint(target).metadata.model == "nrknet"


def test_the_extra_is_named_where_it_is_missing(
    graphs: Graphs, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    code, line = refused(home, graphs, "-o", "a.onnx")
    assert code == ExitCode.DEVICE
    assert line == "error: onnxscript is not installed: run: pip install 'defocusctl[onnx]'"


def test_the_formats_on_the_command_line_are_those_there_are() -> None:
    assert list(get_args(Format)) == list(SUFFIXES)
