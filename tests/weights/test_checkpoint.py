"""Files -> networks and back: our safetensors, the authors' pickles, and what is refused."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import safetensors.torch
import torch

from defocusctl.errors import OutputError, WeightsError
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.models.upstream_keys import from_upstream
from defocusctl.training.recipe import read_recipe
from defocusctl.training.state import FILE, TrainingState
from defocusctl.weights.cache import converted_file
from defocusctl.weights.checkpoint import load_checkpoint, save_checkpoint
from defocusctl.weights.checksums import Checksum, checked_metadata
from defocusctl.weights.download import ensure_file
from defocusctl.weights.metadata import WeightsMetadata
from defocusctl.weights.registry import WeightsEntry, load_registry
from tests.golden_weights import KEYS, released_state
from tests.loopback import serving
from tests.machine import make_fresh_machine
from tests.training.tiny import tiny_network, write_data

TINY: dict[str, Network] = {
    "iniknet": INIKNet(INIKNetConfig(width=4, blocks_per_stage=1, atoms=3, kernel_sizes=3, atom_width=8)),
    "nrknet": NRKNet(NRKNetConfig(width=4, atoms=5)),
}


def tiny_release(model: str) -> dict[str, torch.Tensor]:
    """The tiny network's tensors under the authors' names."""
    keys = json.loads((KEYS / f"{model}_keys.json").read_text())
    names = {key: name for key in keys for name in from_upstream(model, {key: torch.empty(0)})}
    tensors = TINY[model].state_dict()
    return {key: tensors[name] for key, name in names.items() if name in tensors}


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path)


def metadata_of(network: Network) -> WeightsMetadata:
    return WeightsMetadata.of_network(network, source="a test", licence="MIT", trained_on="nothing")


def saved(path: Path, model: str = "iniknet", dtype: torch.dtype = torch.float32) -> Path:
    save_checkpoint(path, TINY[model], metadata_of(TINY[model]), dtype=dtype)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_saved_is_loaded(tmp_path: Path, model: str, dtype: torch.dtype) -> None:
    checkpoint = load_checkpoint(saved(tmp_path / "net.safetensors", model, dtype), model_name=model)
    assert checkpoint.metadata == metadata_of(TINY[model])
    assert not checkpoint.model.training
    assert checkpoint.model.config == TINY[model].config
    for key, tensor in TINY[model].state_dict().items():
        loaded = checkpoint.model.state_dict()[key]
        assert loaded.dtype == tensor.dtype
        torch.testing.assert_close(loaded, tensor.to(dtype).to(tensor.dtype), rtol=0, atol=0)


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    full = saved(tmp_path / "full.safetensors").stat().st_size
    half = saved(tmp_path / "half.safetensors", dtype=torch.float16).stat().st_size
    assert half < 0.75 * full


def test_other_programs_can_read_our_files(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors")
    assert safetensors.torch.load_file(path).keys() == TINY["iniknet"].state_dict().keys()


def test_saving_where_nothing_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        saved(tmp_path / "missing" / "net.safetensors")
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(OutputError, match="not an ordinary file"):
        saved(tmp_path / "taken.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "prefix"), [("iniknet", "module."), ("nrknet", "")])
def test_a_release_of_full_size_is_recognised(tmp_path: Path, model: str, prefix: str) -> None:
    released = released_state(model)
    path = tmp_path / "release.pth"
    torch.save({prefix + key: tensor for key, tensor in released.items()}, path)
    checkpoint = load_checkpoint(path, model_name=model)
    checkpoint.model.reverse_colours()
    for key, tensor in from_upstream(model, released).items():
        torch.testing.assert_close(checkpoint.model.state_dict()[key], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_release_is_converted_once(tmp_path: Path, model: str, prefix: str) -> None:
    path = tmp_path / "release.pth"
    torch.save({prefix + key: tensor for key, tensor in tiny_release(model).items()}, path)
    checkpoint = load_checkpoint(path)
    assert checkpoint.model.config == TINY[model].config
    assert checkpoint.metadata.digest == str(Checksum.of_file(path, "sha256"))

    converted = converted_file(Checksum.of_file(path, "sha256"))
    again = load_checkpoint(converted)
    assert again.metadata == checkpoint.metadata
    again.model.reverse_colours()
    for key, tensor in TINY[model].state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[key], tensor, rtol=0, atol=0)
    made = converted.stat().st_mtime_ns
    assert load_checkpoint(path).metadata == checkpoint.metadata
    assert converted.stat().st_mtime_ns == made


def test_a_registered_checkpoint_brings_its_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "renamed.pth"
    torch.save(tiny_release("iniknet"), path)
    digest = Checksum.of_file(path, "git-blob")
    registry = tmp_path / "own.toml"
    registry.write_text(
        f"""
