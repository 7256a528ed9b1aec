"""``defocusctl weights``, as a user types it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from defocusctl.cli.weights import app
from defocusctl.errors import DefocusctlError, ExitCode
from defocusctl.system import paths
from defocusctl.weights.cache import converted_file, present_file
from defocusctl.weights.registry import load_registry
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine

BODY = b"weights" * 1000


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    """A server with one file, registered by the user as nrknet/mine."""
    make_fresh_machine(monkeypatch, tmp_path)
    monkeypatch.setattr(paths, "bundled_dir", lambda: tmp_path / "bundled")
    with serving() as server:
        server.serve("/net.pth", BODY)
        registry = tmp_path / "own.toml"
        registry.write_text(
            f"""
[[weights]]
model = "nrknet"
name = "mine"
configuration = "from shapes"
sources = ["{server.url}/net.pth"]
digest = "sha256:{hashlib.sha256(BODY).hexdigest()}"
licence = "CC0"
trained_on = "my photos"
channel_order = "RGB"
scores = [{{ data = "mine", psnr = 30 }}]
"""
        )
        monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(registry))
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def error_of(result: Result) -> DefocusctlError:
    assert isinstance(result.exception, DefocusctlError), result.output
    return result.exception


def mine() -> Path | None:
    return present_file(load_registry().find("nrknet", "mine"))


def test_list_shows_every_entry_and_its_state() -> None:
    result = run("list")
    assert result.exit_code == 0
    for word in ("iniknet", "dpdd", "LFDOF", "my photos", "CC0", "downloadable", "missing"):
        assert word in result.stdout
    assert "without --weights, iniknet takes dpdd, else bundled" in result.stdout.splitlines()


def test_list_as_json() -> None:
    run("fetch", "nrknet/mine")
    listed = {f"{item['model']}/{item['name']}": item for item in json.loads(run("list", "--json").stdout)}
    assert len(listed) == 9
    assert "half size" in listed["iniknet/fast"]["about"]
    assert listed["nrknet/mine"]["state"] == "cached"
    assert listed["nrknet/mine"]["size"] == len(BODY)
    assert listed["nrknet/mine"]["path"] == str(mine())
    assert listed["nrknet/mine"]["scores"] == [{"data": "mine", "psnr": 30.0, "ssim": None, "lpips": None}]
    assert listed["iniknet/dpdd"]["state"] == "downloadable"
    assert listed["iniknet/dpdd"]["digest"] == "git-blob:a8887a1faac5f5e1b0b1fefbe1b1630124ab5695"
    assert listed["iniknet/dpdd"]["path"] is None
    assert listed["iniknet/dpdd"]["default"] == 1
    assert listed["iniknet/fast"]["default"] is None


def test_alexnet_is_listed_like_the_others() -> None:
    (listed,) = json.loads(run("list", "alexnet", "--json").stdout)
    assert (listed["state"], listed["digest"]) == ("downloadable", "sha256-prefix:7be5be79")
    row = next(line for line in run("list").stdout.splitlines() if "alexnet" in line)
    for word in ("imagenet", "ImageNet", "BSD-3-Clause", "?", "downloadable"):
        assert word in row


def test_list_of_one_model() -> None:
    listed = json.loads(run("list", "iniknet", "--json").stdout)
    assert {item["model"] for item in listed} == {"iniknet"}


def test_fetch_downloads_once_and_prints_where(server: Loopback) -> None:
    for _ in range(2):
        result = run("fetch", "nrknet/mine")
        assert result.exit_code == 0
        assert result.stdout == f"nrknet/mine: {mine()}\n"
    assert len(server.requests) == 1


def test_fetch_all_leaves_out_what_only_a_metric_needs(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = (tmp_path / "own.toml").read_text()
    both = tmp_path / "packaged.toml"
    both.write_text(mine + mine.replace("nrknet", "alexnet").replace("/net.pth", "/alexnet.pth"))
    monkeypatch.setattr(paths, "packaged_registry", lambda: both)
    monkeypatch.delenv("DEFOCUSCTL_WEIGHTS")
    server.serve("/alexnet.pth", BODY)
    assert run("fetch", "--all").stdout.startswith("nrknet/mine: ")
    assert [path for _, path, _ in server.requests] == ["/net.pth"]
    assert run("fetch", "alexnet").stdout.startswith("alexnet/mine: ")


def test_fetch_of_several_tries_all(
    server: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = (tmp_path / "own.toml").read_text()
    gone = mine.replace('"mine"\nconf', '"gone"\nconf').replace("/net.pth", "/gone.pth")
    (tmp_path / "own.toml").write_text(gone + mine)
    monkeypatch.setattr(paths, "packaged_registry", lambda: tmp_path / "own.toml")
    monkeypatch.delenv("DEFOCUSCTL_WEIGHTS")
    result = run("fetch", "--all")
    error = error_of(result)
    assert error.exit_code is ExitCode.WEIGHTS
    assert "1 of 2" in str(error)
    assert "nrknet/gone" in str(error)
    assert f"nrknet/mine: {present_file(load_registry().find('nrknet', 'mine'))}" in result.stdout
    assert "gone.pth: HTTP status 404" in " ".join((result.output + capsys.readouterr().err).split())


def test_fetch_offline_is_refused(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert error_of(run("fetch", "nrknet/mine")).exit_code is ExitCode.WEIGHTS
    assert server.requests == []


@pytest.mark.parametrize("arguments", [("fetch",), ("remove",), ("fetch", "--all", "nrknet/mine")])
def test_what_to_do_must_be_clear(arguments: tuple[str, ...]) -> None:
    assert error_of(run(*arguments)).exit_code is ExitCode.USAGE


def test_an_unknown_label_lists_what_there_is() -> None:
    assert "known for nrknet: dpdd, lfdof, bundled, mine" in str(error_of(run("fetch", "nrknet/dppd")))


def test_verify_sees_damage_and_ends_with_5() -> None:
    run("fetch", "nrknet/mine")
    result = run("verify")
    assert (result.exit_code, result.stdout) == (0, f"nrknet/mine: ok {mine()}\n")
    path = mine()
    assert path is not None
    path.write_bytes(BODY[:-1])
    result = run("verify", "nrknet/mine")
    assert f"nrknet/mine: DAMAGED {path}" in result.stdout
    assert error_of(result).exit_code is ExitCode.WEIGHTS


def test_verify_looks_into_conversions() -> None:
    entry = load_registry().find("nrknet", "mine")
    converted = converted_file(entry.checksum)
    converted.parent.mkdir(parents=True)
    converted.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert run("verify", entry.label).exit_code == 0
    converted.write_bytes(b"\x02\0\0\0\0\0\0\0{")
    assert "damaged" in str(error_of(run("verify", entry.label)))


def test_verify_of_something_named_that_is_not_here_is_an_error() -> None:
    assert "defocusctl weights fetch nrknet/mine" in str(error_of(run("verify", "nrknet/mine")))


def test_remove_touches_the_cache_only(tmp_path: Path) -> None:
    bundled = tmp_path / "bundled" / "nrknet.safetensors"
    bundled.parent.mkdir()
    bundled.write_bytes(b"bundled")
    run("fetch", "nrknet/mine")
    assert run("remove", "nrknet").exit_code == 0
    assert mine() is None
    assert bundled.exists()
    run("fetch", "nrknet/mine")
    assert run("remove", "--all").stdout == "0.0 MB freed\n"
    assert mine() is None
    assert bundled.exists()


def test_remove_says_what_it_did_and_leaves_no_lock(tmp_path: Path) -> None:
    bundled = tmp_path / "bundled" / "nrknet.safetensors"
    bundled.parent.mkdir()
    bundled.write_bytes(b"bundled")
    run("fetch", "nrknet/mine")
    assert run("remove", "nrknet").stdout.splitlines() == [
        "nrknet/dpdd: not in the cache, nothing to remove",
        "nrknet/lfdof: not in the cache, nothing to remove",
        "nrknet/bundled: came with the package and cannot be removed",
        "nrknet/mine: 0.0 MB freed",
    ]
    assert [path for path in paths.cache_dir().rglob("*") if path.is_file()] == []


def test_path_of_a_model_prints_those_that_are_here(tmp_path: Path) -> None:
    assert "nrknet is not here" in str(error_of(run("path", "nrknet")))
    bundled = tmp_path / "bundled" / "nrknet.safetensors"
    bundled.parent.mkdir()
    bundled.write_bytes(b"bundled")
    run("fetch", "nrknet/mine")
    assert run("path", "nrknet").stdout == f"{bundled}\n{mine()}\n"


def test_path_prints_the_path_alone() -> None:
    run("fetch", "nrknet/mine")
    assert run("path", "nrknet/mine").stdout == f"{mine()}\n"
    assert "fetch iniknet/dpdd" in str(error_of(run("path", "iniknet/dpdd")))


def test_listing_imports_no_heavy_package() -> None:
    script = (
        "import sys; from defocusctl.cli.weights import app\n"
        "try: app(['list'])\n"
        "finally: print([m for m in ('torch', 'numpy', 'httpx', 'huggingface_hub') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert child.stdout.splitlines()[-1] == "[]"
