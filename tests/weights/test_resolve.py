"""``--weights`` and its default: which file is used, and what the user is told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from defocusctl.errors import ExitCode, WeightsError
from defocusctl.system import paths
from defocusctl.weights.cache import cached_file, converted_file
from defocusctl.weights.checksums import Checksum, with_content_checksum
from defocusctl.weights.registry import Registry, WeightsEntry
from defocusctl.weights.resolve import resolve_weights
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine

WITHOUT_CHECKSUM = b"\x13\0\0\0\0\0\0\0" + b'{"__metadata__":{}}' + b" "


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path)
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "iniknet.safetensors").write_bytes(b"bundled weights")
    monkeypatch.setattr(paths, "bundled_dir", lambda: tmp_path / "bundled")


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        server.serve("/net.pth", b"the authors' weights")
        yield server


@pytest.fixture
def registry(server: Loopback, tmp_path: Path) -> Registry:
    authors = entry_of("dpdd", f"{server.url}/net.pth", b"the authors' weights", tmp_path)
    bundled = entry_of("bundled", "bundled", b"bundled weights", tmp_path)
    return registry_of(authors, bundled)


def sources_of(server: Loopback) -> tuple[str, str]:
    """A source that has nothing, and a mirror."""
    return f"{server.url}/gone.pth", f"{server.url}/net.pth"


def entry_of(name: str, source: str, content: bytes, tmp_path: Path) -> WeightsEntry:
    sample = tmp_path / "sample"
    sample.write_bytes(content)
    return WeightsEntry(
        model="iniknet",
        name=name,
        configuration="from shapes",
        sources=[source],
        digest=Checksum.of_file(sample, "git-blob"),
        licence="MIT",
        trained_on="photos",
        channel_order="BGR",
    )


def registry_of(*entries: WeightsEntry) -> Registry:
    """Their names in this order are the default."""
    names = [entry.name for entry in entries]
    return Registry.model_validate({"weights": entries, "default-order": {"iniknet": names}})


def test_the_default_fetches_the_authors_checkpoint(registry: Registry) -> None:
    weights = resolve_weights("iniknet", None, offline=False, registry=registry)
    assert (weights.name, weights.note) == ("dpdd", None)
    assert weights.path == cached_file(registry.entries[0])
    assert weights.checksum == registry.entries[0].checksum
    assert weights.source == str(registry.entries[0].sources[0])


@pytest.mark.parametrize("variable", [None, "HF_HUB_OFFLINE"])
def test_offline_the_default_falls_back_and_says_so(
    registry: Registry, server: Loopback, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, "1")
    weights = resolve_weights("iniknet", None, offline=variable is None, registry=registry)
    assert (weights.name, weights.source) == ("bundled", "bundled")
    assert weights.path.read_bytes() == b"bundled weights"
    assert weights.note is not None
    assert weights.note.startswith("using the weights iniknet/bundled, because")
    assert "iniknet/dpdd are not here and the network is off" in weights.note
    assert server.requests == []


def test_a_failed_download_falls_back_and_says_why(registry: Registry, server: Loopback) -> None:
    server.files.clear()
    weights = resolve_weights("iniknet", None, offline=False, registry=registry)
    assert weights.name == "bundled"
    assert "HTTP status 404" in (weights.note or "")


def test_offline_the_cached_checkpoint_is_used(registry: Registry) -> None:
    online = resolve_weights("iniknet", None, offline=False, registry=registry)
    assert resolve_weights("iniknet", None, offline=True, registry=registry) == online


def test_a_conversion_is_used_in_place_of_the_original(registry: Registry, server: Loopback) -> None:
    converted = converted_file(registry.entries[0].checksum)
    converted.parent.mkdir(parents=True)
    converted.write_bytes(with_content_checksum(WITHOUT_CHECKSUM))
    weights = resolve_weights("iniknet", None, offline=False, registry=registry)
    assert (weights.path, weights.checksum) == (converted, registry.entries[0].checksum)
    assert server.requests == []


def test_a_damaged_conversion_gives_way_to_the_original(registry: Registry) -> None:
    converted = converted_file(registry.entries[0].checksum)
    converted.parent.mkdir(parents=True)
    converted.write_bytes(with_content_checksum(WITHOUT_CHECKSUM)[:-1])
    weights = resolve_weights("iniknet", "dpdd", offline=False, registry=registry)
    assert weights.path == cached_file(registry.entries[0])


def test_the_source_that_delivered_is_named(registry: Registry, server: Loopback) -> None:
    entry = registry.entries[0].model_copy(update={"sources": sources_of(server)})
    mirrored = registry_of(entry)
    for offline in (False, True):
        weights = resolve_weights("iniknet", "dpdd", offline=offline, registry=mirrored)
        assert weights.source == f"{server.url}/net.pth"
    converted = converted_file(entry.checksum)
    converted.parent.mkdir(parents=True)
    converted.write_bytes(with_content_checksum(WITHOUT_CHECKSUM))
    assert resolve_weights("iniknet", None, offline=True, registry=mirrored) == replace(
        weights, path=converted
    )


def test_where_nobody_knows_which_source_delivered_all_are_named(
    registry: Registry, server: Loopback
) -> None:
    entry = registry.entries[0].model_copy(update={"sources": sources_of(server)})
    cached_file(entry).parent.mkdir(parents=True)
    cached_file(entry).write_bytes(b"the authors' weights")
    mirrored = registry_of(entry)
    weights = resolve_weights("iniknet", None, offline=True, registry=mirrored)
    assert weights.source == " or ".join(sources_of(server))


def test_a_named_entry_never_falls_back(registry: Registry) -> None:
    with pytest.raises(WeightsError, match="network is off"):
        resolve_weights("iniknet", "dpdd", offline=True, registry=registry)


@pytest.mark.parametrize("spec", ["bundled", "iniknet/bundled"])
def test_an_entry_is_named_with_or_without_its_model(registry: Registry, spec: str) -> None:
    weights = resolve_weights("iniknet", spec, offline=True, registry=registry)
    assert (weights.name, weights.note) == ("bundled", None)


def test_damaged_bundled_weights_are_not_used(registry: Registry) -> None:
    (paths.bundled_dir() / "iniknet.safetensors").write_bytes(b"bundled weight!")
    with pytest.raises(WeightsError, match=r"damaged.*reinstall"):
        resolve_weights("iniknet", "bundled", offline=True, registry=registry)
    with pytest.raises(WeightsError, match=r"network is off.*damaged"):
        resolve_weights("iniknet", None, offline=True, registry=registry)


def test_a_path_is_taken_as_it_is(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")
    weights = resolve_weights("iniknet", str(path), offline=True, registry=registry)
    assert (weights.path, weights.name, weights.source) == (path, "mine.pth", str(path))
    assert weights.checksum == Checksum.of_file(path, "sha256")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("dppd", "known for iniknet: dpdd, bundled"),
        ("nowhere.pth", "cannot read the weights nowhere.pth"),
        (".", "cannot read the weights"),
        ("hf://owner/repo/net.pth", "is not hf://owner/repo/file@revision"),
        ("hf://owner/repo/net.pth@v1", "not in the cache and the network is off"),
    ],
)
def test_what_cannot_be_used_is_said(registry: Registry, spec: str, expected: str) -> None:
    with pytest.raises(WeightsError) as caught:
        resolve_weights("iniknet", spec, offline=True, registry=registry)
    assert expected in str(caught.value)


CHILD = """
import sys
from defocusctl.weights.resolve import resolve_weights
for offline in (False, True):
    heard = []
    spec = "hf://owner/repo/deep/net.pth@v1"
    weights = resolve_weights("iniknet", spec, offline=offline, on_progress=lambda *told: heard.append(told))
    print(weights.path.read_text(), weights.name, heard)
