"""Photos that wait to be restored: small ones of one size share a batch, whatever the engine."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from defocusctl.batch.jobs import Job
from defocusctl.batch.work import Opened, Outcome, PhotoWork
from defocusctl.restoring.restored import Restored

OnStart = Callable[[Job], None]
"""Called with each job when its restoration starts; possibly from another thread."""

OnTile = Callable[[Job, int, int], None]
"""Called with each job's tiles done and in total; possibly from another thread."""


class AbandonedError(BaseException):
    """The photo was abandoned."""


class _Waiting(NamedTuple):
    opened: Opened
    restored: "Future[Restored]"


@dataclass(eq=False)
class RestoreQueue:
    """Finishes photos for many threads; ``computing`` threads of its own restore.

    A free one takes the photo that has waited longest, with waiting photos of that size as one batch if the
    network has room for them. Once ``abandoned``, restoring stops after the current tile; once a stop is
    ``requested``, no waiting photo is begun.
    """

    work: PhotoWork
    computing: int
    abandoned: Callable[[], bool]
    requested: Callable[[], bool] = lambda: False
    on_start: OnStart = lambda _: None
    on_tile: OnTile = lambda *_: None

    def __post_init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self.computing, thread_name_prefix="restore")

    def finish(self, opened: Opened) -> Outcome:
        """Wait for the photo to be restored and write it; an error becomes its outcome.

        Raises:
            AbandonedError: if it was abandoned; nothing is written then.
        """
        started = time.perf_counter()
        waiting = _Waiting(opened, Future())
        try:
            with self._lock:
                self._waiting.append(waiting)
            self._pool.submit(self._restore_next)
            restored = waiting.restored.result()
            seconds = time.perf_counter() - started
            self._check_abandoned()
            return self.work.store(opened, restored, seconds)
        except Exception as error:
            return self.work.failure(opened.job, error, opened.entry)

    def close(self) -> None:
        """Wait for submitted work, then end the threads."""
        self._pool.shutdown()

    def _restore_next(self) -> None:
        """Restore the next batch, if there is one: a photo may have been part of an earlier one."""
        with self._lock:
            if not self._waiting:
                return
            size = self._waiting[0].opened.photo.size
            room = self.work.deblurrer.restorer.planner.room_for(size)
            group = [one for one in self._waiting if one.opened.photo.size == size][:room]
            for one in group:
                self._waiting.remove(one)
        if self.requested():
            for one in group:
                one.restored.set_exception(AbandonedError())
        else:
            self._restore_group(group)

    def _restore_group(self, group: Sequence[_Waiting]) -> None:
        try:
            for one, restored in zip(group, self._restore([one.opened for one in group]), strict=True):
                one.restored.set_result(restored)
        except BaseException as error:
            if len(group) == 1:
                group[0].restored.set_exception(error)
            else:  # restore one at a time, so that only the bad one fails
                for one in group:
                    self._restore_group([one])

    def _restore(self, group: Sequence[Opened]) -> list[Restored]:
        def report(done: int, total: int) -> None:
            self._check_abandoned()
            for one in group:
                self.on_tile(one.job, done, total)

        self._check_abandoned()
        for one in group:
            self.on_start(one.job)
        return self.work.restore(group, on_tile=report)

    def _check_abandoned(self) -> None:
        if self.abandoned():
            raise AbandonedError
