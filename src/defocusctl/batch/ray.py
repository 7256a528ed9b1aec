"""The jobs of a batch on a Ray cluster, in workers that hold the network.

Ray restarts a worker that is lost. Its photos are done again, each by a worker that has nothing else, so
that a photo that kills whoever restores it is found out.
"""

import socket
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from defocusctl import __version__
from defocusctl.batch.engine import AbandonedError, Concurrency, OnBegin, Steps, Stop
from defocusctl.batch.jobs import BatchOptions, Job, Outcome
from defocusctl.batch.manifest import LOCK
from defocusctl.batch.places import Places
from defocusctl.batch.ray_cluster import Workers, in_short
from defocusctl.batch.work import PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import BugError, DefocusctlError, DeviceError, OutputError
from defocusctl.restoring.restorer import Restorer
from defocusctl.system.atomic import remove_abandoned
from defocusctl.weights.resolve import ResolvedWeights

MOST_LOSSES = 3
"""So many workers may be lost with a photo before it counts as the cause."""
POLL = 0.2
"""Seconds until the loop looks again whether it should stop or a new job has come."""
LOOK = "see the logs of Ray, or give the workers more memory (fewer with --jobs)"
GIVE_UP_WITHIN = 10.0
"""Seconds in which workers should end what was abandoned, before they are killed."""


@dataclass(frozen=True)
class Assignment:
    """Everything that the workers of a batch have in common; it can be pickled.

    ``content`` is the file of the weights: it need not be on their machines.
    """

    weights: ResolvedWeights
    content: bytes
    options: BatchOptions
    out: Path
    places: Places
    workers: Workers
    software: str = __version__

    @classmethod
    def of(cls, work: PhotoWork, workers: Workers) -> Self:
        """The same work for workers elsewhere."""
        weights = work.deblurrer.weights
        restoring = replace(work.options.restoring, device=workers.device)
        options = replace(work.options, restoring=restoring)
        places = Places(work.places.stores)
        return cls(weights, weights.path.read_bytes(), options, work.out.absolute(), places, workers)

    def work(self) -> PhotoWork:
        """Load the network and bring it to its device.

        Raises:
            WeightsError, DeviceError: if that is not possible here.
        """
        with tempfile.TemporaryDirectory(prefix="defocusctl-weights-") as folder:
            path = Path(folder) / self.weights.path.name
            path.write_bytes(self.content)
            weights = replace(self.weights, path=path)
            deblurrer = Deblurrer.from_resolved(weights, self.options.restoring)
        deblurrer.restorer.at_once = self.workers.per_node
        return PhotoWork(deblurrer, self.options, self.out, self.places)


