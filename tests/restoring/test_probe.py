"""How a network is computed fastest: measured once per machine and network, on CPUs and for ``auto`` only."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from defocusctl.errors import DeviceError
from defocusctl.models.fast_layers import nnpack_helps
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.restoring import backends
from defocusctl.restoring.backends import MEASURED, SWITCH, Way, fastest_way
from defocusctl.restoring.engines import LAYOUTS, TorchEngine
from tests.cli.command import small_network, textured

CPU = torch.device("cpu")


@pytest.fixture
def measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Way]:
    """Every way that is measured, in order; NCHW takes half the time. The processor has AVX-512."""
    monkeypatch.delenv(SWITCH)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    ways: list[Way] = []

    def seconds(network: object, device: torch.device, way: Way) -> float:
        ways.append(way)
        return 0.5 if way.layout == "nchw" else 1.0

    monkeypatch.setattr(backends, "_seconds", seconds)
    return ways


def test_the_fastest_is_remembered_by_network(measured: list[Way]) -> None:
    network = small_network("iniknet")
    way = fastest_way(network, CPU, "auto")
    assert way.layout == "nchw"
    assert {each.layout for each in measured} == set(MEASURED)
    count = len(measured)
    assert fastest_way(network, CPU, "auto") == way
    assert len(measured) == count
    fastest_way(INIKNet(INIKNetConfig(width=8)), CPU, "auto")
    fastest_way(small_network("nrknet"), CPU, "auto")
    assert len(measured) == 3 * count


def test_a_small_gain_changes_nothing(measured: list[Way], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "MARGIN", 0.4)
    assert fastest_way(small_network("iniknet"), CPU, "auto").layout == "channels_last"


def test_what_is_chosen_is_not_measured(measured: list[Way], monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network("iniknet")
    assert fastest_way(network, CPU, "fp32") == Way("fp32", "channels_last")
    assert fastest_way(network, torch.device("mps"), "auto") == Way("fp32", "nchw")
    with pytest.raises(DeviceError):
        fastest_way(network, CPU, "fp16")
    monkeypatch.setenv(SWITCH, "off")
    assert fastest_way(network, CPU, "auto").layout == "channels_last"
    assert measured == []


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_nnpack_is_the_choice_with_avx2(
    measured: list[Way], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(backends, "choose_precision", lambda *_: "fp32")
    monkeypatch.setattr(torch, "_nnpack_available", lambda: True)
    assert fastest_way(small_network("nrknet"), CPU, precision) == Way("fp32", "nnpack")
    monkeypatch.setattr(torch, "_nnpack_available", lambda: False)
    assert fastest_way(small_network("nrknet"), CPU, "fp32") == Way("fp32", "channels_last")
    assert measured == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}', '{"x": ["fp64", "nchw"]}', '{"x": ["fp32"]}'])
def test_a_damaged_file_is_measured_again(measured: list[Way], home: Path, content: str) -> None:
    file = home.parent / "home" / "cache" / "fastest.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert fastest_way(small_network("iniknet"), CPU, "auto").layout == "nchw"
    assert [way[1] for way in json.loads(file.read_text()).values()] == ["nchw"]


def test_without_a_cache_it_is_measured_every_time(measured: list[Way], home: Path) -> None:
    (home.parent / "home").mkdir()
    (home.parent / "home" / "cache").write_text("a file in its place")
    assert fastest_way(small_network("iniknet"), CPU, "auto").layout == "nchw"
    count = len(measured)
    assert fastest_way(small_network("iniknet"), CPU, "auto").layout == "nchw"
    assert len(measured) == 2 * count


@pytest.mark.slow
def test_the_real_measurement_chooses_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH)
    assert fastest_way(small_network("iniknet"), CPU, "auto").layout in LAYOUTS


@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
@pytest.mark.parametrize("layout", ["nchw", "nnpack"])
def test_all_layouts_give_the_same_photo(name: str, layout: str) -> None:
    network = small_network(name)
    if layout == "nnpack" and not nnpack_helps(network):
        pytest.skip("this PyTorch or processor is without NNPACK")
    tile = textured(48, 64).transpose(2, 0, 1)[None].astype("float32") / 255
    tiles = np.concatenate([tile, tile[:, :, ::-1]])
    image, expected = (
        TorchEngine(deepcopy(network), CPU, "fp32", each).predict(tiles)[0]
        for each in (layout, "channels_last")
    )
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-5)
