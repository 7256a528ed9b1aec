"""The engine of this process: steps that overlap, within limits, and what goes wrong with one photo."""

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from defocusctl.batch.engine import Concurrency, LocalEngine, Stop, choose_concurrency
from defocusctl.batch.inputs import FoundPhoto
from defocusctl.batch.jobs import BatchOptions, Job
from defocusctl.batch.manifest import Status
from defocusctl.batch.restore_queue import AbandonedError, RestoreQueue
from defocusctl.batch.work import Opened, Outcome, PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import ExitCode, InputError
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.settings import RestoreSettings
from tests.batch.folders import sha256, write_photos
from tests.batch.recorded import job_of
from tests.cli.command import small_weights

TWO_AT_ONCE = Concurrency(computing=2, threads=1, reading=1, photos=4)


@pytest.fixture
def loaded(home: Path) -> Deblurrer:
    weights = str(small_weights(home, "iniknet"))
    return Deblurrer.load(
        "iniknet", weights, RestoreSettings(device="cpu", tile=64, overlap=16), offline=True
    )


def work_with(loaded: Deblurrer, max_megapixels: float = 1.0) -> PhotoWork:
    return PhotoWork(loaded, BatchOptions("iniknet", max_megapixels=max_megapixels), Path("out"))


def jobs_for(names: Iterable[str]) -> list[Job]:
    return [job_of(FoundPhoto(f"in/{name}", name)) for name in names]


def opened_by(work: PhotoWork, job: Job) -> Opened:
    opened = work.open(job)
    assert isinstance(opened, Opened)
    return opened


def outcomes(
    loaded: Deblurrer, jobs: Iterable[Job], *, concurrency: Concurrency = TWO_AT_ONCE
) -> list[Outcome]:
    return list(LocalEngine().outcomes(work_with(loaded), jobs, Stop(), concurrency))


def run(loaded: Deblurrer, jobs: Iterable[Job], stop: Stop) -> Generator[Outcome, None, None]:
    """Outcomes as they come, of photos that are restored one by one."""
    return LocalEngine().outcomes(work_with(loaded), jobs, stop, TWO_AT_ONCE)


def test_every_job_has_one_outcome_with_what_was_written(loaded: Deblurrer) -> None:
    names = [f"{i % 3}/{i}.png" for i in range(9)]
    write_photos(Path("in"), names)
    ended = outcomes(loaded, jobs_for(names))
    assert sorted(outcome.entry.input for outcome in ended) == sorted(names)
    for outcome in ended:
        entry = outcome.entry
        assert entry.status is Status.DONE
        assert entry.sha256 == sha256(Path("in") / entry.input)
        assert entry.size == (Path("in") / entry.input).stat().st_size
        assert entry.files == {entry.input: sha256(Path("out") / entry.input)}


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "levels"), [("fp32", 0), ("bf16", 1)])
def test_photos_that_share_a_batch_are_as_if_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, precision: str, levels: int
) -> None:
    """Grey and colour of one size together, in several tiles; another size by itself."""
    names = ["a.png", "b.png", "c.pgm", "large.png", "d.png", "e.png"]
    write_photos(Path("in"), names, size=(60, 30))
    write_photos(Path("in"), ["large.png"], size=(60, 50))
    weights = str(small_weights(home, "iniknet"))
    settings = RestoreSettings(device="cpu", tile=64, overlap=16, precision=precision)
    work = work_with(Deblurrer.load("iniknet", weights, settings, offline=True))
    opened = [opened_by(work, job) for job in jobs_for(names)]
    alone = [work.restore([one])[0].pixels for one in opened]
    groups: list[list[str]] = []
    all_wait = threading.Event()

    class Watched(PhotoWork):
        """Notes who is restored together, and keeps what becomes of them."""

        def restore(self, group: Sequence[Opened], on_tile: object = None) -> list[Restored]:
            groups.append([one.job.name for one in group])
            all_wait.wait()
            return super().restore(group)

        def store(self, opened: Opened, restored: Restored, seconds: float) -> Outcome:
            together[opened.job.name] = restored.pixels
            return super().store(opened, restored, seconds)

    together: dict[str, np.ndarray] = {}
    watched = Watched(work.deblurrer, work.options, work.out)
    monkeypatch.setattr(work.deblurrer.restorer.planner, "room_for", lambda size: 3)
    queue = RestoreQueue(watched, 1, lambda: False)
    with ThreadPoolExecutor(len(opened)) as pool:
        ended = []
        for one in opened:
            ended.append(pool.submit(queue.finish, one))
            while not groups or len(queue._waiting) < len(ended) - 1:  # the first is taken, others queue
                time.sleep(0.001)
        all_wait.set()
    assert [one.result().entry.status for one in ended] == [Status.DONE] * len(opened)
    queue.close()
    assert groups == [["a.png"], ["b.png", "c.pgm", "d.png"], ["large.png"], ["e.png"]]
    for one, name in zip(alone, names, strict=True):
        other = together[name]
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max() <= levels


