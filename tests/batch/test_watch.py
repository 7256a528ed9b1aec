"""``batch --watch`` and ``--report`` as a user runs them, with files that other programs are writing."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defocusctl.batch import watch
from defocusctl.batch.manifest import FILE, REPORT
from defocusctl.errors import ExitCode
from defocusctl.system.json_lines import read_json_lines
from tests.batch.recorded import sha256
from tests.cli.command import Answer, defocusctl, photo_file, small_weights
from tests.reports.test_gallery import rows

pytestmark = pytest.mark.slow

LONG = 280.0  # seconds, below the limit of a test; only a failing one waits for so long


class Meanwhile:
    """Does things beside the command, each after the one before has shown in the manifest; then Ctrl-C."""

    def __init__(self, out: Path, do: Callable[["Meanwhile"], None]) -> None:
        self._out = out
        self._do = do
        self._problem: BaseException | None = None

    def command(self, *arguments: object) -> Answer:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            answer = defocusctl(*arguments)
        finally:
            thread.join(LONG)
        if self._problem is not None:
            raise self._problem
        return answer

    def _run(self) -> None:
        try:
            self._do(self)
        except BaseException as problem:
            self._problem = problem
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def wait_for(self, name: str, *statuses: str) -> dict[str, Any]:
        """The last line of the manifest about a photo, once there are lines with those statuses."""
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            lines = [line for line in read_json_lines(self._out / FILE) if line["input"] == name]
            if [line["status"] for line in lines] == list(statuses):
                return lines[-1]
            time.sleep(0.05)
        raise AssertionError(f"{name}: {list(statuses)} did not come")


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files have to rest for a moment only, so none may be seen before it is whole."""
    monkeypatch.setattr(watch, "SETTLED", 0.3)


def appear(path: Path, content: bytes) -> None:
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(content)
    hidden.replace(path)


@pytest.mark.usefixtures("_soon")
def test_photos_are_done_as_they_arrive(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = small_weights(home, "iniknet")
    folder = home / "in"
    out = folder / "out"
    folder.mkdir()
    there = photo_file(folder / "there.png")
    os.utime(there, (1e9, 1e9))
    content = photo_file(home / "content.png", 40, 56).read_bytes()
    small = photo_file(home / "small.png", 32, 32).read_bytes()

    def others(meanwhile: Meanwhile) -> None:
        meanwhile.wait_for("there.png", "done")
        with monkeypatch.context() as patch, (folder / "slow.png").open("wb", buffering=0) as file:
            patch.setattr(watch, "SETTLED", LONG)
            for place in range(0, len(content), -(-len(content) // 8)):
                file.write(content[place : place + -(-len(content) // 8)])
                time.sleep(0.1)
        appear(folder / "cut.png", content[: len(content) // 2])
        assert meanwhile.wait_for("slow.png", "done")["sha256"] == sha256(folder / "slow.png")
        assert "damaged" in meanwhile.wait_for("cut.png", "failed")["error"]
        appear(folder / "cut.png", content)
        meanwhile.wait_for("cut.png", "failed", "done")
        before = sha256(out / "there.png")
        appear(there, small)
        assert list(meanwhile.wait_for("there.png", "done", "done")["files"].values()) != [before]
        appear(folder / "own.png", (out / "slow.png").read_bytes())
        meanwhile.wait_for("own.png", "skipped")

    drawn = ("--compare-to", folder / "compared", "--maps-data")
    arguments = ("batch", folder, out, "--weights", weights, *drawn, "--report")
    answer = Meanwhile(out, others).command(*arguments, "--watch", "--json")
    assert answer.code == 0, answer.err
    assert [line.split(":")[0] for line in answer.err.splitlines()] == [
        "error",  # of the photo that was cut short
        "finishing the photos in flight; Ctrl-C again abandons them",
    ]
    events = [json.loads(line) for line in answer.out.splitlines()]
    finished = next(event for event in events if event["event"] == "finished")
    assert (finished["done"], finished["failed"], finished["skipped"], finished["left"]) == (4, 0, 1, 0)
    assert events[0] == {"event": "watching", "folders": [str(folder)]}
    names = {line["input"] for line in read_json_lines(out / FILE)}
    assert names == {"there.png", "slow.png", "cut.png", "own.png"}  # no comparison and no result
    page = Path(events[-1]["page"])
    assert page == out / REPORT / "index.html"
    shown = rows(page)
    assert {name for name in names if shown[name].get("radius")} == names - {"own.png"}
    assert shown["cut.png"]["error"] is None

    again = defocusctl(*arguments, "--json")
    assert again.code == 0
    planned = next(json.loads(line) for line in again.out.splitlines() if '"planned"' in line)
    assert (planned["to_do"], planned["done_before"]) == (0, 4)
    assert rows(page) == shown


@pytest.mark.usefixtures("_soon")
def test_a_file_of_somebody_else_is_not_replaced(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    out = home / "out"
    (home / "in").mkdir()
    out.mkdir()
    (out / "a.png").write_bytes(b"mine")

    content = photo_file(home / "content.png").read_bytes()

    def others(meanwhile: Meanwhile) -> None:
        appear(home / "in/a.png", content)
        assert "exists already" in meanwhile.wait_for("a.png", "failed")["error"]
        appear(home / "in/a.png", content + b"changed")
        assert "exists already" in meanwhile.wait_for("a.png", "failed", "failed")["error"]

    answer = Meanwhile(out, others).command("batch", home / "in", out, "--weights", weights, "--watch")
    assert answer.code == 7
    assert (out / "a.png").read_bytes() == b"mine"
    answer = defocusctl("batch", home / "in", out, "--weights", weights)
    assert answer.code == ExitCode.OUTPUT
    assert (out / "a.png").read_bytes() == b"mine"


@pytest.mark.usefixtures("_soon")
def test_too_many_failures_end_it(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    (home / "in").mkdir()
    (home / "in/broken.png").write_bytes(b"no photo")
    answer = defocusctl("batch", home / "in", home / "out", "--weights", weights, "--watch", "--fail-fast")
    assert answer.code == 7
    assert "stopped after 1 failures" in answer.err


def test_what_does_not_go_together(home: Path) -> None:
    photo_file(home / "a.png")
    for inputs, options, problem in (
        ([home / "a.png"], ["--watch"], "folders only"),
        ([home], ["--watch", "--from", home / "a.png"], "folders only"),
        ([home], ["--watch", "--dry-run"], "--dry-run does nothing"),
        ([home], ["--report", "--dry-run"], "--dry-run does nothing"),
    ):
        answer = defocusctl("batch", *inputs, home / "out", *options)
        assert answer.code == 2
        assert problem in answer.err
    assert not (home / "out").exists()


def test_a_report_of_failures_too(home: Path) -> None:
    weights = small_weights(home, "iniknet")
    (home / "in").mkdir()
    photo_file(home / "in/a.png")
    (home / "in/b.png").write_bytes(b"no photo")
    answer = defocusctl("batch", home / "in", home / "out", "--weights", weights, "--report")
    assert answer.code == 7
    assert f"report: {home / 'out' / REPORT / 'index.html'}" in answer.err
    found = rows(home / "out" / REPORT / "index.html")
    assert {name: row["status"] for name, row in found.items()} == {"a.png": "done", "b.png": "failed"}
    assert found["a.png"]["before"]
