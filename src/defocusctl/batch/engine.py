"""What all engines share: when to stop, how many photos at once, and the steps for one photo.

An engine turns jobs into outcomes, in threads of this process (``local``) or on a cluster (``ray``).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import torch

from defocusctl.batch.jobs import Job, Outcome
from defocusctl.batch.work import Opened, PhotoWork, Source
from defocusctl.geometry import Size
from defocusctl.restoring.restorer import Restored, Restorer

OnStart = Callable[[Job], None]
"""Called with each job when its restoration starts; possibly from another thread."""

OnTile = Callable[[Job, int, int], None]
"""Called with each job's tiles done and in total; possibly from another thread."""


@dataclass
class Stop:
    """When to start no more photos: if ``requested``, or after more than ``max_failures`` failures.

    ``failures`` counts those of this run; ``ended`` is set when nothing more can be done. ``abandoned`` says
    whether to abandon the photos in flight as well. Safe to call from any thread.
    """

    requested: Callable[[], bool] = lambda: False
    abandoned: Callable[[], bool] = lambda: False
    max_failures: int | None = None
    failures: int = 0
    ended: bool = False

    def stopping(self) -> bool:
        """True if no more photos should start; this also ends an endless iterable of jobs."""
        return self.ended or self.too_many or self.requested() or self.abandoned()

    @property
    def too_many(self) -> bool:
        return self.max_failures is not None and self.failures > self.max_failures


class Concurrency(NamedTuple):
    """``computing`` photos are restored at once, with ``threads`` threads each; ``reading`` are read at once.

    At most ``photos`` are in memory: being read, waiting, being restored or being written.
    """

    computing: int
    threads: int
    reading: int
    photos: int


class Engine(Protocol):
    """Runs jobs. A job's error becomes its outcome; an engine raises only if it cannot continue at all."""

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """The concurrency for ``photos`` photos."""
        ...

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """Yield one outcome per started job as it finishes, in any order.

        Jobs are taken when needed: the iterable may be endless, and its ``next`` may block. Once
        ``stop.stopping()`` is true, no job starts and those in flight finish. Once ``stop.abandoned()`` is
        true, those in flight are abandoned: only jobs already stored still yield outcomes. Closing the
        generator abandons them too, without outcomes. After that nothing is written and no unfinished file
        remains.
        """
        ...


@contextmanager
def torch_threads(concurrency: Concurrency) -> Iterator[None]:
    """Limit PyTorch in this block to the threads that each photo gets."""
    before = torch.get_num_threads()
    torch.set_num_threads(concurrency.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class AbandonedError(BaseException):
    """The photo was abandoned."""


def run_in_threads(
    count: int,
    jobs: Iterable[Job],
    stop: Stop,
    do_next: Callable[[Callable[[], Job | None]], Outcome | None],
    closed: threading.Event,
) -> Generator[Outcome, None, None]:
    """Yield the outcomes of ``count`` threads, each of which calls ``do_next`` until it returns None.

    ``do_next`` is called with a function that returns the next job, if any, and runs that job to its end; it
    may raise ``AbandonedError``. ``closed`` is set when the generator closes, to abandon photos in flight.
    """
    pending, lock = iter(jobs), threading.Lock()
    free = threading.Semaphore(count)  # a thread waits until its last outcome, which may say stop, is handled
    ended: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def next_job() -> Job | None:
        with lock:
            return None if closed.is_set() or stop.stopping() else next(pending, None)

    def work() -> None:
        try:
            while free.acquire() and (outcome := do_next(next_job)) is not None:
                ended.put(outcome)
        except AbandonedError:
            pass
        except BaseException as error:
            ended.put(error)
        finally:
            ended.put(None)

    threads = [threading.Thread(target=work, name="photo") for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        running = count
        while running:
            outcome = ended.get()
            if outcome is None:
                running -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
                free.release()
    finally:
        closed.set()
        free.release(count)
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class _Request:
    opened: Opened
    restored: "Future[Restored]" = field(default_factory=Future)


class Steps:
    """The steps for one photo, called from many threads; ``computing`` threads of its own restore.

    A free one takes the photo that has waited longest, with up to ``room_for`` waiting photos of that size as
    one batch. Once ``abandoned``, restoring stops after the current tile; once a stop is ``requested``, no
    waiting photo is begun.
    """

    def __init__(
        self,
        work: PhotoWork,
        computing: int,
        abandoned: Callable[[], bool],
        *,
        requested: Callable[[], bool] = lambda: False,
        room_for: Callable[[Size], int] | None = None,
        on_start: OnStart | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        self._work = work
        self._abandoned = abandoned
        self._requested = requested
        self._room_for = room_for or work.deblurrer.restorer.room_for
        self._on_start = on_start
        self._on_tile = on_tile
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(computing, thread_name_prefix="restore")

    def open(self, job: Job) -> Opened | Outcome:
        """Read the photo; return a failed outcome if that is not possible."""
        source: Source | None = None
        try:
            data, source = self._work.fetch(job)
            return self._work.open(job, data, source)
        except Exception as error:
            return self._work.failure(job, error, source)

    def finish(self, opened: Opened) -> Outcome:
        """Wait for the photo to be restored and write it; an error becomes its outcome.

        Raises:
            AbandonedError: if it was abandoned; nothing is written then.
        """
        started = time.perf_counter()
        request = _Request(opened)
        try:
            with self._lock:
                self._waiting.append(request)
            self._pool.submit(self._serve)
            restored = request.restored.result()
            seconds = time.perf_counter() - started
            self._check_abandoned()
            return Outcome(opened.job, self._work.store(opened, restored, seconds), fatal=False)
        except Exception as error:
            return self._work.failure(opened.job, error, opened.source)

    def close(self) -> None:
        """Wait for submitted work, then end the threads."""
        self._pool.shutdown()

    def _serve(self) -> None:
        """Restore the next batch, if its photos were not part of an earlier one."""
        with self._lock:
            group = self._next_group()
        if group and self._requested():
            for request in group:
                request.restored.set_exception(AbandonedError())
        elif group:
            self._restore_group(group)

    def _restore_group(self, group: Sequence[_Request]) -> None:
        try:
            for request, restored in zip(group, self._restore(group), strict=True):
                request.restored.set_result(restored)
        except BaseException as error:
            if len(group) == 1:
                group[0].restored.set_exception(error)
            else:  # restore one at a time, so that only the bad one fails
                for request in group:
                    self._restore_group([request])

    def _next_group(self) -> list[_Request]:
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        size = first.opened.photo.size
        room = self._room_for(size) - 1
        others = [request for request in self._waiting if request.opened.photo.size == size][:room]
        for other in others:
            self._waiting.remove(other)
        return [first, *others]

    def _restore(self, group: Sequence[_Request]) -> list[Restored]:
        opened = [request.opened for request in group]

        def report(done: int, total: int) -> None:
            self._check_abandoned()
            for one in opened:
                if self._on_tile is not None:
                    self._on_tile(one.job, done, total)

        self._check_abandoned()
        for one in opened:
            if self._on_start is not None:
                self._on_start(one.job)
        return self._work.restore(opened, on_tile=report)

    def _check_abandoned(self) -> None:
        if self._abandoned():
            raise AbandonedError
