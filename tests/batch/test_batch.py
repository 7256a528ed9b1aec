"""``defocusctl batch``, as a user types it, with a real network of few channels."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from filelock import FileLock
from PIL import Image

from defocusctl.batch.manifest import FILE, LOCK, History
from defocusctl.errors import ExitCode
from tests.batch.folders import (
    TREE,
    entries_in,
    make_old,
    replace_unseen,
    results_in,
    sha256,
    write_photos,
)
from tests.cli.command import Answer, defocusctl, small_weights


@pytest.fixture
def tree(home: Path) -> Path:
    """A folder with photos in folders, and weights."""
    small_weights(home, "iniknet")
    return write_photos(home / "in")


def batch(*arguments: object) -> Answer:
    return defocusctl("batch", *arguments, "--weights", "iniknet.safetensors")


def events(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.out.splitlines()]


def reasons(answer: Answer) -> dict[str, str]:
    return {event["input"]: event["reason"] for event in events(answer) if event["event"] == "would-do"}


@pytest.mark.usefixtures("tree")
def test_the_tree_is_mirrored_and_recorded() -> None:
    before = results_in(Path("in"))
    answer = batch("in", "out")
    assert answer.code == ExitCode.OK, answer.err
    assert "4 done" in answer.err
    assert results_in(Path("in")) == before
    assert list(results_in(Path("out"))) == sorted(TREE)
    entries = {entry["input"]: entry for entry in entries_in(Path("out"))}
    assert sorted(entries) == sorted(TREE)
    for name, entry in entries.items():
        assert entry["status"] == "done"
        assert entry["sha256"] == sha256(Path("in") / name)
        assert entry["files"] == {name: sha256(Path("out") / name)}
        assert entry["settings"]["weights"] == f"sha256:{sha256(Path('iniknet.safetensors'))}"
        assert set(entry["seconds"]) == {"read", "restore", "write"}
        assert (entry["report"]["width"], entry["report"]["height"]) == (40, 32)


@pytest.mark.usefixtures("tree")
def test_white_is_a_setting() -> None:
    with Image.open("in/a.png") as image:
        tifffile.imwrite("in/float.tif", np.asarray(image).astype(np.float32), photometric="rgb")
    assert batch("in", "out").code == ExitCode.SOME_FAILED
    assert (
        "--white VALUE" in {entry["input"]: entry for entry in entries_in(Path("out"))}["float.tif"]["error"]
    )
    answer = batch("in", "out", "--white", "255", "--report")
    assert answer.code == ExitCode.OK, answer.err
    assert "white None -> 255.0" in answer.err
    with Image.open("out/a.png") as image:
        assert np.abs(tifffile.imread("out/float.tif") - np.asarray(image)).max() <= 0.501
    assert "are not from 0 (black)" not in Path("out/defocusctl-report/index.html").read_text()


@pytest.mark.usefixtures("tree")
def test_the_photos_are_those_of_deblur() -> None:
    batch("in", "out", "--strength", "0.5")
    defocusctl("deblur", "in/a.png", "--weights", "iniknet.safetensors", "--strength", "0.5")
    assert Path("out/a.png").read_bytes() == Path("in/a_deblurred.png").read_bytes()


@pytest.mark.usefixtures("tree")
def test_a_second_run_does_only_what_is_new_or_changed() -> None:
    batch("in", "out")
    first = results_in(Path("out"))
    again = batch("in", "out")
    assert again.code == ExitCode.OK
    assert "4 are done already" in again.err
    assert len(entries_in(Path("out"))) == 4
    Path("in/a.png").replace("in/new.png")
    write_photos(Path("in"), ["a.png"], size=(36, 36))
    Path("out/2024/b.jpg").unlink()
    preview = batch("in", "out", "--dry-run", "--json")
    assert reasons(preview) == {
        "a.png": "the photo changed",
        "new.png": "new",
        "2024/b.jpg": "its result is gone or changed",
        "2024/may/c.ppm": "done already",
        "2024/may/d.png": "done already",
    }
    assert batch("in", "out").code == ExitCode.OK
    assert len(entries_in(Path("out"))) == 7
    now = results_in(Path("out"))
    assert now["2024/b.jpg"] == first["2024/b.jpg"]
    assert now["new.png"] == first["a.png"] != now["a.png"]


@pytest.mark.usefixtures("tree")
def test_what_is_done_is_read_only_where_its_time_changed_or_to_verify() -> None:
    make_old(Path("in"))
    batch("in", "out")
    os.utime("in/2024/may/c.ppm", ns=(0, 1_600_000_000_000_000_001))
    assert events(batch("in", "out", "--json"))[0]["to_do"] == 0
    lines = entries_in(Path("out"))
    assert len(lines) == 5
    [first] = [line for line in lines[:4] if line["input"] == "2024/may/c.ppm"]
    assert lines[-1].pop("stamp") != first.pop("stamp")
    assert lines[-1] == first
    replace_unseen(Path("in/a.png"))
    replace_unseen(Path("out/2024/b.jpg"))
    assert events(batch("in", "out", "--json"))[0]["to_do"] == 0
    preview = batch("in", "out", "--verify", "--dry-run", "--json")
    assert reasons(preview) == {
        "a.png": "the photo changed",
        "2024/b.jpg": "its result is gone or changed",
        "2024/may/c.ppm": "done already",
        "2024/may/d.png": "done already",
    }
    assert len(entries_in(Path("out"))) == 5


@pytest.mark.usefixtures("tree")
def test_changed_settings_and_force_do_everything_again() -> None:
    batch("in", "out")
    answer = batch("in", "out", "--strength", "0.5", "--json")
    planned = events(answer)[0]
    assert (planned["to_do"], planned["done_before"]) == (4, 0)
    assert "strength 1.0 -> 0.5" in planned["changed"]
    assert "strength 1.0 -> 0.5" in answer.err
    assert events(batch("in", "out", "--strength", "0.5", "--json"))[0]["to_do"] == 0
    assert events(batch("in", "out", "--strength", "0.5", "--json", "--force"))[0]["to_do"] == 4


@pytest.mark.usefixtures("tree")
def test_a_dry_run_writes_nothing_and_estimates() -> None:
    Path("in/bad.png").write_bytes(b"no photo")
    answer = batch("in", "out", "--dry-run")
    assert answer.code == ExitCode.OK
    assert not Path("out").exists()
    lines = answer.out.splitlines()
    assert len(lines) == 7
    assert "an estimate: 0.0 MP (1 files could not be read)" in lines[-1]
    estimate = events(batch("in", "out", "--dry-run", "--json"))[-1]
    assert estimate["megapixels"] == pytest.approx(5 * 32 * 40 / 1e6)
    assert estimate["seconds"] > 0
    assert estimate["memory"] > 2**20
    scaled = batch("in", "out", "--dry-run", "--scale", "1/2")
    assert scaled.code == ExitCode.OK
    assert "an estimate: 0.0 MP (1 files could not be read)" in scaled.out


@pytest.mark.usefixtures("tree")
def test_one_bad_file_never_stops_the_run() -> None:
    Path("in/0-text.png").write_text("no photo")
    Path("in/0-cut.png").write_bytes(Path("in/a.png").read_bytes()[:200])
    answer = batch("in", "out", "--json")
    assert answer.code == ExitCode.SOME_FAILED
    assert "2 of 6 photos failed" in answer.err
    assert answer.err.count("failed: 0-text.png: cannot use") == 1
    finished = events(answer)[-1]
    assert (finished["event"], finished["done"], finished["failed"]) == ("finished", 4, 2)
    assert {item["input"] for item in finished["failures"]} == {"0-text.png", "0-cut.png"}
    failed = {entry["input"]: entry for entry in entries_in(Path("out")) if entry["status"] == "failed"}
    assert failed["0-cut.png"]["exit_code"] == ExitCode.INPUT
    assert failed["0-cut.png"]["sha256"] == sha256(Path("in/0-cut.png"))
    assert "damaged or cut short" in failed["0-cut.png"]["error"]
    assert batch("in", "out").code == ExitCode.SOME_FAILED  # they are tried again


@pytest.mark.parametrize(("option", "most"), [(["--fail-fast"], 0), (["--max-failures", "2"], 2)])
def test_failures_can_stop_the_run(tree: Path, option: list[str], most: int) -> None:
    for i in range(40):
        (tree / f"0-{i:02}.png").write_text("no photo")
    answer = batch("in", "out", *option, "--json")
    assert answer.code == ExitCode.SOME_FAILED
    assert "stopped after" in answer.err
    finished = events(answer)[-1]
    assert most < finished["failed"] <= most + 8  # those in flight
    assert finished["left"] > 0


@pytest.mark.usefixtures("tree")
def test_two_inputs_with_one_output_are_refused_before_anything_runs() -> None:
    write_photos(Path("in"), ["a.jpg"])
    answer = batch("in", "out", "--format", "png")
    assert answer.code == ExitCode.USAGE
    assert "'a.jpg' and 'a.png' would both be written to 'out/a.png'" in answer.err
    assert not Path("out").exists()
    assert batch("in", "out", "--format", "png", "--exclude", "a.jpg").code == ExitCode.OK
    assert sorted(results_in(Path("out"))) == ["2024/b.png", "2024/may/c.png", "2024/may/d.png", "a.png"]


@pytest.mark.usefixtures("tree")
def test_files_of_others_are_not_replaced() -> None:
    write_photos(Path("out"), ["a.png"])
    before = Path("out/a.png").read_bytes()
    answer = batch("in", "out")
    assert answer.code == ExitCode.OUTPUT
    assert "would replace 'out/a.png'" in answer.err
    assert Path("out/a.png").read_bytes() == before
    assert not Path("out/2024").exists()
    assert batch("in", "out", "--force").code == ExitCode.OK
    assert Path("out/a.png").read_bytes() != before


@pytest.mark.usefixtures("tree")
def test_a_file_under_the_name_of_a_result_that_was_never_written_is_not_ours() -> None:
    photo = Path("in/a.png").read_bytes()
    Path("in/a.png").write_bytes(b"no photo")
    assert batch("in", "out").code == ExitCode.SOME_FAILED
    assert {"a.png", "None"}.isdisjoint(History.read(Path("out")).reserved)
    Path("in/a.png").write_bytes(photo)
    Path("out/a.png").write_bytes(b"mine")
    answer = batch("in", "out")
    assert answer.code == ExitCode.OUTPUT
    assert "would replace 'out/a.png'" in answer.err
    assert Path("out/a.png").read_bytes() == b"mine"


@pytest.mark.posix
@pytest.mark.usefixtures("tree")
def test_events_that_cannot_be_written_are_not_the_photos_fault() -> None:
    program = [sys.executable, "-m", "defocusctl", "batch", "in", "out", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*program, "--weights", "iniknet.safetensors"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == ExitCode.OUTPUT
    assert "cannot write to standard output" in done.stderr


@pytest.mark.slow
def test_a_file_url_is_a_folder(tree: Path) -> None:
    urls = f"file://{tree}", f"file://{tree.parent}/out"
    answer = batch(
        *urls, "--report", "--compare-to", f"file://{tree.parent}/compared", "--exclude", "[acd].*"
    )
    assert answer.code == ExitCode.OK, answer.err
    assert Path("out/2024/b.jpg").exists()
    assert Path("out/defocusctl-report/index.html").exists()
    assert Path("compared/2024/b_compare.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("tree")
def test_results_inside_the_inputs_are_no_inputs() -> None:
    pictures = ["--maps-dir", "in/maps", "--compare-to", "in/compared", "--maps-data", "--exclude", "[acd].*"]
    assert batch("in", "in/out", *pictures).code == ExitCode.OK
    assert Path("in/maps/2024/b_mu.png").exists()
    assert Path("in/compared/2024/b_compare.png").exists()
    assert Path("in/out/2024/b_maps.npz").exists()
    again = batch("in", "in/out", *pictures, "--json")
    assert (events(again)[0]["to_do"], events(again)[0]["done_before"]) == (0, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("tree")
def test_maps_and_comparisons_of_another_batch_are_passed_over() -> None:
    pictures = ["--maps-dir", "in", "--compare-to", "in/2024", "--exclude", "[acd].*"]
    assert batch("in", "out", *pictures).code == ExitCode.OK
    assert Path("in/2024/b_mu.png").exists()
    assert batch("in", "other", "--exclude", "[acd].*").code == ExitCode.OK
    assert list(results_in(Path("other"))) == ["2024/b.jpg"]


@pytest.mark.posix
@pytest.mark.usefixtures("tree")
def test_a_pipe_is_named() -> None:
    os.mkfifo("pipe")
    answer = batch("pipe", "out")
    assert answer.code == ExitCode.SOME_FAILED
    assert "'pipe' is a pipe, and batch reads files only" in answer.err


@pytest.mark.usefixtures("tree")
def test_a_list_from_stdin_and_the_root_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("list").open("wb+") as file:
        file.write(b"in/2024\nin/gone.png\n")
        file.seek(0)
        monkeypatch.setattr(sys, "stdin", os.fdopen(os.dup(file.fileno())))
        answer = batch("out", "--from", "-", "--root", "in", "--no-recursive")
        sys.stdin.close()
    assert answer.code == ExitCode.SOME_FAILED
    assert list(results_in(Path("out"))) == ["2024/b.jpg"]
    assert {entry["input"] for entry in entries_in(Path("out"))} == {"2024/b.jpg", "gone.png"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["out"], ExitCode.USAGE),
        (["gone", "out"], ExitCode.INPUT),
        (["empty", "out"], ExitCode.INPUT),
        (["out", "--from", "gone.txt"], ExitCode.INPUT),
        (["in", "in"], ExitCode.OUTPUT),
        (["in", "out", "--max-megapixels", "0"], ExitCode.USAGE),
        (["in", "iniknet.safetensors"], ExitCode.OUTPUT),
    ],
)
def test_calls_that_cannot_be_are_one_line(tree: Path, arguments: list[str], code: ExitCode) -> None:
    Path("empty").mkdir()
    answer = batch(*arguments)
    assert answer.code == code
    assert len([line for line in answer.err.splitlines() if line.startswith("error: ")]) == 1
    assert list(results_in(tree)) == sorted(TREE)


@pytest.mark.usefixtures("tree")
def test_a_second_run_at_the_same_time_is_refused() -> None:
    Path("out").mkdir()
    with FileLock(Path("out", LOCK)):
        answer = batch("in", "out")
    assert answer.code == ExitCode.OUTPUT
    assert "another batch is writing to 'out'" in answer.err
    assert not Path("out", FILE).exists()


@pytest.mark.posix
@pytest.mark.usefixtures("tree", "no_root")
def test_files_and_folders_that_cannot_be_read_or_written_fail_alone() -> None:
    Path("in/a.png").chmod(0)
    Path("out/2024/may").mkdir(parents=True)
    Path("out/2024/may").chmod(0o500)
    answer = batch("in", "out")
    Path("out/2024/may").chmod(0o700)
    assert answer.code == ExitCode.SOME_FAILED
    assert "3 of 4 photos failed" in answer.err
    assert list(results_in(Path("out"))) == ["2024/b.jpg"]


@pytest.mark.usefixtures("tree")
def test_the_failure_of_a_folder_is_withdrawn_once_it_can_be_read() -> None:
    assert batch("in", "out").code == ExitCode.OK
    entry = entries_in(Path("out"))[0]
    folders = {f"{Path(name).parent}/" for name in TREE if "/" in name}
    with (Path("out") / FILE).open("a", encoding="utf-8") as manifest:
        for folder in (*folders, "gone/"):
            line = {**entry, "input": folder, "status": "failed", "error": "cannot read it", "exit_code": 3}
            manifest.write(json.dumps(line) + "\n")
    assert batch("in", "out").code == ExitCode.OK
    last = {entry["input"]: entry for entry in entries_in(Path("out"))}
    for folder in folders:
        assert (last[folder]["status"], last[folder]["exit_code"]) == ("skipped", 0)
    assert last["gone/"]["status"] == "failed"


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = home / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except OSError:
        pytest.skip("there is no mount")
    if done.returncode != 0:
        pytest.skip("mounting is not permitted")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(tree: Path, small_disk: Path) -> None:
    """One photo after the other, so that what fits is known."""
    write_photos(tree, [f"{i}.bmp" for i in range(9)], size=(48, 48))  # 7 KiB each
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 20480)
    out = small_disk / "out"
    answer = batch("in", out, "--jobs", "1")
    assert answer.code == ExitCode.OUTPUT
    assert os.strerror(errno.ENOSPC) in answer.err
    assert "run the same command again" in answer.err
    left = results_in(out)
    assert 0 < len(left) < 13
    assert not any(name.endswith(".part") for name in left)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert batch("in", out, "--jobs", "1").code == ExitCode.OK
    now = results_in(out)
    assert len(now) == 13
    assert all(now[name] == content for name, content in left.items())


def test_a_read_only_disk_is_refused(tree: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    answer = batch("in", small_disk / "out")
    assert answer.code == ExitCode.OUTPUT
    assert os.strerror(errno.EROFS) in answer.err


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tree: Path, times: int) -> None:
    """After the first photo; once, and once more as soon as the first was understood.

    There are many more photos than are done before it comes, however late; later most are taken away.
    """
    many = [f"many/{number:03}.png" for number in range(500)]
    write_photos(tree, many[:1], size=(48, 48))
    for name in many[1:]:
        os.link(tree / many[0], tree / name)
    program = [sys.executable, "-m", "defocusctl", "batch", "in", "out", "--weights", "iniknet.safetensors"]
    sign = {1: "[1/504]", 2: "finishing the photos in flight"}
    said = ""
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for step in range(1, times + 1):
            while sign[step] not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "run the same command again to continue" in said
    assert "Traceback" not in said
    done = [entry["input"] for entry in entries_in(Path("out")) if entry["status"] == "done"]
    left = sorted({*TREE, *many} - set(done))
    assert 1 <= len(done) < 504
    assert sorted(results_in(Path("out"))) == sorted(done)
    for name in left[5:]:
        (tree / name).unlink()
    assert batch("in", "out").code == ExitCode.OK
    assert sorted(results_in(Path("out"))) == sorted([*done, *left[:5]])
