"""The jobs of a batch on a Ray cluster, in workers that hold the network.

Only jobs and their outcomes travel: workers read and write the photos themselves. Here a thread waits for
each photo in flight. Ray restarts a worker that is lost; its photos are done again, each by a worker that
has nothing else, so that a photo that kills whoever restores it is found out.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defocusctl.batch.engine import AbandonedError, Concurrency, OnBegin, Stop, outcomes_of_threads
from defocusctl.batch.jobs import Job, Outcome
from defocusctl.batch.ray_cluster import Workers, in_short
from defocusctl.batch.ray_worker import Assignment, PhotoWorker
from defocusctl.batch.work import PhotoWork
from defocusctl.errors import BugError, DefocusctlError, DeviceError
from defocusctl.restoring.restorer import Restorer
from defocusctl.system.atomic import remove_abandoned

MOST_LOSSES = 3
"""So many workers may be lost with a photo before it counts as the cause."""
POLL = 0.2
"""Seconds until a thread looks again whether it should stop."""
LOOK = "see the logs of Ray, or give the workers more memory (fewer with --jobs)"
GIVE_UP_WITHIN = 10.0
"""Seconds in which workers should end what was abandoned, before they are killed."""


class RayEngine:
    """An engine of actors, in the cluster that this process is connected to."""

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
        run = _Run(self.assignment.of(work, workers), work, stop, self._on_begin)
        try:
            yield from outcomes_of_threads(concurrency.photos, jobs, stop, run.do_next, run.closed)
        finally:
            run.end()


@dataclass(eq=False)
class _Worker:
    """An actor; ``ready`` while it has the network. ``room`` is how many more photos it can take."""

    actor: Any
    room: int
    ready: bool = False


class _Run:
    """The workers of one run, and what the threads that wait for them share."""

    def __init__(self, assignment: Assignment, work: PhotoWork, stop: Stop, on_begin: OnBegin | None) -> None:
        import ray

        self.closed = threading.Event()
        self._ray = ray
        self._work = work
        self._stop = stop
        self._on_begin = on_begin
        self._wanted = wanted = assignment.workers
        self._problem: DefocusctlError | None = None
        """Why no worker is left."""
        self._in_vain = 0
        """Workers that were lost since the last outcome."""
        self._unfinished: set[Path] = set()
        """Folders in which a lost worker may have left something."""
        actor = ray.remote(PhotoWorker).options(
            num_cpus=wanted.cpus,
            num_gpus=wanted.gpus,
            max_concurrency=wanted.calls + 1,
            max_restarts=-1,
            max_task_retries=-1,  # of all but photos: loading the network
        )
        self._assignment = ray.put(assignment)  # kept: a worker that is restarted gets it again
        self._workers = [_Worker(actor.remote(self._assignment), wanted.calls) for _ in range(wanted.number)]
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        for worker in self._workers:
            self._start(self._prepare, worker)
        self._start(self._end_workers)

    def do_next(self, next_job: Callable[[], Job | None]) -> Outcome | None:
        """Have a job done as soon as a worker has room for it; None if there is none to do."""
        job = next_job()
        losses = 0
        while job is not None and losses < MOST_LOSSES:
            first = losses == 0
            with self._room(1 if first else self._wanted.calls, begun=not first) as worker:
                if first and self._on_begin is not None:
                    self._on_begin(job)
                outcome = self._done_by(worker, job)
            if outcome is not None:
                return outcome
            losses += 1
            job = job.replacing()  # it may have been written but not reported
        if job is None:
            return None
        problem = DeviceError(f"{MOST_LOSSES} workers were lost while they had '{job.source}'", LOOK)
        return self._work.failure(job, problem)

    def end(self) -> None:
        """End the workers; what they left unfinished is removed."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for folder in self._unfinished:
            remove_abandoned(folder)

    @contextmanager
    def _room(self, need: int, *, begun: bool) -> Iterator[_Worker]:
        """A worker with room for so many more photos, when there is one.

        Raises:
            AbandonedError: if the photo is given up, or not ``begun`` and not to be begun any more.
            DefocusctlError: if no worker is left.
        """
        worker = None
        with self._changed:
            while worker is None:
                if self._given_up() or (self._stop.stopping() and not begun):
                    raise AbandonedError
                if self._problem is not None:
                    raise self._problem
                free = [one for one in self._workers if one.ready and one.room >= need]
                worker = max(free, key=lambda one: one.room, default=None)
                if worker is None:
                    self._changed.wait(POLL)
            worker.room -= need
        try:
            yield worker
        finally:
            with self._changed:
                worker.room += need
                self._changed.notify_all()

    def _done_by(self, worker: _Worker, job: Job) -> Outcome | None:
        """What comes of a job; None if the worker was lost with it."""
        try:
            call = worker.actor.do.options(max_task_retries=0).remote(job.absolute())
            outcome: Outcome | None = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            return self._work.failure(job, _cause(error))
        except self._ray.exceptions.RayError as error:
            self._lost(worker, job, error)
            return None
        if outcome is None:
            raise AbandonedError
        self._in_vain = 0
        return outcome

    def _lost(self, worker: _Worker, job: Job, error: Exception) -> None:
        """Give a worker nothing until Ray has started it again."""
        with self._changed:
            self._unfinished.update(path.parent for path in job.files(self._work.options.model))
            if self._given_up():
                raise AbandonedError
            if not worker.ready:
                return
            worker.ready = False
            self._in_vain += 1
            if self._in_vain > MOST_LOSSES * self._wanted.number:
                raise DeviceError(
                    f"the workers of the Ray cluster are lost again and again ({in_short(error)})", LOOK
                )
            self._start(self._prepare, worker)

    def _prepare(self, worker: _Worker) -> None:
        """In a thread: have a worker load the network; do without one that cannot."""
        problem: DefocusctlError | None = None
        try:
            self._ray.get(worker.actor.prepare.remote())
        except self._ray.exceptions.RayTaskError as error:
            problem = _cause(error)
        except self._ray.exceptions.RayError as error:
            problem = DeviceError(f"a worker cannot begin ({in_short(error)})", LOOK)
        with self._changed:
            worker.ready = problem is None
            if problem is not None:
                self._workers.remove(worker)
                self._problem = None if self._workers else problem
            self._changed.notify_all()

    def _end_workers(self) -> None:
        """In a thread: have photos in flight abandoned when they are given up, and end all workers."""
        workers = list(self._workers)
        while not self._given_up():
            self.closed.wait(POLL)
        for worker in workers:
            worker.actor.abandon.options(max_task_retries=0).remote()
        self._ended.wait(GIVE_UP_WITHIN)
        for worker in workers:
            self._ray.kill(worker.actor)

    def _given_up(self) -> bool:
        return self.closed.is_set() or self._stop.abandoned()

    def _start(self, target: Callable[..., None], *arguments: _Worker) -> None:
        thread = threading.Thread(target=target, args=arguments, name="ray", daemon=True)
        self._threads.append(thread)
        thread.start()


def _cause(error: Any) -> DefocusctlError:
    """What a worker raised, which Ray has wrapped."""
    return error.cause if isinstance(error.cause, DefocusctlError) else BugError(error)