[[weights]]
model = "iniknet"
name = "mine"
configuration = {{ width = 4, blocks_per_stage = 1, atoms = 3, kernel_sizes = 3, atom_width = 8 }}
sources = ["https://example.org/net.pth"]
digest = "{digest}"
licence = "CC0"
trained_on = "my photos"
channel_order = "RGB"
"""
    )
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(registry))
    metadata = load_checkpoint(path).metadata
    assert (metadata.licence, metadata.trained_on) == ("CC0", "my photos")
    assert (metadata.source, metadata.digest) == ("https://example.org/net.pth", str(digest))
    assert load_checkpoint(converted_file(digest)).metadata == metadata

    converted_file(digest).unlink()
    registry.write_text(registry.read_text().replace("atoms = 3", "atoms = 12"))
    assert "not the one of iniknet/mine" in complaint(path)


def register(monkeypatch: pytest.MonkeyPatch, registry: Path, digest: str, *sources: str) -> WeightsEntry:
    """The user's entry iniknet/mine."""
    registry.write_text(
        f"""
[[weights]]
model = "iniknet"
name = "mine"
configuration = "from shapes"
sources = {json.dumps(sources)}
digest = "{digest}"
licence = "CC0"
trained_on = "my photos"
channel_order = "RGB"
"""
    )
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(registry))
    return load_registry().find("iniknet", "mine")


def test_of_a_registered_checkpoint_that_nobody_fetched_all_sources_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "release.pth"
    torch.save(tiny_release("iniknet"), path)
    sources = ("https://example.org/net.pth", "https://example.com/net.pth")
    register(monkeypatch, tmp_path / "own.toml", str(Checksum.of_file(path, "sha256")), *sources)
    assert load_checkpoint(path).metadata.source == " or ".join(sources)


def test_a_conversion_names_the_source_that_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "release.pth"
    torch.save(tiny_release("iniknet"), path)
    digest = Checksum.of_file(path, "sha256")
    with serving() as server:
        server.serve("/mirror.pth", path.read_bytes())
        sources = (f"{server.url}/gone.pth", f"{server.url}/mirror.pth")
        entry = register(monkeypatch, tmp_path / "own.toml", str(digest), *sources)
        assert load_checkpoint(ensure_file(entry, offline=False)).metadata.source == sources[1]
    assert load_checkpoint(converted_file(digest)).metadata.source == sources[1]


def test_of_a_prefix_the_conversion_has_the_whole_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "release.pth"
    torch.save(tiny_release("iniknet"), path)
    whole = Checksum.of_file(path, "sha256")
    prefix = f"sha256-prefix:{whole.hex[:8]}"
    register(monkeypatch, tmp_path / "own.toml", prefix, "https://example.org/net.pth")
    metadata = load_checkpoint(path).metadata
    assert (metadata.licence, metadata.digest) == ("CC0", str(whole))
    assert list(converted_file(whole).parent.iterdir()) == [converted_file(whole)]


def test_a_damaged_conversion_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "release.pth"
    torch.save(tiny_release("iniknet"), path)
    load_checkpoint(path)
    converted = converted_file(Checksum.of_file(path, "sha256"))
    whole = converted.read_bytes()
    converted.write_bytes(whole[:1000])
    load_checkpoint(path)
    assert converted.read_bytes() == whole


def test_a_cache_that_cannot_be_written_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "release.pth"
    torch.save(tiny_release("iniknet"), path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEFOCUSCTL_CACHE", str(tmp_path / "file"))
    assert load_checkpoint(path).metadata.model == "iniknet"


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "params", "params_ema"])
def test_a_nested_state_dict_is_found(tmp_path: Path, wrapper: str) -> None:
    path = tmp_path / "nested.pth"
    torch.save({wrapper: tiny_release("iniknet"), "epoch": 7}, path)
    assert load_checkpoint(path).metadata.model == "iniknet"


def test_of_a_training_run_the_weights_are_pointed_to(tmp_path: Path) -> None:
    recipe = read_recipe(write_data(tmp_path, "iniknet"))
    TrainingState(recipe, tiny_network("iniknet"), torch.device("cpu")).save(tmp_path)
    message = complaint(tmp_path / FILE)
    assert "state of a training run" in message
    assert f"give {tmp_path / 'weights.safetensors'}" in message