def test_one_bad_photo_fails_alone_even_in_a_batch(
    loaded: Deblurrer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.tif", "bad.tif", "c.tif"]
    for name in names:
        values = np.full((40, 40, 3), 0.5, np.float32)
        values[3, 3] = np.nan if name == "bad.tif" else 0.25
        Path("in").mkdir(exist_ok=True)
        tifffile.imwrite(Path("in") / name, values, photometric="rgb")
    concurrency = Concurrency(computing=1, threads=1, reading=1, photos=4)
    monkeypatch.setattr(loaded.restorer.planner, "room_for", lambda size: 4)
    ended = {o.entry.input: o.entry for o in outcomes(loaded, jobs_for(names), concurrency=concurrency)}
    assert [ended[name].status for name in names] == [Status.DONE, Status.FAILED, Status.DONE]
    assert ended["bad.tif"].exit_code == ExitCode.INPUT
    assert ended["bad.tif"].sha256 == sha256(Path("in/bad.tif"))


def test_no_more_photos_are_taken_than_fit(loaded: Deblurrer) -> None:
    """Never more begun than concurrency for photos, however many there are."""
    names = [f"{i}.png" for i in range(12)]
    write_photos(Path("in"), names)
    taken = 0

    def supply() -> Iterator[Job]:
        nonlocal taken
        for job in jobs_for(names):
            taken += 1
            yield job

    ended = 0
    for _ in run(loaded, supply(), Stop()):
        ended += 1
        assert taken <= ended + TWO_AT_ONCE.photos
    assert ended == 12


def test_stopping_ends_what_is_in_flight_and_begins_nothing(loaded: Deblurrer) -> None:
    names = [f"{i}.png" for i in range(30)]
    write_photos(Path("in"), names)
    stop = Stop()
    ended = []
    for outcome in run(loaded, jobs_for(names), stop):
        stop.ended = True
        ended.append(outcome.entry)
    assert 1 <= len(ended) < 30
    assert {entry.status for entry in ended} == {Status.DONE}
    assert len(list(Path("out").iterdir())) == len(ended)


@pytest.mark.slow
def test_abandoning_tells_of_all_that_was_stored_and_of_nothing_else(loaded: Deblurrer) -> None:
    names = [f"{i}.png" for i in range(12)]
    write_photos(Path("in"), names, size=(96, 96))
    running = threading.active_count()
    given_up = threading.Event()
    ended = []
    for outcome in run(loaded, jobs_for(names), Stop(abandoned=given_up.is_set)):
        given_up.set()
        ended.append(outcome.entry)
    assert threading.active_count() == running
    assert {entry.status for entry in ended} == {Status.DONE}
    assert len(ended) <= TWO_AT_ONCE.photos
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(entry.input for entry in ended)


@pytest.mark.slow
def test_closing_abandons_and_leaves_nothing_unfinished(loaded: Deblurrer) -> None:
    names = [f"{i}.png" for i in range(8)]
    write_photos(Path("in"), names, size=(96, 96))
    running = threading.active_count()
    running_outcomes = run(loaded, jobs_for(names), Stop())
    next(running_outcomes)
    running_outcomes.close()
    assert threading.active_count() == running
    written = sorted(path.name for path in Path("out").iterdir())
    assert len(written) < 8
    assert not any(name.endswith(".part") for name in written)


def test_an_error_of_the_supply_ends_the_run(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png"])

    def supply() -> Iterator[Job]:
        yield from jobs_for(["a.png"])
        raise OSError("the folder is gone")

    with pytest.raises(OSError, match="the folder is gone"):
        outcomes(loaded, supply())


def test_a_file_that_vanishes_fails(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png", "b.png"])
    jobs = jobs_for(["a.png", "b.png"])
    Path("in/a.png").unlink()
    ended = {outcome.entry.input: outcome.entry for outcome in outcomes(loaded, jobs)}
    assert "there is no such file" in (ended["a.png"].error or "")
    assert ended["a.png"].sha256 is None
    assert ended["b.png"].status is Status.DONE


def test_a_file_replaced_during_the_run_is_recorded_as_it_was_read(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png", "other.png"])

    def supply() -> Iterator[Job]:
        job = jobs_for(["a.png"])[0]
        Path("in/other.png").replace("in/a.png")
        yield job

    before = sha256(Path("in/a.png"))
    entry = outcomes(loaded, supply())[0].entry
    assert entry.sha256 == sha256(Path("in/a.png")) != before


def test_a_file_that_is_being_written_is_not_taken(loaded: Deblurrer) -> None:
    """Another thread touches it without end; some reading of it must meet that."""
    photo = write_photos(Path("in"), ["a.png"]) / "a.png"
    work, job, done = work_with(loaded), jobs_for(["a.png"])[0], threading.Event()

    def touch() -> None:
        moment = 0
        while not done.is_set():
            moment += 1
            os.utime(photo, ns=(moment, moment))

    toucher = threading.Thread(target=touch)
    toucher.start()
    deadline = time.monotonic() + 60
    try:
        with pytest.raises(InputError, match="changed while it was read"):
            while time.monotonic() < deadline:
                work.fetch(job)
    finally:
        done.set()
        toucher.join()


def test_what_this_program_made_is_no_input(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png"])
    outcomes(loaded, jobs_for(["a.png"]))
    Path("out/a.png").replace("in/a_deblurred.png")
    entry = outcomes(loaded, jobs_for(["a_deblurred.png"]))[0].entry
    assert (entry.status, entry.exit_code, entry.files) == (Status.SKIPPED, 0, {})
    assert not Path("out/a_deblurred.png").exists()


def test_the_cores_are_filled_and_never_exceeded() -> None:
    for threads in range(1, 17):
        for photos in (1, 2, 5, 1000):
            for affordable in (1, 3, 50):
                concurrency = choose_concurrency(
                    "cpu", photos=photos, threads=threads, affordable=affordable, jobs=None
                )
                assert concurrency.computing <= min(photos, affordable)
                assert concurrency.computing * concurrency.threads <= threads
                assert concurrency.computing * (concurrency.threads + 1) > threads
    assert choose_concurrency("cpu", photos=9, threads=2, affordable=8, jobs=None)[:2] == (2, 1)
    assert choose_concurrency("cpu", photos=9, threads=2, affordable=1, jobs=None)[:2] == (1, 2)


def test_jobs_fix_the_threads_of_each_photo() -> None:
    for photos in (0, 1, 2, 1000):
        assert choose_concurrency("cpu", photos=photos, threads=8, affordable=1, jobs=4).threads == 2
    assert choose_concurrency("cpu", photos=9, threads=2, affordable=9, jobs=100)[:2] == (2, 1)


def test_the_number_of_threads_is_given_back(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png"])
    before = torch.get_num_threads()
    outcomes(loaded, jobs_for(["a.png"]))
    assert torch.get_num_threads() == before


def test_a_photo_that_only_waits_is_not_begun_after_a_request_to_stop(loaded: Deblurrer) -> None:
    write_photos(Path("in"), ["a.png"])
    (job,) = jobs_for(["a.png"])
    work = work_with(loaded)
    opened = opened_by(work, job)
    queue = RestoreQueue(work, 1, lambda: False, requested=lambda: True)
    with closing(queue), pytest.raises(AbandonedError):
        queue.finish(opened)
    assert not Path("out").exists()
