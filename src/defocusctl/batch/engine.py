"""Runs the jobs of a batch: when to stop, how many photos at once, and the engine of this process.

An engine turns jobs into outcomes, in threads of this process or on a cluster (``ray``).
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import torch

from defocusctl.batch.jobs import Job
from defocusctl.batch.restore_queue import AbandonedError, OnStart, OnTile, RestoreQueue
from defocusctl.batch.work import Opened, Outcome, PhotoWork
from defocusctl.restoring.restorer import Restorer
from defocusctl.system.interruption import next_of
from defocusctl.system.threads import torch_threads

PIXELS_PER_WORKER = 150_000_000
"""Reading pauses while the photos in memory exceed this many pixels per photo being restored."""
AHEAD = 2  # photos being read or written while others are restored on a CPU
GPU_READERS = 4  # photos decoded at the same time for a GPU, which a single decoder could not keep busy
GPU_AHEAD = 16  # photos being read, written or waiting for a GPU, enough to batch small ones


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
            outcome = next_of(ended)
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
class LocalEngine:
    """An engine of threads, each of which takes one photo from file to file.

    There are ``Concurrency.photos`` threads; ``Concurrency.reading`` of them may read at once, and
    ``Concurrency.computing`` more threads restore. ``jobs`` requests that many photos at once.
    """

    jobs: int | None = None
    on_start: OnStart = lambda _: None
    on_tile: OnTile = lambda *_: None

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        return choose_concurrency(
            restorer.device.type,
            photos=photos,
            threads=torch.get_num_threads(),
            affordable=restorer.planner.max_concurrency(),
            jobs=self.jobs,
        )

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """See ``Engine``; an abandoned photo stops after its current tile."""
        closed = threading.Event()
        reading = threading.Semaphore(concurrency.reading)
        memory = _PixelLimit(PIXELS_PER_WORKER * concurrency.computing)
        work.deblurrer.restorer.concurrency = concurrency.computing
        work.deblurrer.restorer.follows_load = self.jobs is None
        queue = RestoreQueue(
            work,
            concurrency.computing,
            lambda: closed.is_set() or stop.abandoned(),
            requested=stop.requested,
            on_start=self.on_start,
            on_tile=self.on_tile,
        )

        def do_next(next_job: Callable[[], Job | None]) -> Outcome | None:
            with reading:
                memory.wait()
                job = next_job()
                opened = None if job is None else work.open(job)
            if not isinstance(opened, Opened):
                return opened
            with memory.holding(opened.photo.size.pixels):
                return queue.finish(opened)

        with torch_threads(concurrency.threads), closing(queue):
            yield from run_in_threads(concurrency.photos, jobs, stop, do_next, closed)


def choose_concurrency(
    device: str, *, photos: int, threads: int, affordable: int, jobs: int | None
) -> Concurrency:
    """Concurrency for ``photos`` photos on a device ("cpu", "cuda", "mps").

    A CPU never uses more than ``threads`` threads. By default each restores a photo of its own, so that none
    waits for another (benchmarks/batch.py compares both), up to the ``affordable`` photos that fit into
    memory. ``jobs`` requests another number of photos at once; their threads then depend on nothing else, so
    that a resumed batch rounds as before. A GPU restores one photo at a time unless ``jobs`` says otherwise.
    """
    if device != "cpu":
        return Concurrency(jobs or 1, threads, GPU_READERS, (jobs or 1) + GPU_AHEAD)
    parts = min(jobs or max(1, min(affordable, photos)), threads)
    computing = max(1, min(parts, photos))
    return Concurrency(computing, threads // parts, 1, computing + AHEAD)


class _PixelLimit:
    """Counts the pixels in memory: another photo may be read while they are below a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit)

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
