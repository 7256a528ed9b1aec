"""The jobs of a batch on a Ray cluster: a pool of workers that hold the network, and what is in flight."""

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from defocusctl.batch.engine import OnBegin
from defocusctl.batch.feed import JobFeed
from defocusctl.batch.job import Job, Outcome
from defocusctl.batch.ray_cluster import Crew, in_short
from defocusctl.batch.ray_worker import Assignment, PhotoWorker
from defocusctl.batch.stop import Stop
from defocusctl.batch.work import PhotoWork
from defocusctl.errors import BugError, DefocusctlError, DeviceError
from defocusctl.system.atomic import remove_abandoned

MOST_LOSSES = 3
"""So many workers may be lost with a photo before it counts as the cause."""
POLL = 0.2
"""Seconds until the loop looks again whether it should stop or a new job has come."""
LOOK = "see the logs of Ray, or give the workers more memory (fewer with --jobs)"
GIVE_UP_WITHIN = 10.0
"""Seconds in which workers should end what was abandoned, before they are killed."""


class RayEngine:
    """An engine of actors, in the cluster that this process is connected to.

    Only jobs and their outcomes travel: workers read and write the photos themselves. A worker that is lost
    is replaced and its photos are done by others: one of these at a time on a worker of its own, so that a
    photo that kills whoever restores it is found out. ``work`` makes the outcome of such a photo.
    """

    def __init__(
        self, assignment: Assignment, crew: Crew, work: PhotoWork, *, on_begin: OnBegin | None = None
    ) -> None:
        self._assignment = assignment
        self._crew = crew
        self._work = work
        self._on_begin = on_begin

    def outcomes(self, jobs: Iterable[Job], stop: Stop) -> Generator[Outcome, None, None]:
        """As of ``engine.Engine``.

        Raises:
            DefocusctlError: if no worker can be had: what the last one said.
        """
        feed = JobFeed(jobs)
        run = _Run(self._assignment, self._crew, self._work, feed, stop, self._on_begin)
        try:
            yield from run.outcomes()
        finally:
            feed.close()
            run.close()


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
        self,
        assignment: Assignment,
        crew: Crew,
        work: PhotoWork,
        feed: JobFeed,
        stop: Stop,
        on_begin: OnBegin | None,
    ) -> None:
        import ray

        self._ray = ray
        self._assignment = ray.put(assignment)
        self._actor = ray.remote(PhotoWorker).options(
            num_cpus=crew.cpus, num_gpus=crew.gpus, max_concurrency=crew.calls + 1, max_restarts=0
        )
        self._crew = crew
        self._work = work
        self._feed = feed
        self._stop = stop
        self._on_begin = on_begin
        self._workers: list[_Worker] = []
        self._calls: dict[Any, tuple[_Worker, Job | None]] = {}
        """What is under way: a photo, or None for a worker that loads the network."""
        self._again: deque[Job] = deque()
        self._losses: Counter[str] = Counter()
        """Workers that were lost with a photo, by its name."""
        self._unfinished: set[Path] = set()
        """Folders in which a lost worker may have left something."""
        self._vain = 0
        """Workers that ended since the last outcome."""

    def outcomes(self) -> Generator[Outcome, None, None]:
        for _ in range(self._crew.workers):
            self._hire()
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

    def _hire(self) -> None:
        worker = _Worker(self._actor.remote(self._assignment))
        self._workers.append(worker)
        self._calls[worker.actor.prepare.remote()] = (worker, None)

    def _hand_out(self) -> None:
        """Give jobs to whoever has room, those of lost workers first."""
        while not self._stop.stopping():
            if self._again:
                idle = next((worker for worker in self._workers if worker.ready and not worker.jobs), None)
                if idle is None:
                    return
                self._give(idle, self._again.popleft(), alone=True)
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

    def _give(self, worker: _Worker, job: Job, *, alone: bool = False) -> None:
        worker.jobs.append(job)
        worker.room = 0 if alone else worker.room - 1
        self._calls[worker.actor.do.remote(job.absolute())] = (worker, job)

    def _settle(self, call: Any) -> Iterator[Outcome]:
        """What comes of a call that has ended."""
        worker, job = self._calls.pop(call)
        try:
            answer = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            problem = cause if isinstance(cause, DefocusctlError) else BugError(error)
            if job is None:
                self._dismiss(worker, problem)
                return
            answer = self._work.failure(job, problem, None)
        except self._ray.exceptions.RayError as error:
            yield from self._replace(worker, error)
            return
        if job is None:
            worker.ready, worker.room = True, self._crew.calls
            return
        worker.jobs.remove(job)
        worker.room = self._crew.calls - len(worker.jobs)
        self._vain = 0
        yield answer

    def _dismiss(self, worker: _Worker, problem: DefocusctlError) -> None:
        """Do without a worker that cannot begin, as long as there are others."""
        self._ray.kill(worker.actor)
        self._workers.remove(worker)
        if not self._workers:
            raise problem

    def _replace(self, worker: _Worker, error: Exception) -> Iterator[Outcome]:
        """Hire another worker for one that was lost, and have its photos done again."""
        self._ray.kill(worker.actor)  # perhaps only the connection was lost
        self._workers.remove(worker)
        self._calls = {call: about for call, about in self._calls.items() if about[0] is not worker}
        self._note_unfinished(worker)
        for lost in worker.jobs:
            self._losses[lost.name] += 1
            if self._losses[lost.name] < MOST_LOSSES:
                self._again.append(lost.replacing())  # it may have been written but not reported
            else:
                self._vain = 0
                yield self._work.failure(lost, _deadly(lost), None)
        self._vain += 1
        if self._vain > MOST_LOSSES * self._crew.workers:
            raise DeviceError(
                f"the workers of the Ray cluster are lost again and again ({in_short(error)})", LOOK
            )
        self._hire()

    def _note_unfinished(self, worker: _Worker) -> None:
        model = self._work.deblurrer.weights.model
        self._unfinished.update(path.parent for job in worker.jobs for path in job.files(model))


def _deadly(job: Job) -> DeviceError:
    return DeviceError(f"{MOST_LOSSES} workers were lost while they had '{job.source}'", LOOK)