class PhotoWorker:
    """An actor; its calls run in threads, so reading, restoring and writing overlap."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._abandoned = threading.Event()
        self._loading = threading.Lock()
        self._steps: Steps | None = None

    def prepare(self) -> None:
        """Load the network, unless it is there.

        Raises:
            DeviceError: if another version of this program is installed here, or there is no such device.
            OutputError: if the output folder is not here.
            WeightsError: if the weights cannot be loaded.
        """
        self._loaded()

    def do(self, job: Job) -> Outcome | None:
        """One photo from file to file; whatever goes wrong with it is its outcome. None if abandoned."""
        steps = self._loaded()
        try:
            opened = steps.open(job)
            return opened if isinstance(opened, Outcome) else steps.finish(opened)
        except AbandonedError:
            return None

    def abandon(self) -> None:
        """Let what is being restored end in nothing, with the tile at hand."""
        self._abandoned.set()

    def _loaded(self) -> Steps:
        import torch

        given, host = self._assignment, socket.gethostname()
        with self._loading:
            if self._steps is not None:
                return self._steps
            if given.software != __version__:
                raise DeviceError(
                    f"'{host}' has defocusctl {__version__}, this is {given.software}",
                    "install the same version",
                )
            if given.places.store_of(given.out) is None and not (given.out / LOCK).exists():
                raise OutputError(
                    f"'{host}' does not see the folder '{given.out}'",
                    "give one that all machines share, or a store such as s3://bucket/folder",
                )
            torch.set_num_threads(max(1, given.workers.cpus))
            self._steps = Steps(given.work(), 1, self._abandoned.is_set)
            return self._steps


class RayEngine:
    """An engine of actors, in the cluster that this process is connected to.

    Only jobs and their outcomes travel: workers read and write the photos themselves.
    """

    assignment = Assignment

    def __init__(self, workers: Workers, *, on_begin: OnBegin | None = None) -> None:
        self._workers = workers
        self._on_begin = on_begin

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """As of ``engine.Engine``."""
        del restorer  # its workers have their own
        workers = self._workers
        count = min(workers.number, photos) or 1
        return Concurrency(count, workers.cpus, count * (workers.calls - 1), count * workers.calls)

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """As of ``engine.Engine``.

        Raises:
            DefocusctlError: if no worker can be had: what the last one said.
        """
        workers = self._workers._replace(number=concurrency.computing)
        assignment = self.assignment.of(work, workers)
        with closing(_Feed(jobs)) as feed, closing(_Run(assignment, work, feed, stop, self._on_begin)) as run:
            yield from run.outcomes()


class _Feed:
    """Jobs from an iterable that may wait for them, for a loop that must not."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.ended = False
        """Whether there will be no further job."""
        self._jobs = iter(jobs)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._coming = self._pool.submit(next, self._jobs, None)

    def next(self, timeout: float) -> Job | None:
        """The next job, if there is one within ``timeout`` seconds; an error of the iterable is raised."""
        if self.ended:
            return None
        try:
            job = self._coming.result(timeout)
        except TimeoutError:
            return None
        if job is None:
            self.ended = True
        else:
            self._coming = self._pool.submit(next, self._jobs, None)
        return job

    def close(self) -> None:
        """Take no further job; one that is being waited for is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass(eq=False)
class _Worker:
    """An actor; ``ready`` once it has the network. ``room`` is how many more photos it can take."""

    actor: Any
    room: int = 0
    ready: bool = False
    jobs: list[Job] = field(default_factory=list)


class _Run:
    """One run: who does what, and what is to be done again."""

    def __init__(
        self, assignment: Assignment, work: PhotoWork, feed: _Feed, stop: Stop, on_begin: OnBegin | None
    ) -> None:
        import ray

        self._ray = ray
        self._wanted = assignment.workers
        self._work = work
        self._feed = feed
        self._stop = stop
        self._on_begin = on_begin
        self._calls: dict[Any, tuple[_Worker, Job | None]] = {}
        """What is under way: a photo, or None for a worker that loads the network."""
        self._again: deque[Job] = deque()
        self._losses: Counter[str] = Counter()
        """Workers that were lost with a photo, by its name."""
        self._unfinished: set[Path] = set()
        """Folders in which a lost worker may have left something."""
        self._in_vain = 0
        """Workers that were lost since the last outcome."""
        given = ray.put(assignment)
        wanted = assignment.workers
        actor = ray.remote(PhotoWorker).options(
            num_cpus=wanted.cpus,
            num_gpus=wanted.gpus,
            max_concurrency=wanted.calls + 1,
            max_restarts=-1,
            max_task_retries=-1,  # of all but photos: loading the network
        )
        self._workers = [_Worker(actor.remote(given)) for _ in range(wanted.number)]
        for worker in self._workers:
            self._prepare(worker)

    def outcomes(self) -> Generator[Outcome, None, None]:
        while not self._stop.abandoned():
            self._hand_out()
            photos = any(job is not None for _, job in self._calls.values())
            if not photos and (self._stop.stopping() or (self._feed.ended and not self._again)):
                return
            if self._calls:
                done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=POLL)
                for call in done:
                    yield from self._settle(call)
        yield from self._give_up()

    def close(self) -> None:
        """Give up what is in flight and end the workers; what they left unfinished is removed."""
        for _ in self._give_up():
            pass
        for worker in self._workers:
            self._ray.kill(worker.actor)
            self._note_unfinished(worker)
        for folder in self._unfinished:
            remove_abandoned(folder)

    def _give_up(self) -> Iterator[Outcome]:
        """Have the workers abandon their photos; the outcomes of those that they had stored before."""
        photos = [call for call, (_, job) in self._calls.items() if job is not None]
        if not photos:
            return
        for call in photos:
            del self._calls[call]
        for worker in self._workers:
            worker.actor.abandon.remote()
        ended, _ = self._ray.wait(photos, num_returns=len(photos), timeout=GIVE_UP_WITHIN)
        for call in ended:
            with suppress(self._ray.exceptions.RayError):
                outcome = self._ray.get(call)
                if outcome is not None:
                    yield outcome

    def _prepare(self, worker: _Worker) -> None:
        """Have a worker load the network; it gets photos when it has."""
        worker.ready, worker.room = False, 0
        self._calls[worker.actor.prepare.remote()] = (worker, None)

    def _hand_out(self) -> None:
        """Give jobs to whoever has room, those of lost workers first."""
        while not self._stop.stopping():
            if self._again:
                idle = next((worker for worker in self._workers if worker.ready and not worker.jobs), None)
                if idle is None:
                    return
                self._give(idle, self._again.popleft())
                idle.room = 0
                continue
            free = max(self._workers, key=lambda worker: worker.room)
            if free.room <= 0:
                return
            job = self._feed.next(timeout=0 if self._calls else POLL)
            if job is None:
                return
            if self._on_begin is not None:
                self._on_begin(job)
            self._give(free, job)

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.jobs.append(job)
        worker.room -= 1
        call = worker.actor.do.options(max_task_retries=0).remote(job.absolute())
        self._calls[call] = (worker, job)

    def _settle(self, call: Any) -> Iterator[Outcome]:
        """What comes of a call that has ended."""
        worker, job = self._calls.pop(call)
        try:
            outcome = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            problem = cause if isinstance(cause, DefocusctlError) else BugError(error)
            if job is None:
                self._dismiss(worker, problem)
                return
            outcome = self._work.failure(job, problem, None)
        except self._ray.exceptions.RayError as error:
            if job is None:
                self._dismiss(worker, DeviceError(f"a worker cannot begin ({in_short(error)})", LOOK))
            else:
                yield from self._lost(worker, job, error)
            return
        if job is None:
            worker.ready, worker.room = True, self._wanted.calls
            return
        worker.jobs.remove(job)
        worker.room = self._wanted.calls - len(worker.jobs) if worker.ready else 0
        self._in_vain = 0
        yield outcome

    def _dismiss(self, worker: _Worker, problem: DefocusctlError) -> None:
        """Do without a worker that cannot begin, as long as there are others."""
        self._ray.kill(worker.actor)
        self._workers.remove(worker)
        if not self._workers:
            raise problem

    def _lost(self, worker: _Worker, job: Job, error: Exception) -> Iterator[Outcome]:
        """Have a photo done again whose worker was lost, unless it has cost too many."""
        self._note_unfinished(worker)
        worker.jobs.remove(job)
        if worker.ready:
            self._in_vain += 1
            self._prepare(worker)
        self._losses[job.name] += 1
        if self._losses[job.name] < MOST_LOSSES:
            self._again.append(job.replacing())  # it may have been written but not reported
        else:
            self._in_vain = 0
            problem = DeviceError(f"{MOST_LOSSES} workers were lost while they had '{job.source}'", LOOK)
            yield self._work.failure(job, problem, None)
        if self._in_vain > MOST_LOSSES * self._wanted.number:
            raise DeviceError(
                f"the workers of the Ray cluster are lost again and again ({in_short(error)})", LOOK
            )

    def _note_unfinished(self, worker: _Worker) -> None:
        model = self._work.options.model
        self._unfinished.update(path.parent for job in worker.jobs for path in job.files(model))