"""


@pytest.mark.slow
def test_a_hub_that_hangs_up_is_one_clear_error_at_once(tmp_path: Path, server: Loopback) -> None:
    """The hub's own client would ask five times and more, with pauses."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    server.hangs_up = True
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "defocusctl",
            "deblur",
            str(photo),
            "--weights",
            "hf://a/b/c.safetensors@main",
            "--quiet",
        ],
        env={**os.environ, "HF_ENDPOINT": server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == ExitCode.WEIGHTS
    (line,) = child.stderr.splitlines()
    assert line == "error: hf://a/b/c.safetensors@main: the hub cannot be reached: fetch it while online"
    assert [path.endswith("/c.safetensors") for _, path, _ in server.requests].count(True) == 1


@pytest.mark.slow
def test_a_file_on_the_hub_is_fetched_once_and_found_offline(server: Loopback) -> None:
    server.serve("/owner/repo/resolve/v1/deep/net.pth", b"from-the-hub")
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "HF_ENDPOINT": server.url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.splitlines() == [
        "from-the-hub deep/net.pth [(12, 12)]",
        "from-the-hub deep/net.pth []",
    ]
    assert child.stderr == ""
    assert [method for method, path, _ in server.requests if "net.pth" in path].count("GET") == 1
    assert (paths.cache_dir() / "hub").is_dir()
