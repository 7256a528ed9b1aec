"""Downloads through the real clients, against a server on this machine that misbehaves on request."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from defocusctl.errors import WeightsError
from defocusctl.system import paths
from defocusctl.weights import download
from defocusctl.weights.cache import cached_file, remove_cached, source_of
from defocusctl.weights.checksums import Checksum
from defocusctl.weights.download import ensure_file
from defocusctl.weights.registry import WeightsEntry
from tests.loopback import Loopback, dead_url, serving
from tests.machine import make_fresh_machine

BODY = random.Random(1).randbytes(200_000)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path)
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.01)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving() as server:
        server.serve("/net.pth", BODY)
        yield server


class Origin(NamedTuple):
    """Where ``BODY`` comes from: as an entry names it, the path at the server, and the name of a dead one."""

    source: str
    path: str
    dead: str


@pytest.fixture(params=["url", "hub"])
def origin(server: Loopback, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Origin:
    """The server as an ordinary one, and as the hub of the hub's client, in this process and its children."""
    if request.param == "url":
        return Origin(f"{server.url}/net.pth", "/net.pth", dead_url())
    server.serve("/owner/repo/resolve/v1/net.pth", BODY)
    point_hub_at(server.url, monkeypatch)
    return Origin(
        "hf://owner/repo/net.pth@v1", "/owner/repo/resolve/v1/net.pth", "hf://owner/repo/net.pth@v1"
    )


def point_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client reads its server's name once, when it is imported."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def entry_from(*sources: str, checksum: Checksum | None = None) -> WeightsEntry:
    return WeightsEntry(
        model="iniknet",
        name="test",
        configuration="from shapes",
        sources=sources,
        digest=checksum or Checksum("sha256", hashlib.sha256(BODY).hexdigest()),
        licence="MIT",
        trained_on="nothing",
        channel_order="BGR",
    )


def fetch(entry: WeightsEntry) -> Path:
    return ensure_file(entry, offline=False)


def leftovers(entry: WeightsEntry) -> set[str]:
    """What lies beside the target, besides the lock."""
    target = cached_file(entry)
    return {path.name.removeprefix(target.name) for path in target.parent.iterdir()} - {".lock"}


@pytest.mark.parametrize("kind", ["sha256", "git-blob", "sha256-prefix"])
def test_a_download_is_verified_named_and_reported(origin: Origin, kind: str) -> None:
    plain = hashlib.sha256(BODY).hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()
    digits = {"sha256": plain, "git-blob": blob, "sha256-prefix": plain[:8]}[kind]
    entry = entry_from(origin.source, checksum=Checksum(kind, digits))
    heard: list[tuple[int, int | None]] = []
    path = ensure_file(entry, offline=False, on_progress=lambda done, total: heard.append((done, total)))
    assert path == cached_file(entry)
    assert path.read_bytes() == BODY
    assert heard[-1] == (len(BODY), len(BODY))
    assert heard == sorted(heard)
    assert leftovers(entry) == {"", "-source"}


