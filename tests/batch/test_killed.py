"""``kill -9`` at any moment: nothing is half written, and the next runs complete the tree."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from defocusctl.batch.manifest import FILE
from defocusctl.system.json_lines import read_json_lines
from tests.batch.folders import TREE, last_entries, results_in, sha256, write_photos
from tests.batch.killing import Starter
from tests.cli.command import defocusctl, small_weights

pytestmark = [pytest.mark.posix, pytest.mark.slow]

KILLS = 36
PHOTOS = (*TREE, "e.bmp", "f.webp", "g.tif", "h/i.png")
ARGUMENTS = ("batch", "in", "out", "--weights", "iniknet.safetensors", "--offline", "--quiet", "--jobs", "2")


@pytest.fixture
def starter(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    (home / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(home / "temporary"))
    write_photos(home / "in", PHOTOS)
    small_weights(home, "iniknet")
    ready = Starter()
    yield ready
    ready.close()


def test_killed_at_random_moments(starter: Starter) -> None:
    calls, code = starter.run(None, *ARGUMENTS)
    assert code == 0
    results, entries = results_in(Path("out")), last_entries(Path("out"))
    assert len(results) == len(entries) == len(PHOTOS)
    shutil.rmtree("out")
    moments = random.Random(6)
    kills = completed = 0
    while kills < KILLS or completed == 0:
        end = moments.randint(calls // 10, calls) if kills < KILLS else None
        _, code = starter.run(end, *ARGUMENTS)
        kills += code < 0
        check_nothing_is_half_done(results)
        if code == 0:
            completed += 1
            assert results_in(Path("out")) == results
            assert last_entries(Path("out")) == entries
            shutil.rmtree("out")
    assert not list(Path("temporary").iterdir())


def check_nothing_is_half_done(expected: dict[str, bytes]) -> None:
    """Every result there is is whole, and the manifest speaks of no other."""
    out = Path("out")
    if not out.exists():
        return
    for name, content in results_in(out).items():
        assert name.endswith(".part") or content == expected[name]
    for entry in read_json_lines(out / FILE):
        assert entry["status"] == "done"
        assert all(sha256(out / name) == digest for name, digest in entry["files"].items())


@pytest.mark.parametrize("state", ["reserved", "unfinished", "unrecorded", "torn"])
def test_what_a_kill_can_leave_is_put_right(home: Path, state: str) -> None:
    """The moments that a random kill seldom meets."""
    write_photos(home / "in", TREE)
    small_weights(home, "iniknet")
    assert defocusctl(*ARGUMENTS).code == 0
    out = Path("out")
    results, entries = results_in(out), last_entries(out)
    lines = (out / FILE).read_bytes().splitlines(keepends=True)
    last = json.loads(lines[-1])["input"]
    if state == "reserved":  # before anything was done
        shutil.copy(out / ".defocusctl-batch.claims", home)
        shutil.rmtree(out)
        out.mkdir()
        shutil.copy(home / ".defocusctl-batch.claims", out)
    if state == "unfinished":  # while a result was being written
        (out / FILE).write_bytes(b"".join(lines[:-1]))
        (out / last).replace((out / last).with_name(".defocusctl-0123456789abcdef.part"))
    if state == "unrecorded":  # between rename and line; damaged to see that it is replaced
        (out / FILE).write_bytes(b"".join(lines[:-1]))
        (out / last).write_bytes(b"damaged")
    if state == "torn":  # while its line was being written
        (out / FILE).write_bytes(b"".join(lines)[:-9])
    answer = defocusctl(*ARGUMENTS)
    assert answer.code == 0, answer.err
    assert results_in(out) == results
    assert last_entries(out) == entries