class Payload:
    """Unpickling this makes a file: what a pickle of a stranger could do with anything."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_carries_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    marker = tmp_path / "ran"
    torch.save({**tiny_release("iniknet"), "extra": Payload(marker)}, path)
    assert "carries code" in complaint(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors", "nrknet")
    with pytest.raises(WeightsError, match="holds weights of nrknet, not iniknet: use the model nrknet"):
        load_checkpoint(path, model_name="iniknet")


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: {**state, "surprise.weight": torch.zeros(1)}, "unknown tensor 'surprise.weight'"),
        (without("sum.bias"), "filtering.sum.bias is nothing instead of [3]"),
        (without("scale_select.weight"), "lacks the tensors of iniknet"),
        (lambda state: {**state, "sum.bias": torch.zeros(4)}, "filtering.sum.bias is [4] instead of [3]"),
        (lambda state: {**state, "scale_select.weight": torch.tensor(1.0)}, "lacks the tensors of iniknet"),
        (lambda state: {**state, "sum.bias": torch.full((3,), float("nan"))}, "not finite"),
        (lambda _: {"conv.weight": torch.zeros(1)}, "is not a checkpoint of iniknet or nrknet"),
        (lambda state: {**state, "epoch": 3}, "holds no state dict"),
        (lambda state: list(state.values()), "holds no state dict"),
        (lambda _: torch.zeros(3), "holds no state dict"),
    ],
)
def test_a_changed_release_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    path = tmp_path / "changed.pth"
    torch.save(change(tiny_release("iniknet")), path)
    assert expected in complaint(path)
    assert not converted_file(Checksum.of_file(path, "sha256")).exists()


@contextmanager
def little_memory(more: int) -> Iterator[None]:
    """At most ``more`` bytes beyond what this process has now."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (
            {"unet.enter1.0.weight": (2000, 3, 3, 3)},
            "mu_predictor.weight is [3, 4, 1, 1] instead of [3, 2000, 1, 1]",
        ),
        ({"omega_predictor.weight": (50_000, 1, 1, 1)}, "sizes far beyond the released ones"),
        ({"mu_predictor.weight": (2000, 1, 1, 1)}, "sizes far beyond the released ones"),
        ({"omega_predictor.weight": (10**9, 0, 1, 1)}, "omega_predictor.weight is empty"),
    ],
)
def test_a_small_file_that_claims_a_large_network_is_refused_cheaply(
    tmp_path: Path, claims: dict[str, tuple[int, ...]], expected: str
) -> None:
    path = saved(tmp_path / "net.safetensors")
    metadata = checked_metadata(path.read_bytes())
    state = {**TINY["iniknet"].state_dict(), **{key: torch.zeros(shape) for key, shape in claims.items()}}
    safetensors.torch.save_file(state, path, metadata)
    with little_memory(200_000_000):
        assert expected in complaint(path)


@pytest.mark.parametrize(
    "tensor", [torch.zeros(1).expand(10**12), torch.zeros(3).to_sparse(), torch.empty(10**12, device="meta")]
)
def test_a_tensor_that_is_larger_than_its_file_is_refused_cheaply(
    tmp_path: Path, tensor: torch.Tensor
) -> None:
    path = tmp_path / "expanded.pth"
    torch.save({**tiny_release("iniknet"), "sum.bias": tensor}, path)
    with little_memory(200_000_000):
        assert "declares more numbers for sum.bias than it holds" in complaint(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"just some text, longer than a header\n" * 9, bytes(64)]
)
def test_what_is_no_weights_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(content)
    complaint(path)


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.pth", "folder.pth", "folder.safetensors"])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    if name.startswith("folder"):
        (tmp_path / name).mkdir()
    assert "cannot read the weights" in complaint(tmp_path / name)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    assert ".safetensors, .pth, .pt" in complaint(tmp_path / "net.onnx")


def test_damage_anywhere_in_our_file_is_seen(tmp_path: Path) -> None:
    path = saved(tmp_path / "net.safetensors")
    whole = path.read_bytes()
    step = len(whole) // 150
    for position in range(0, len(whole), step):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        complaint(path)
        path.write_bytes(whole[:position])
        complaint(path)


@pytest.mark.slow
def test_damage_anywhere_in_a_pickle_never_escapes(tmp_path: Path) -> None:
    path = tmp_path / "release.pth"
    torch.save({"GCM.kernels": torch.arange(12.0)}, path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 5):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :])
        complaint(path)


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
@torch.inference_mode()
def test_weights_for_bgr_images_restore_rgb_ones(tmp_path: Path, model: str) -> None:
    """An image and its reverse are restored alike by weights marked RGB and the same ones marked BGR."""
    path = saved(tmp_path / "net.safetensors", model)
    rgb = load_checkpoint(path).model
    metadata = {**checked_metadata(path.read_bytes()), "channel_order": "BGR"}
    safetensors.torch.save_file(TINY[model].state_dict(), path, metadata)
    turned = load_checkpoint(path)
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(2))
    expected = rgb(image.flip(1))
    actual = turned.model(image)
    torch.testing.assert_close(actual.image.flip(1), expected.image)
    for name, maps in expected.coefficients.items():
        torch.testing.assert_close(actual.coefficients[name], maps)
    save_checkpoint(path, turned.model, turned.metadata, dtype=torch.float32)
    torch.testing.assert_close(load_checkpoint(path).model(image).image, actual.image, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "unet"}, "holds weights of 'unet': known networks: iniknet, nrknet"),
        ({"model": "nrknet"}, "lacks the tensors of nrknet"),
        ({"channel_order": "GBR"}, "are invalid"),
        ({"configuration": "[]"}, "are invalid"),
        ({"configuration": "{"}, "lacks the metadata"),
        ({"configuration": json.dumps({"width": 5})}, "says width = 5, but its tensors say 4"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, str], expected: str) -> None:
    path = saved(tmp_path / "net.safetensors")
    metadata = {**checked_metadata(path.read_bytes()), **change}
    safetensors.torch.save_file(TINY["iniknet"].state_dict(), path, metadata)
    assert expected in complaint(path)


def test_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    safetensors.torch.save_file(TINY["iniknet"].state_dict(), path)
    assert "lacks the metadata" in complaint(path)