def test_a_cached_file_is_not_fetched_again(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    assert fetch(entry) == fetch(entry)
    assert len(server.requests) == 1


def test_a_damaged_cached_file_is_fetched_again(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    fetch(entry).write_bytes(BODY[:-1] + b"!")
    assert fetch(entry).read_bytes() == BODY
    assert len(server.requests) == 2


def test_redirects_are_followed(server: Loopback) -> None:
    server.serve("/moved.pth", b"").redirect = f"{server.url}/net.pth"
    assert fetch(entry_from(f"{server.url}/moved.pth")).read_bytes() == BODY


def test_a_truncated_body_is_continued(server: Loopback, origin: Origin) -> None:
    server.files[origin.path].truncations = [50_000]
    heard: list[tuple[int, int | None]] = []
    entry = entry_from(origin.source)
    path = ensure_file(entry, offline=False, on_progress=lambda *told: heard.append(told))
    assert path.read_bytes() == BODY
    wanted = [wanted for method, _, wanted in server.requests if method == "GET"]
    if origin.source.startswith("http"):  # the hub's client keeps nothing of a file that is in one chunk
        assert wanted == [None, "bytes=50000-"]
        assert server.bytes_served == len(BODY)
    assert len(wanted) == 2
    assert heard == sorted(heard)
    assert heard[-1][0] == len(BODY)


def test_a_file_that_changed_in_between_starts_afresh(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    server.serve("/net.pth", bytes(len(BODY))).truncations = [50_000, 1, 1]
    with pytest.raises(WeightsError):
        fetch(entry)
    assert leftovers(entry) == {".part", ".part-version"}
    server.serve("/net.pth", BODY)
    assert fetch(entry).read_bytes() == BODY
    assert server.requests[-1][2] == "bytes=50002-"
    assert leftovers(entry) == {"", "-source"}


def test_without_a_validator_a_break_starts_afresh(server: Loopback) -> None:
    server.files["/net.pth"].etag = ""
    server.files["/net.pth"].truncations = [50_000]
    assert fetch(entry_from(f"{server.url}/net.pth")).read_bytes() == BODY
    assert [wanted for _, _, wanted in server.requests] == [None, None]


def test_a_part_that_is_too_long_starts_afresh(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    server.files["/net.pth"].truncations = [50_000, 1, 1]
    with pytest.raises(WeightsError):
        fetch(entry)
    part = cached_file(entry).with_name(f"{cached_file(entry).name}.part")
    part.write_bytes(bytes(len(BODY)))
    assert fetch(entry).read_bytes() == BODY


def test_passing_server_errors_are_waited_out(server: Loopback) -> None:
    server.files["/net.pth"].fault_statuses = [503, 429]
    assert fetch(entry_from(f"{server.url}/net.pth")).read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_lasting_server_error_is_reported(server: Loopback) -> None:
    server.files["/net.pth"].fault_statuses = [500] * 9
    with pytest.raises(WeightsError, match="HTTP status 500"):
        fetch(entry_from(f"{server.url}/net.pth"))
    assert len(server.requests) == download.ATTEMPTS


def test_a_wrong_hash_leaves_nothing_and_names_both(server: Loopback, origin: Origin) -> None:
    server.serve(origin.path, b"something else")
    entry = entry_from(origin.source)
    with pytest.raises(WeightsError) as caught:
        fetch(entry)
    assert str(entry.checksum) in str(caught.value)
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert leftovers(entry) == set()


def test_a_wrong_start_of_the_hash_leaves_nothing_and_shows_the_whole_one(server: Loopback) -> None:
    found = hashlib.sha256(BODY).hexdigest()
    wrong = ("1" if found[0] == "0" else "0") + found[1:8]
    entry = entry_from(f"{server.url}/net.pth", checksum=Checksum("sha256-prefix", wrong))
    with pytest.raises(WeightsError, match=f"the file is sha256:{found}, not sha256-prefix:{wrong}"):
        fetch(entry)
    assert leftovers(entry) == set()


def test_damage_shows_in_the_start_of_the_hash_too(server: Loopback) -> None:
    checksum = Checksum("sha256-prefix", hashlib.sha256(BODY).hexdigest()[:8])
    entry = entry_from(f"{server.url}/net.pth", checksum=checksum)
    assert checksum.hex in cached_file(entry).name
    fetch(entry).write_bytes(BODY[:-1] + b"!")
    assert fetch(entry).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_missing_file_falls_to_the_next_source(server: Loopback, origin: Origin) -> None:
    server.serve("/mirror.pth", BODY)
    del server.files[origin.path]
    entry = entry_from(origin.source, f"{server.url}/mirror.pth")
    assert fetch(entry).read_bytes() == BODY
    assert source_of(entry, cached_file(entry)) == f"{server.url}/mirror.pth"
    assert [path for _, path, _ in server.requests] == [origin.path, "/mirror.pth"]
    assert leftovers(entry) == {"", "-source"}


def test_a_dead_host_falls_to_the_next_source(
    server: Loopback, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_hub_at(dead_url().removesuffix("/nobody.pth"), monkeypatch)
    entry = entry_from(origin.dead, f"{server.url}/net.pth")
    assert fetch(entry).read_bytes() == BODY
    assert leftovers(entry) == {"", "-source"}


def test_when_all_sources_fail_each_is_named(server: Loopback) -> None:
    server.serve("/wrong.pth", b"wrong")
    sources = (f"{server.url}/gone.pth", dead_url(), f"{server.url}/wrong.pth")
    with pytest.raises(WeightsError) as caught:
        fetch(entry_from(*sources))
    for source in sources:
        assert source in caught.value.cause
    assert "HTTP status 404" in caught.value.cause
    assert "--weights PATH" in caught.value.remedy


def test_the_proxy_is_used(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    server.serve("http://weights.invalid/net.pth", BODY)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    assert fetch(entry_from("http://weights.invalid/net.pth")).read_bytes() == BODY


def test_a_proxy_that_makes_no_sense_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "carrier-pigeon://loft")
    with pytest.raises(WeightsError, match="proxy settings"):
        fetch(entry_from("http://weights.invalid/net.pth"))


@pytest.mark.parametrize("variable", [None, "HF_HUB_OFFLINE"])
def test_offline_touches_nothing(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, "1")
    with pytest.raises(WeightsError, match="iniknet/test are not here and the network is off"):
        ensure_file(entry_from(f"{server.url}/net.pth", "hf://a/b/c.pth@d"), offline=variable is None)
    assert server.requests == []


def test_offline_finds_what_is_cached(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    assert fetch(entry) == ensure_file(entry, offline=True)


def test_a_cache_that_cannot_be_made_is_one_clear_error(server: Loopback) -> None:
    paths.cache_dir().write_text("a file where the cache should be")
    with pytest.raises(WeightsError, match="DEFOCUSCTL_CACHE"):
        fetch(entry_from(f"{server.url}/net.pth"))


def test_removing_frees_everything_but_the_lock(server: Loopback) -> None:
    entry = entry_from(f"{server.url}/net.pth")
    fetch(entry)
    assert remove_cached(entry) == len(BODY) + len(str(entry.sources[0]))
    assert leftovers(entry) == set()
    assert remove_cached(entry) == 0


CHILD = """
import sys
from defocusctl.weights.download import ensure_file
from defocusctl.weights.registry import load_registry
print(ensure_file(load_registry().find("iniknet", "test"), offline=False))
"""


def child(tmp_path: Path, entry: WeightsEntry, **environment: str) -> "subprocess.Popen[str]":
    """Another process that fetches ``entry``, which it knows from the user's weights.toml."""
    registry = tmp_path / "own.toml"
    registry.write_text(
        f"""
[[weights]]
model = "{entry.model}"
name = "{entry.name}"
configuration = "from shapes"
sources = {json.dumps(entry.sources)}
digest = "{entry.checksum}"
licence = "{entry.licence}"
trained_on = "{entry.trained_on}"
channel_order = "{entry.channel_order}"
"""
    )
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={**os.environ, "DEFOCUSCTL_WEIGHTS": str(registry), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.posix
def test_a_killed_download_is_made_good(server: Loopback, origin: Origin, tmp_path: Path) -> None:
    entry = entry_from(origin.source)
    part = cached_file(entry).with_name(f"{cached_file(entry).name}.part")
    of_hub = not origin.source.startswith("http")
    going_on = server.files[origin.path].going_on = threading.Event()
    with child(tmp_path, entry) as process:
        while server.bytes_served < len(BODY) // 2 or not (of_hub or (part.exists() and part.stat().st_size)):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    going_on.set()
    assert not cached_file(entry).exists()
    kept = part.stat().st_size if part.exists() else 0
    assert fetch(entry).read_bytes() == BODY
    if not of_hub:  # newer clients of the hub begin again
        assert kept > 0
        assert server.requests[-1][2] == f"bytes={kept}-"
    assert leftovers(entry) == {"", "-source"}


@pytest.mark.slow
def test_two_processes_make_one_download(server: Loopback, origin: Origin, tmp_path: Path) -> None:
    entry = entry_from(origin.source)
    going_on = server.files[origin.path].going_on = threading.Event()
    with child(tmp_path, entry) as first, child(tmp_path, entry) as second:
        while server.bytes_served < len(BODY) // 2:  # one of them has begun
            assert first.poll() is None and second.poll() is None
            time.sleep(0.01)
        going_on.set()
        answers = [process.communicate() for process in (first, second)]
    assert answers == [(f"{cached_file(entry)}\n", "")] * 2
    assert [(method, path) for method, path, _ in server.requests].count(("GET", origin.path)) == 1
    assert server.bytes_served == len(BODY)


def test_a_file_that_the_hub_lacks_is_one_clear_error(server: Loopback, tmp_path: Path) -> None:
    entry = entry_from("hf://owner/repo/net.pth@v1")
    with child(tmp_path, entry, HF_ENDPOINT=server.url) as process:
        _, complaint = process.communicate()
    assert "WeightsError" in complaint.splitlines()[-1]
    assert "hf://owner/repo/net.pth@v1" in complaint.splitlines()[-1]
