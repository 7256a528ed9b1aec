"""Batches whose inputs or results are in an object store, done by this process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import fsspec
import pytest
from moto.moto_api import recorder

from defocusctl.batch import stores
from defocusctl.batch.storage import opened_stores
from defocusctl.batch.stores import LOCK, SEGMENTS, StoreRecords, fetch_records
from defocusctl.errors import ExitCode, InputError, OutputError, UsageError
from tests.cli.command import defocusctl, small_weights
from tests.integration.photos import entries, hashes, make_photos, objects, upload

pytestmark = pytest.mark.store

MANIFEST = "defocusctl-manifest.jsonl"
KILLED = """
import os, signal
from defocusctl.__main__ import main
from defocusctl.batch import stores
from defocusctl.batch.stores import StoreRecords

upload = StoreRecords._upload

def upload_and_die(records):
    upload(records)
    if records._segments:
        os.kill(os.getpid(), signal.SIGKILL)

StoreRecords._upload = upload_and_die
stores.UPLOAD_EVERY = 0.05
main()
"""
"""The program, which puts entries in the store at once and is killed when the first are there."""


@contextmanager
def requests_of(folder: Path) -> Iterator[list[str]]:
    """What the store is asked for meanwhile: method and path of each request, known at the end."""
    recorder._location = str(folder / "requests")
    recorder.reset_recording()
    recorder.start_recording()
    seen: list[str] = []
    try:
        yield seen
    finally:
        recorder.stop_recording()
    for line in recorder.download_recording().splitlines():
        request = json.loads(line)
        seen.append(f"{request['method']} {urlsplit(request['url']).path}")


@pytest.fixture
def weights(home: Path) -> Path:
    return small_weights(home, "iniknet")


def test_results_are_those_of_folders(home: Path, bucket: str, weights: Path) -> None:
    photos = make_photos(home / "photos", "a.png", "deep/b.png", ".hidden.png")
    upload(photos, f"{bucket}/in")
    here = defocusctl("batch", photos, home / "out", "--weights", weights, "--compare")
    there = defocusctl("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights, "--compare")
    assert (here.code, there.code) == (0, 0), there.err
    results = {name: content for name, content in objects(f"{bucket}/out").items() if name.endswith("png")}
    expected = {name: (home / "out" / name).read_bytes() for name in hashes(home / "out")}
    assert results == expected
    assert set(results) == {"a.png", "a_compare.png", "deep/b.png", "deep/b_compare.png"}


def test_records_are_kept_in_the_store(home: Path, bucket: str, weights: Path) -> None:
    upload(make_photos(home / "photos", "a.png", "deep/b.png"), f"{bucket}/in")
    defocusctl("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    kept = objects(f"{bucket}/out")
    assert set(kept) == {"a.png", "deep/b.png", MANIFEST, ".defocusctl-batch.claims"}
    listed = entries(kept[MANIFEST])
    assert {name: entry["status"] for name, entry in listed.items()} == {
        "a.png": "done",
        "deep/b.png": "done",
    }
    assert listed["deep/b.png"]["source"] == f"{bucket}/in/deep/b.png"
    assert list(listed["deep/b.png"]["files"]) == ["deep/b.png"]


def test_the_next_run_does_what_changed(home: Path, bucket: str, weights: Path) -> None:
    photos = make_photos(home / "photos", "a.png", "b.png", "c.png")
    upload(photos, f"{bucket}/in")
    call = ("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    defocusctl(*call)
    first = objects(f"{bucket}/out")
    files = fsspec.filesystem("s3")
    files.rm_file(f"{bucket}/out/a.png")
    files.pipe_file(f"{bucket}/in/b.png", (photos / "c.png").read_bytes())
    preview = defocusctl(*call, "--dry-run")
    reasons = [line.strip().partition("  ")[0] for line in preview.out.splitlines()[:3]]
    assert reasons == ["its result is gone or changed", "the photo changed", "done already"]
    assert f"{bucket}/out/a.png" in preview.out
    assert defocusctl(*call).code == 0
    then = objects(f"{bucket}/out")
    assert then["a.png"] == first["a.png"]
    assert then["b.png"] == then["c.png"] == first["c.png"]
    assert len(then[MANIFEST].splitlines()) == 5


def test_what_the_listing_says_is_unchanged_is_not_read(home: Path, bucket: str, weights: Path) -> None:
    photos = make_photos(home / "photos", "a.png", "b.png")
    (photos / "icon.jpg").write_bytes((photos / "a.png").read_bytes())
    upload(photos, f"{bucket}/in")
    call = ("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    assert defocusctl(*call).code == 0
    first = objects(f"{bucket}/out")
    assert {name for name in first if name.startswith("icon")} == {"icon.png"}
    upload(photos, f"{bucket}/in")  # the same bytes, later
    with requests_of(home) as seen:
        assert defocusctl(*call).code == 0
    assert objects(f"{bucket}/out") == first
    assert not [request for request in seen if request.endswith((".png", ".jpg"))]
    with requests_of(home) as seen:
        assert defocusctl(*call, "--verify").code == 0
    read = {
        request.partition(bucket.removeprefix("s3:/"))[2] for request in seen if request.startswith("GET")
    }
    assert {path for path in read if path.endswith((".png", ".jpg"))} == {
        *("/in/a.png", "/in/b.png", "/in/icon.jpg"),
        *("/out/a.png", "/out/b.png", "/out/icon.png"),
    }


def test_what_an_older_version_recorded_is_read_once(home: Path, bucket: str, weights: Path) -> None:
    upload(make_photos(home / "photos", "a.png", "b.png"), f"{bucket}/in")
    call = ("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    defocusctl(*call)
    lines = [json.loads(line) for line in objects(f"{bucket}/out")[MANIFEST].splitlines()]
    older = [{key: line[key] for key in line if not key.startswith("stamp")} for line in lines]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in older)
    fsspec.filesystem("s3").pipe_file(f"{bucket}/out/{MANIFEST}", content)
    for _ in range(2):
        assert defocusctl(*call).code == 0
        kept = objects(f"{bucket}/out")[MANIFEST]
        assert [json.loads(line) for line in kept.splitlines()[:2]] == older
        assert sorted(kept.splitlines()[2:]) == sorted(json.dumps(line).encode() for line in lines)


def test_a_bad_object_is_told_by_its_address(home: Path, bucket: str, weights: Path) -> None:
    upload(make_photos(home / "photos", "a.png"), f"{bucket}/in")
    fsspec.filesystem("s3").pipe_file(f"{bucket}/in/bad.png", b"no photo")
    answer = defocusctl("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    assert answer.code == ExitCode.SOME_FAILED
    kept = objects(f"{bucket}/out")
    entry = entries(kept[MANIFEST])["bad.png"]
    assert entry["status"] == "failed"
    assert f"'{bucket}/in/bad.png'" in entry["error"]
    assert f"'{bucket}/out/{MANIFEST}'" in answer.err
    assert "a.png" in kept


def test_foreign_objects_in_the_store_stay(home: Path, bucket: str, weights: Path) -> None:
    upload(make_photos(home / "photos", "a.png"), f"{bucket}/in")
    fsspec.filesystem("s3").pipe_file(f"{bucket}/out/a.png", b"mine")
    answer = defocusctl("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights)
    assert answer.code == ExitCode.OUTPUT
    assert f"would replace '{bucket}/out/a.png'" in answer.err
    assert objects(f"{bucket}/out")["a.png"] == b"mine"


def test_folders_to_a_store_and_back(home: Path, bucket: str, weights: Path) -> None:
    photos = make_photos(home / "photos", "a.png", "b.png")
    options = ["--weights", weights, "--jobs", "2"]  # one thread each, so one rounding
    assert defocusctl("batch", photos, f"{bucket}/out", *options).code == 0
    upload(photos, f"{bucket}/in")
    pattern = f"{bucket}/in/*.png"
    assert defocusctl("batch", pattern, home / "out", *options, "--exclude", "b*").code == 0
    one = f"{bucket}/in/b.png"
    assert defocusctl("batch", one, f"file://{home}/out", *options).code == 0
    sent = objects(f"{bucket}/out")
    assert {name: (home / "out" / name).read_bytes() for name in ("a.png", "b.png")} == {
        name: sent[name] for name in ("a.png", "b.png")
    }


@pytest.mark.parametrize("out", ["", "/", "/in"])
def test_results_cannot_replace_inputs(home: Path, bucket: str, out: str) -> None:
    upload(make_photos(home / "photos", "a.png"), f"{bucket}/in")
    with (
        pytest.raises(UsageError, match="could replace inputs"),
        opened_stores([f"{bucket}/in"], bucket + out),
    ):
        pass


def test_results_below_the_inputs_are_no_inputs(home: Path, bucket: str) -> None:
    upload(make_photos(home / "photos", "a.png", "done/a.png"), bucket)
    with opened_stores([bucket], f"{bucket}/done") as ([folder], out, _):
        assert sorted(Path(folder).rglob("*.png")) == [Path(folder) / "a.png"]
        assert (out / "a.png").exists()


@pytest.mark.parametrize(
    ("url", "problem", "text"),
    [
        ("ftp://host/photos", UsageError, "'ftp://' is not a supported store"),
        ("s3://no-such-bucket/photos", InputError, "nothing in|cannot list"),
    ],
)
def test_what_cannot_be_opened(store: None, url: str, problem: type[Exception], text: str) -> None:
    with pytest.raises(problem, match=text), opened_stores([url], "out"):
        pass


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("photos", "s3://bucket/out", "--watch"), "--watch is for folders only"),
        (("s3://bucket/in", "out", "--watch"), "--watch is for folders only"),
        (("photos", "s3://bucket/out", "--report"), "--report shows folders only"),
        (("s3://bucket/in", "out", "--root", "s3:"), "--root is for folders only"),
        (("photos", "out", "--maps-dir", "s3://bucket/maps"), "--maps-dir draws in no store"),
        (("out", "--from", "list"), "a list names files only, not 's3://bucket/in/a.png'"),
        (("ftp://host/in", "out"), "'ftp://' is not a supported store"),
    ],
)
def test_what_does_not_go_with_stores(
    home: Path, weights: Path, arguments: tuple[str, ...], text: str
) -> None:
    make_photos(home / "photos", "a.png")
    (home / "list").write_text("photos/a.png\ns3://bucket/in/a.png\n")
    answer = defocusctl("batch", *arguments, "--weights", weights)
    assert answer.code == ExitCode.USAGE
    assert text in answer.err
    assert answer.err.count("\n") == 1
    assert not (home / "out").exists()


def test_a_second_batch_is_kept_out_until_the_lock_is_old(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{bucket}/out"
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    with StoreRecords.opened(url, first):
        with pytest.raises(OutputError, match="another batch is writing"), StoreRecords.opened(url, second):
            pass
        monkeypatch.setattr(stores, "LOCK_TIMEOUT", -1.0)  # any lock is old
        before = time.time()
        with StoreRecords.opened(url, second):
            assert json.loads(objects(f"{bucket}/out")[LOCK])["renewed"] >= before
    assert LOCK not in objects(f"{bucket}/out")


def test_segments_of_a_killed_run_are_folded(tmp_path: Path, bucket: str) -> None:
    store, url = fsspec.filesystem("s3"), f"{bucket}/out"
    old, new, newer = (f'{{"input": "a", "number": {number}}}\n'.encode() for number in range(3))
    store.pipe_file(f"{url}/{MANIFEST}", old + new)
    store.pipe_file(f"{url}/{SEGMENTS}/000000000-x.jsonl", new)
    store.pipe_file(f"{url}/{SEGMENTS}/000000001-x.jsonl", newer)
    assert len(fetch_records(url, tmp_path)) == 2
    assert (tmp_path / MANIFEST).read_bytes() == old + new + newer
    with StoreRecords.opened(url, tmp_path):
        assert set(objects(f"{bucket}/out")) == {MANIFEST, LOCK}
        with (tmp_path / MANIFEST).open("ab") as manifest:
            manifest.write(old)
    assert objects(f"{bucket}/out") == {MANIFEST: old + new + newer + old}


def test_a_killed_run_goes_on(home: Path, bucket: str, weights: Path) -> None:
    names = [f"{number}.png" for number in range(12)]
    photos = make_photos(home / "photos", *names, height=120, width=120)
    upload(photos, f"{bucket}/in")
    call = ["batch", f"{bucket}/in", f"{bucket}/out", "--weights", str(weights), "--jobs", "1"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *call], stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert fsspec.filesystem("s3").find(f"{bucket}/out/{SEGMENTS}")
    lost = objects(f"{bucket}/out")
    lock = json.dumps({"run": "killed", "renewed": 0}).encode()
    fsspec.filesystem("s3").pipe_file(f"{bucket}/out/{LOCK}", lock)
    answer = defocusctl(*call)
    assert answer.code == 0, answer.err
    done = objects(f"{bucket}/out")
    recorded = b"".join(content for name, content in sorted(lost.items()) if name.startswith(SEGMENTS))
    assert done[MANIFEST].startswith(recorded)
    assert len(done[MANIFEST].splitlines()) == len(names)
    assert defocusctl("batch", photos, home / "out", "--weights", weights).code == 0
    assert {name: done[name] for name in names} == {
        name: (home / "out" / name).read_bytes() for name in names
    }
