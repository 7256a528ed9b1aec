"""Photos that arrive in folders: each once it is complete, again when it has changed, and nothing else."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from defocusctl.batch import watch
from defocusctl.batch.inputs import Search
from defocusctl.batch.watch import Arrivals

pytestmark = pytest.mark.slow

CONTENT = b"any bytes" * 1000
LONG = 60.0  # seconds; only a failing test waits for so long


class Observer:
    """Takes what arrives in a folder, in a thread, as an engine does."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.arrivals = Arrivals(Search(out=out), [str(folder)])
        self._came: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        for found in self.arrivals.arriving(self._stop.is_set):
            self._came.put((found.name, found.size))

    def next(self, timeout: float = LONG) -> tuple[str, int] | None:
        """Name of the photo that comes next and its size when it came; None if none comes in that time."""
        try:
            return self._came.get(timeout=timeout)
        except Empty:
            return None

    def end(self) -> None:
        self._stop.set()
        self._thread.join(LONG)
        assert not self._thread.is_alive()


@contextmanager
def observed(folder: Path, out: Path) -> Iterator[Observer]:
    observer = Observer(folder, out)
    try:
        yield observer
    finally:
        observer.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def old(path: Path, content: bytes = CONTENT) -> Path:
    """A file that was last written long ago; nobody sees it before it is whole and old."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_bytes(content)
    os.utime(hidden, (time.time() - 1000,) * 2)
    return hidden.replace(path)


class Clock:
    """Stands for the module ``time``: its seconds pass when the test says so, however busy the machine is."""

    def __init__(self) -> None:
        self.now = 0.0
        self.time_ns = time.time_ns

    def monotonic(self) -> float:
        return self.now


def test_what_grows_is_complete_when_it_has_stopped_growing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    monkeypatch.setattr(watch, "SETTLED", 700.0)  # longer than this test takes: no file here is old
    with observed(folder, tmp_path / "out") as observer:
        with (folder / "slow.jpg").open("wb", buffering=0) as file:
            for _ in range(14):  # longer than a file has to rest
                file.write(CONTENT)
                clock.now += 100.0
                assert observer.next(timeout=0.1) is None
        while (came := observer.next(timeout=0.1)) is None:
            clock.now += 100.0
        assert came == ("slow.jpg", 14 * len(CONTENT))
        old(folder / "next.jpg")
        while (came := observer.next(timeout=0.1)) is None:
            clock.now += 1.0
        assert came == ("next.jpg", len(CONTENT))


def test_what_is_moved_in_is_complete_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SCAN_EVERY", inf)  # only the system notices it
    monkeypatch.setattr(watch, "SETTLED", 100.0)
    elsewhere = old(tmp_path / "whole.png")
    tree = tmp_path / "tree/deep"
    tree.mkdir(parents=True)
    old(tree / "leaf.png")
    with observed(folder, tmp_path / "out") as observer:
        elsewhere.rename(folder / "whole.png")
        assert observer.next() == ("whole.png", len(CONTENT))
        (tmp_path / "tree").rename(folder / "tree")
        assert observer.next() == ("tree/deep/leaf.png", len(CONTENT))


def test_what_is_there_comes_first_and_not_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.jpg", "a.jpg"):
        old(folder / name)
    (folder / "fresh.jpg").write_bytes(CONTENT)
    search = Search(out=tmp_path / "out")
    with observed(folder, tmp_path / "out") as observer:
        assert [observer.next(), observer.next()] == [("a.jpg", len(CONTENT)), ("b.jpg", len(CONTENT))]
        assert observer.next() == ("fresh.jpg", len(CONTENT))
    (folder / "fresh.jpg").write_bytes(CONTENT)
    later = Arrivals(search, [str(folder)])
    found = search.find([str(folder)]).photos
    monkeypatch.setattr(watch, "SETTLED", 700.0)
    assert [photo.name for photo in later.complete(found)] == ["a.jpg", "b.jpg"]
    monkeypatch.setattr(watch, "SETTLED", 0.1)
    coming = later.arriving(lambda: False)
    assert next(coming).name == "fresh.jpg"


def test_what_changes_comes_again_but_not_while_it_is_worked_on(folder: Path, tmp_path: Path) -> None:
    photo = old(folder / "a.jpg")
    with observed(folder, tmp_path / "out") as observer:
        assert observer.next() == ("a.jpg", len(CONTENT))
        old(photo, b"other bytes")
        assert observer.next() == ("a.jpg", len(b"other bytes"))
        observer.arrivals.busy.add("a.jpg")
        old(photo, b"once more")
        old(folder / "b.jpg")
        assert observer.next() == ("b.jpg", len(CONTENT))
        observer.arrivals.busy.discard("a.jpg")
        assert observer.next() == ("a.jpg", len(b"once more"))


def test_results_hidden_files_and_other_files_do_not_come(folder: Path, tmp_path: Path) -> None:
    out = folder / "out"
    (out / "deep").mkdir(parents=True)
    (folder / "defocusctl-report").mkdir()
    with observed(folder, out) as observer:
        for name in ("out/deep/a.jpg", ".b.jpg", "c.txt", "defocusctl-report/d.jpg"):
            old(folder / name)
        for name in ("y.jpg", "z.jpg"):
            old(folder / name)
            assert observer.next() == (name, len(CONTENT))


def test_a_folder_that_goes_and_comes_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SCAN_EVERY", 1.0)
    with observed(folder, tmp_path / "out") as observer:
        old(folder / "a.jpg")
        assert observer.next() == ("a.jpg", len(CONTENT))
        shutil.rmtree(folder)
        folder.mkdir()
        old(folder / "b.jpg")  # the system sends no notice of this one
        assert observer.next() == ("b.jpg", len(CONTENT))


def test_it_ends_while_it_waits(folder: Path, tmp_path: Path) -> None:
    with observed(folder, tmp_path / "out") as observer:
        assert observer.next(timeout=0.5) is None
