"""Runs the jobs of a batch on a Ray cluster, in workers that hold the network.

Only jobs and outcomes are sent: workers read and write the photos themselves. Here, one thread waits for each
photo in flight. Ray restarts a lost worker; each of its photos is retried alone on a worker, to identify a
photo that kills its worker. Ray's own retries could not: they repeat all of a worker's photos together.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from defocusctl.batch.engine import Concurrency, Stop, run_in_threads
from defocusctl.batch.jobs import Job
from defocusctl.batch.ray_workers import Assignment, PhotoWorker, Workers, shortened
from defocusctl.batch.restore_queue import AbandonedError, OnStart
from defocusctl.batch.work import Outcome, PhotoWork
from defocusctl.errors import BugError, DefocusctlError, DeviceError
from defocusctl.restoring.restorer import Restorer
from defocusctl.system.atomic import remove_abandoned

MAX_LOSSES = 3  # after this many workers were lost with the same photo, it counts as the cause
POLL = 0.2  # seconds between checks whether to stop
REMEDY = "see the logs of Ray, or give the workers more memory (fewer with --jobs)"
SHUTDOWN_TIMEOUT = 10.0  # seconds that workers get to abandon their photos before they are killed


@dataclass(frozen=True)
class RayEngine:
    """An engine of Ray actors, on the cluster that this process is connected to."""

    workers: Workers
    on_start: OnStart = lambda _: None
    assignment: ClassVar[type[Assignment]] = Assignment

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        del restorer  # each worker has its own
        workers = self.workers
        count = min(workers.number, photos) or 1
        return Concurrency(count, workers.cpus, count * (workers.calls - 1), count * workers.calls)

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """See ``engine.Engine``.

        Raises:
            DefocusctlError: if no worker can be started; the error of the last one.
        """
        workers = self.workers._replace(number=concurrency.computing)
        with closing(_Run(self.assignment.of(work, workers), work, stop, self.on_start)) as run:
            yield from run_in_threads(concurrency.photos, jobs, stop, run.do_next, run.closed)


@dataclass(eq=False)
class _Worker:
    """An actor, ``ready`` once it has loaded the network; ``room`` is how many more photos it can take."""

    actor: Any
    room: int
    ready: bool = False


class _Run:
    """The workers of one run, and the state shared by the threads that wait for them."""

    def __init__(self, assignment: Assignment, work: PhotoWork, stop: Stop, on_start: OnStart) -> None:
        import ray

        self.closed = threading.Event()
        self._ray = ray
        self._work = work
        self._stop = stop
        self._on_start = on_start
        self._spec = spec = assignment.workers
        self._problem: DefocusctlError | None = None  # why there are no workers left
        self._losses_in_a_row = 0  # workers lost since the last outcome
        self._unfinished: set[Path] = set()  # folders in which a lost worker may have left unfinished files
        actor = ray.remote(PhotoWorker).options(
            num_cpus=spec.cpus,
            num_gpus=spec.gpus,
            max_concurrency=spec.calls + 1,
            max_restarts=-1,
            max_task_retries=-1,  # for loading the network; photos override it
        )
        self._assignment = ray.put(assignment)  # kept for workers that are restarted
        self._workers = [_Worker(actor.remote(self._assignment), spec.calls) for _ in range(spec.number)]
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._threads = ThreadPoolExecutor(spec.number + 1, thread_name_prefix="ray")
        self._threads.submit(self._end_workers, list(self._workers))
        for worker in self._workers:
            self._threads.submit(self._prepare, worker)

    def do_next(self, next_job: Callable[[], Job | None]) -> Outcome | None:
        """Run the next job as soon as a worker has room for it; None if there are no more jobs."""
        job = next_job()
        if job is None:
            return None
        for losses in range(MAX_LOSSES):
            need = self._spec.calls if losses else 1
            with self._worker_with_room(need, started=losses > 0) as worker:
                if losses == 0:
                    self._on_start(job)
                outcome = self._run_on(worker, job)
            if outcome is not None:
                return outcome
            job = job.replacing()  # its files may have been written before the worker was lost
        problem = DeviceError(f"{MAX_LOSSES} workers were lost while restoring '{job.source}'", REMEDY)
        return self._work.failure(job, problem)

    def close(self) -> None:
        """Stop the workers and remove their unfinished files."""
        self._ended.set()
        self._threads.shutdown()
        for folder in self._unfinished:
            remove_abandoned(folder)

    @contextmanager
    def _worker_with_room(self, need: int, *, started: bool) -> Iterator[_Worker]:
        """Wait for a worker with room for ``need`` more photos, unless the photo is abandoned."""
        worker = None
        with self._changed:
            while worker is None:
                if self._is_abandoned() or (self._stop.stopping() and not started):
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

    def _run_on(self, worker: _Worker, job: Job) -> Outcome | None:
        """Run a job on a worker; None if the worker was lost."""
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
        self._losses_in_a_row = 0
        return outcome

    def _lost(self, worker: _Worker, job: Job, error: Exception) -> None:
        """Send a worker no photos until Ray has restarted it."""
        with self._changed:
            self._unfinished.update(path.parent for path in job.files(self._work.options.model))
            if self._is_abandoned():
                raise AbandonedError
            if not worker.ready:
                return
            worker.ready = False
            self._losses_in_a_row += 1
            if self._losses_in_a_row > MAX_LOSSES * self._spec.number:
                raise DeviceError(f"the Ray cluster keeps losing its workers ({shortened(error)})", REMEDY)
            self._threads.submit(self._prepare, worker)

    def _prepare(self, worker: _Worker) -> None:
        """In a thread: have a worker load the network; drop it if it cannot."""
        problem: DefocusctlError | None = None
        try:
            self._ray.get(worker.actor.prepare.remote())
        except self._ray.exceptions.RayTaskError as error:
            problem = _cause(error)
        except self._ray.exceptions.RayError as error:
            problem = DeviceError(f"a worker cannot start ({shortened(error)})", REMEDY)
        with self._changed:
            worker.ready = problem is None
            if problem is not None:
                self._workers.remove(worker)
                self._problem = None if self._workers else problem
            self._changed.notify_all()

    def _end_workers(self, workers: list[_Worker]) -> None:
        """In a thread: have photos in flight abandoned when the run is, then kill all workers."""
        while not self._is_abandoned():
            self.closed.wait(POLL)
        for worker in workers:
            worker.actor.abandon.options(max_task_retries=0).remote()
        self._ended.wait(SHUTDOWN_TIMEOUT)
        for worker in workers:
            self._ray.kill(worker.actor)

    def _is_abandoned(self) -> bool:
        return self.closed.is_set() or self._stop.abandoned()


def _cause(error: Any) -> DefocusctlError:
    """The error that a worker raised, unwrapped from Ray's."""
    return error.cause if isinstance(error.cause, DefocusctlError) else BugError(error)
