"""Batches on a Ray cluster: the results are those of this process, whoever is lost."""

import io
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from defocusctl.batch.engine import Concurrency, Stop
from defocusctl.batch.jobs import BatchOptions, Job
from defocusctl.batch.manifest import LOCK, Status
from defocusctl.batch.ray import MAX_LOSSES, RayEngine
from defocusctl.batch.ray_workers import Assignment, Workers
from defocusctl.batch.work import Outcome, PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import Outputs
from defocusctl.errors import ExitCode, OutputError
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system.atomic import locked_folder
from tests.batch.test_watch import Meanwhile
from tests.cli.command import defocusctl, small_weights
from tests.integration.photos import entries, hashes, make_photos, objects, upload
from tests.loopback import dead_url

pytestmark = pytest.mark.ray

pytest.importorskip("ray", reason="Ray is not installed (pip install 'defocusctl[ray]')")

WORKER = "PhotoWorker"
BOMB = "bomb.png"
TWO = Workers(number=2, cpus=1, gpus=0, calls=2, per_node=2)
ONE = Workers(number=1, cpus=1, gpus=0, calls=2, per_node=1)
"""A worker takes seconds to begin."""


@pytest.fixture
def weights(home: Path) -> Path:
    return small_weights(home, "iniknet")


@pytest.fixture
def deblurrer(weights: Path) -> Deblurrer:
    return Deblurrer.load("iniknet", str(weights), RestoreSettings(device="cpu"), offline=True)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """What a test changes is as before after it."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def out(home: Path) -> Iterator[Path]:
    with locked_folder(home / "out", LOCK, "batch"):
        yield home / "out"


def workers() -> list[psutil.Process]:
    """The processes of this cluster that hold a network."""
    return [child for child in psutil.Process().children(recursive=True) if WORKER in child.name()]


def jobs_of(photos: Path, out: Path) -> list[Job]:
    found = sorted(path.relative_to(photos) for path in photos.rglob("*.png"))
    return [Job(name.as_posix(), photos / name, out / name, Outputs(), 0) for name in found]


def outcomes_of(
    engine: RayEngine, deblurrer: Deblurrer, out: Path, jobs: Iterable[Job], stop: Stop | None = None
) -> Iterator[Outcome]:
    work = PhotoWork(deblurrer, BatchOptions("iniknet", deblurrer.restorer.settings), out)
    concurrency: Concurrency = engine.concurrency(deblurrer.restorer, 100)
    return engine.outcomes(work, jobs, stop or Stop(), concurrency)


def status_of(outcomes: list[Outcome]) -> dict[str, Status]:
    return {outcome.entry.input: outcome.entry.status for outcome in outcomes}


@pytest.mark.usefixtures("cluster")
class TestEngine:
    def test_a_killed_worker_is_replaced(self, home: Path, deblurrer: Deblurrer, out: Path) -> None:
        names = [f"{number:02}.png" for number in range(10)]
        photos = make_photos(home / "photos", *names, height=120, width=120)
        outcomes = []
        killed: list[int] = []
        for outcome in outcomes_of(RayEngine(TWO), deblurrer, out, jobs_of(photos, out)):
            outcomes.append(outcome)
            if len(outcomes) == 2:
                victim = workers()[0]
                killed.append(victim.pid)
                victim.kill()
        assert killed
        assert status_of(outcomes) == dict.fromkeys(names, Status.DONE)
        assert len(outcomes) == len(names)
        assert not list(out.glob("**/.defocusctl-*.part"))
        torch.set_num_threads(1)  # as in the workers
        assert (
            defocusctl(
                "batch", photos, home / "undisturbed", "--weights", deblurrer.weights.path, "--scale", "1"
            ).code
            == 0
        )
        assert hashes(out) == hashes(home / "undisturbed")

    def test_a_photo_that_kills_its_workers_is_found_out(
        self, home: Path, deblurrer: Deblurrer, out: Path
    ) -> None:
        import ray

        photos = make_photos(home / "photos", "a.png", "b.png", BOMB, "c.png", "d.png")
        ray.cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["*"]))
        outcomes = list(outcomes_of(MinedEngine(ONE), deblurrer, out, jobs_of(photos, out)))
        bad = {outcome.entry.input: outcome.entry for outcome in outcomes if outcome.entry.status != "done"}
        assert list(bad) == [BOMB]
        assert bad[BOMB].exit_code == ExitCode.DEVICE
        assert f"{MAX_LOSSES} workers were lost" in str(bad[BOMB].error)
        assert len(outcomes) == 5

    def test_abandoning_tells_of_all_that_was_stored_and_of_nothing_else(
        self, home: Path, deblurrer: Deblurrer, out: Path
    ) -> None:
        names = [f"{number:02}.png" for number in range(12)]
        photos = make_photos(home / "photos", *names, height=120, width=120)
        done: list[Outcome] = []
        stop = Stop(abandoned=lambda: bool(done))
        for outcome in outcomes_of(RayEngine(ONE), deblurrer, out, jobs_of(photos, out), stop):
            done.append(outcome)
        assert 1 <= len(done) <= 1 + ONE.calls
        assert set(hashes(out)) == set(status_of(done))
        assert not list(out.glob(".*.part"))

    def test_outcomes_come_while_the_next_job_is_waited_for_and_stopping_ends_what_is_in_flight(
        self, home: Path, deblurrer: Deblurrer, out: Path
    ) -> None:
        photos = make_photos(home / "photos", *(f"{number:02}.png" for number in range(12)))
        ended = threading.Event()

        def slowly() -> Iterator[Job]:
            first, *others = jobs_of(photos, out)
            yield first
            ended.wait()  # for the first to be done
            yield from others

        done: list[Outcome] = []
        stop = Stop(requested=lambda: len(done) > 2)
        for outcome in outcomes_of(RayEngine(ONE), deblurrer, out, slowly(), stop):
            done.append(outcome)
            ended.set()
        assert done[0].entry.input == "00.png"
        assert 3 <= len(done) <= 3 + ONE.calls
        assert set(hashes(out)) == set(status_of(done))

    def test_workers_must_see_the_folder(self, home: Path, deblurrer: Deblurrer) -> None:
        photos = make_photos(home / "photos", "a.png")
        unseen = home / "unseen"
        with pytest.raises(OutputError, match="does not see the folder"):
            list(outcomes_of(RayEngine(ONE), deblurrer, unseen, jobs_of(photos, unseen)))


@dataclass(frozen=True)
class Mined(Assignment):
    """An assignment in which one photo ends the process that opens it."""

    def work(self) -> PhotoWork:
        work = super().work()
        fetch = work.fetch

        def explode(job: Job) -> tuple[bytes, str | None]:
            if job.name == BOMB:
                os._exit(1)
            return fetch(job)

        work.fetch = explode  # type: ignore[method-assign]
        return work


class MinedEngine(RayEngine):
    assignment = Mined


def test_the_command_works_on_a_cluster_that_runs(
    home: Path, bucket: str, weights: Path, cluster: str
) -> None:
    photos = make_photos(home / "photos", "a.png", "deep/b.png")
    (photos / "bad.png").write_bytes(b"no photo")
    upload(photos, f"{bucket}/in")
    call = ("batch", f"{bucket}/in", f"{bucket}/out", "--weights", weights, "--engine", "ray", "--jobs", 1)
    answer = defocusctl(*call, "--ray-address", cluster)
    assert answer.code == ExitCode.SOME_FAILED, answer.err
    done = objects(f"{bucket}/out")
    assert {name: entry["status"] for name, entry in entries(done["defocusctl-manifest.jsonl"]).items()} == {
        "a.png": "done",
        "bad.png": "failed",
        "deep/b.png": "done",
    }
    defocusctl("batch", photos, home / "out", "--weights", weights)
    for name in ("a.png", "deep/b.png"):
        there = np.asarray(Image.open(io.BytesIO(done[name])), dtype=int)
        here = np.asarray(Image.open(home / "out" / name), dtype=int)
        assert np.abs(there - here).max() <= 1  # the number of threads decides what is rounded


def test_photos_are_done_as_they_arrive(home: Path, weights: Path, cluster: str) -> None:
    make_photos(home / "photos", "a.png")

    def another(meanwhile: Meanwhile) -> None:
        meanwhile.wait_for("a.png", "done")
        make_photos(home / "photos", "b.png")
        meanwhile.wait_for("b.png", "done")

    call = ("batch", "photos", "out", "--weights", weights, "--engine", "ray", "--jobs", 1, "--watch")
    answer = Meanwhile(home / "out", another).command(*call, "--ray-address", cluster)
    assert answer.code == 0, answer.err
    assert set(hashes(home / "out")) == {"a.png", "b.png"}


def test_a_cluster_that_is_not_there_is_one_line(home: Path, weights: Path) -> None:
    make_photos(home / "photos", "a.png")
    address = dead_url().removeprefix("http://").partition("/")[0]
    call = ("batch", "photos", "out", "--weights", weights, "--engine", "ray", "--ray-address", address)
    answer = defocusctl(*call)
    assert answer.code == ExitCode.DEVICE
    assert answer.err.count("\n") == 1
    assert f"there is no Ray cluster at '{address}'" in answer.err
    assert not (home / "out").exists()


def test_an_address_is_for_ray_only(home: Path, weights: Path) -> None:
    make_photos(home / "photos", "a.png")
    answer = defocusctl("batch", "photos", "out", "--weights", weights, "--ray-address", "here:1")
    assert answer.code == ExitCode.USAGE
