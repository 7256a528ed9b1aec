"""What of a batch is done already."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from defocusctl.batch import manifest
from defocusctl.batch.jobs import BatchOptions, Job
from defocusctl.batch.manifest import FILE, RESERVATIONS, Entry, History, Status, recorded_stamp
from defocusctl.batch.resume import Judge, Reason, Verdict, changes
from defocusctl.errors import OutputError
from tests.batch.folders import make_old, replace_unseen, sha256, write_photos
from tests.batch.recorded import found_in, job_of

SETTINGS = BatchOptions("iniknet").settings("sha256:1")
Settings = dict[str, Any]


@pytest.fixture
def job(home: Path) -> Job:
    write_photos(home / "in", ["a.png"])
    write_photos(home / "out", ["a.png"], size=(20, 20))
    make_old(home)
    return job_of(found_in(Path("in"), "a.png"))


def entry_of(job: Job, status: Status = Status.DONE) -> Entry:
    return Entry(
        input=job.name,
        status=status,
        source=str(job.source),
        size=1,
        sha256=sha256(job.source),
        files={"a.png": sha256(job.target)} if status is Status.DONE else {},
        settings=SETTINGS,
        weights={},
        report={},
        seconds={},
        warnings=(),
        error=None,
        exit_code=0,
        software="defocusctl",
        finished="",
    )


def stamped(job: Job) -> Entry:
    """As this version records it: with stamps."""
    stamp, result = recorded_stamp(job.source), recorded_stamp(job.target)
    assert stamp is not None
    assert result is not None
    return replace(entry_of(job), stamp=stamp, stamps={"a.png": result})


def judged_again(job: Job, entry: Entry, *, verify: bool = False) -> Verdict:
    """As the next run judges it, which finds the photo anew."""
    found = replace(job, stamp=recorded_stamp(job.source))
    entries = {entry.input: Entry.from_json(asdict(entry))}
    return next(Judge(SETTINGS, Path("out"), verify=verify).judge([found], entries))


def reason(job: Job, entry: Entry | None, settings: Settings = SETTINGS, *, force: bool = False) -> Reason:
    entries = {} if entry is None else {entry.input: Entry.from_json(asdict(entry))}
    return next(Judge(settings, Path("out"), force=force).judge([job], entries)).reason


def test_the_same_again_is_done(job: Job) -> None:
    assert reason(job, entry_of(job)) is Reason.DONE
    assert reason(job, entry_of(job), force=True) is Reason.FORCED
    assert reason(job, None) is Reason.NEW
    assert reason(job, entry_of(job, Status.FAILED)) is Reason.FAILED
    assert reason(job, entry_of(job, Status.SKIPPED)) is Reason.DONE


@pytest.mark.parametrize(
    "change", [{"strength": 0.5}, {"weights": "sha256:2"}, {"quality": 90}, {"maps": True}]
)
def test_other_settings_are_done_again_and_said(job: Job, change: dict[str, object]) -> None:
    entry, other = entry_of(job), SETTINGS | change
    assert reason(job, entry, other) is Reason.SETTINGS
    line = changes([Verdict(job, Reason.SETTINGS)], {"a.png": entry}, other)
    assert line is not None
    assert f"{next(iter(change))} " in line
    assert "photos to be done again: 1" in line


def test_a_result_that_somebody_changed_is_named_before_it_is_replaced(job: Job) -> None:
    entries = {job.name: entry_of(job)}
    assert changes([Verdict(job, Reason.OUTPUT)], entries, SETTINGS) == (
        "results that are incomplete or were changed, to be replaced: 1"
    )
    job.target.unlink()
    assert changes([Verdict(job, Reason.OUTPUT)], entries, SETTINGS) is None


def test_a_manifest_without_a_setting_had_its_default(job: Job) -> None:
    entry = asdict(entry_of(job))
    del entry["settings"]["white"]
    entries = {job.name: Entry.from_json(entry)}

    def why(settings: Settings) -> Reason:
        return next(Judge(settings, Path("out")).judge([job], entries)).reason

    assert why(SETTINGS) is Reason.DONE
    assert why(SETTINGS | {"white": 255.0}) is Reason.SETTINGS


def test_other_files_are_other_settings(job: Job) -> None:
    elsewhere = job_of(found_in(Path("in"), "a.png"), format=".jpg")
    assert reason(elsewhere, entry_of(job)) is Reason.SETTINGS


@pytest.mark.parametrize(
    ("path", "damage", "expected"),
    [
        ("in/a.png", Path.unlink, Reason.INPUT),
        ("in/a.png", lambda path: path.write_bytes(b"x"), Reason.INPUT),
        ("out/a.png", Path.unlink, Reason.OUTPUT),
        ("out/a.png", lambda path: path.write_bytes(path.read_bytes()[:-1]), Reason.OUTPUT),
        ("out/a.png", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), Reason.OUTPUT),
    ],
)
def test_a_changed_photo_or_result_is_done_again(
    job: Job, path: str, damage: Callable[[Path], object], expected: Reason
) -> None:
    entry = entry_of(job)
    damage(Path(path))
    assert reason(job, entry) is expected


def test_a_photo_that_this_program_made_is_looked_at_again_if_it_changes(job: Job) -> None:
    entry = entry_of(job, Status.SKIPPED)
    job.source.write_bytes(b"x")
    assert reason(job, entry) is Reason.INPUT


@pytest.mark.parametrize(("path", "changed"), [("in/a.png", Reason.INPUT), ("out/a.png", Reason.OUTPUT)])
def test_what_looks_unchanged_is_read_only_to_verify(job: Job, path: str, changed: Reason) -> None:
    entry = stamped(job)
    replace_unseen(Path(path))
    assert judged_again(job, entry) == (job, Reason.DONE, None)
    assert judged_again(job, entry, verify=True).reason is changed


@pytest.mark.parametrize("path", ["in/a.png", "out/a.png"])
def test_a_copy_of_the_same_bytes_is_read_once(job: Job, path: str) -> None:
    entry = stamped(job)
    os.utime(path, ns=(0, 1_600_000_000_000_000_001))
    _, why, refreshed = judged_again(job, entry)
    assert why is Reason.DONE
    assert refreshed is not None
    assert refreshed == stamped(job) != entry
    replace_unseen(Path(path))  # which shows that it is not read again
    assert judged_again(job, refreshed)[1:] == (Reason.DONE, None)


def test_what_an_older_version_recorded_is_read_once(job: Job) -> None:
    values = asdict(entry_of(job))
    del values["stamp"], values["stamps"]
    entry = Entry.from_json(values)
    assert judged_again(job, entry).refreshed == stamped(job)
    assert judged_again(job, entry, verify=True).refreshed == stamped(job)
    replace_unseen(job.target)
    assert judged_again(job, entry).reason is Reason.OUTPUT


@pytest.mark.parametrize("name", [["a.png"], {}, None, 3])
def test_a_line_whose_input_is_no_name_is_told(job: Job, name: Any) -> None:
    line = json.dumps(asdict(entry_of(job)) | {"input": name})
    Path("out", FILE).write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(OutputError, match="input: Input should be a valid string"):
        History.read(Path("out"))


def test_a_folder_that_version_0_1_left_is_resumed(job: Job) -> None:
    """The fields are spelt out: what is on users' disks does not change with the program."""
    source, result = Path("in/a.png"), Path("out/a.png")
    line = {
        "input": "a.png",
        "status": "done",
        "source": "in/a.png",
        "size": source.stat().st_size,
        "sha256": sha256(source),
        "files": {"a.png": sha256(result)},
        "settings": {
            "model": "iniknet",
            "weights": "sha256:1",
            "strength": 1.0,
            "tile": None,
            "overlap": None,
            "precision": "auto",
            "quality": None,
            "format": None,
            "maps": False,
            "maps_data": False,
            "compare": False,
            "white": None,
        },
        "weights": {"name": "bundled", "source": "bundled", "hash": "sha256:1"},
        "report": {"backend": "torch", "device": "cpu", "megapixels": 0.00128, "width": 40, "height": 32},
        "seconds": {"read": 0.003, "restore": 1.859, "write": 0.066},
        "warnings": ["a warning"],
        "error": None,
        "exit_code": 0,
        "software": "defocusctl 0.1.0",
        "finished": "2026-01-02T03:04:05+00:00",
        "stamp": f"{source.stat().st_size}-{source.stat().st_mtime_ns}",
        "stamps": {"a.png": f"{result.stat().st_size}-{result.stat().st_mtime_ns}"},
    }
    (Path("out") / FILE).write_text(json.dumps(line) + "\n" + '{"input": "b.png", "sta')
    Path("out/.defocusctl-batch.claims").write_text('{"file": "a.png"}\n{"file": "b.png"}\n')
    assert (FILE, RESERVATIONS) == ("defocusctl-manifest.jsonl", ".defocusctl-batch.claims")
    history = History.read(Path("out"))
    assert history.reserved == {"a.png", "b.png"}
    assert list(history.entries) == ["a.png"]
    assert asdict(history.entries["a.png"]) == line | {"warnings": ("a warning",)}
    for path in (source, result):
        replace_unseen(path)  # which shows that nothing is read
    found = replace(job, stamp=recorded_stamp(source))
    assert list(Judge(SETTINGS, Path("out")).judge([found], history.entries)) == [(found, Reason.DONE, None)]


def test_a_file_that_may_change_within_the_tick_of_its_clock_has_no_stamp(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = stamped(job)
    monkeypatch.setattr(manifest, "TICK", 10**19)
    assert recorded_stamp(job.target) is None
    replace_unseen(job.target)
    assert judged_again(job, entry).reason is Reason.OUTPUT


def test_whole_seconds_are_the_times_of_a_coarse_clock(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "COARSE_TICK", 10**19)
    assert recorded_stamp(job.target) is not None
    os.utime(job.target, (0, 1_700_000_000))
    assert recorded_stamp(job.target) is None


def test_a_setting_that_an_older_version_did_not_have_counts_as_null(job: Job) -> None:
    older = {key: value for key, value in SETTINGS.items() if key != "quality"}
    assert reason(job, replace(entry_of(job), settings=older)) is Reason.DONE
    del older["strength"]
    assert reason(job, replace(entry_of(job), settings=older)) is Reason.SETTINGS
