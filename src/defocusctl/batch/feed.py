"""Jobs from an iterable that may wait for them, for a loop that must not."""

import threading
from collections.abc import Iterable
from queue import Empty, Full, Queue

from defocusctl.batch.job import Job

PATIENCE = 0.2
"""Seconds until the thread looks whether somebody still wants a job."""


class JobFeed:
    """Takes jobs from an iterable in a thread of its own, one ahead of those who ask."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.ended = False
        """Whether there will be no further job."""
        self._jobs = iter(jobs)
        self._queue: Queue[Job | BaseException | None] = Queue(1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._take, name="jobs", daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> Job | None:
        """The next job, if there is one within ``timeout`` seconds.

        Raises:
            What taking it from the iterable raised.
        """
        if self.ended:
            return None
        try:
            job = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
        except Empty:
            return None
        if isinstance(job, BaseException):
            raise job
        self.ended = job is None
        return job

    def close(self) -> None:
        """Take no further job; one that is being waited for is not waited for."""
        self._closed.set()

    def _take(self) -> None:
        try:
            for job in self._jobs:
                self._put(job)
                if self._closed.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, job: Job | BaseException | None) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(job, timeout=PATIENCE)
            except Full:
                continue
            return
