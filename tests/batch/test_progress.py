"""Counts, throughput and the time left."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from defocusctl.batch import progress as progress_module
from defocusctl.batch.jobs import Job
from defocusctl.batch.manifest import Entry, Status
from defocusctl.batch.progress import Progress
from defocusctl.deblurrer.outputs import Outputs

DONE = Entry(
    input="a",
    status=Status.DONE,
    source="a",
    size=300,
    sha256="",
    files={},
    settings={},
    weights={},
    report={"megapixels": 2.0},
    seconds={},
    warnings=(),
    error=None,
    exit_code=0,
    software="",
    finished="",
)


def test_the_time_left_goes_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 100.0
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: moment))
    progress = Progress({"a": 300, "b": 100, "c": 600}, before=7)
    assert progress.seconds_left is None
    moment = 130.0
    progress.add(DONE)
    assert progress.seconds_left == pytest.approx(70)
    assert progress.megapixels_per_second == pytest.approx(2 / 30)
    progress.add(replace(DONE, input="b", status=Status.FAILED, error="broken", report={}))
    assert progress.seconds_left == pytest.approx(45)
    assert progress.as_json() == {
        "ended": 2,
        "total": 3,
        "failed": 1,
        "megapixels_per_second": pytest.approx(2 / 30, abs=1e-4),
        "seconds_left": 45.0,
    }
    progress.add(replace(DONE, input="c", status=Status.SKIPPED, report={}))
    assert (progress.ended, progress.seconds_left) == (3, 0.0)
    assert progress.failures == {"b": "broken"}


def test_photos_that_arrive_are_counted_and_one_that_succeeds_later_is_not_a_failure() -> None:
    progress = Progress({"a": 300}, before=0)
    progress.add(replace(DONE, status=Status.FAILED, error="cut short", report={}))
    progress.expect(Job("a", Path("a"), Path("out/a"), Outputs(), 400))
    assert (progress.total, progress.ended, progress.failures) == (2, 1, {"a": "cut short"})
    progress.add(DONE)
    assert (progress.total, progress.ended, progress.done, progress.failures) == (2, 2, 1, {})
