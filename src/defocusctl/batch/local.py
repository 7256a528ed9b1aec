"""The jobs of a batch in this process: reading ahead, computing and writing at the same time."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import torch

from defocusctl.batch.engine import AbandonedError, Concurrency, OnBegin, OnTile, Steps, Stop, threads_each
from defocusctl.batch.jobs import Job, Outcome
from defocusctl.batch.work import Opened, PhotoWork
from defocusctl.geometry import Size
from defocusctl.restoring.restorer import Restorer

PIXELS_PER_WORKER = 150_000_000
"""No further photo is read while those in memory have more pixels than this for each that is computed."""
AHEAD = 2
"""Photos that are read or written while others are computed, on a CPU."""
GPU_READERS = 4
"""Photos that are decoded at the same time for a GPU, which would wait for one decoder."""
GPU_AHEAD = 16
"""Photos around a GPU; as many small ones can share a batch."""


class LocalEngine:
    """An engine of threads. Each takes one photo from file to file; what they share limits how many do what.

    There are ``Concurrency.photos`` threads, so at most as many photos are in memory;
    ``Concurrency.reading`` of them read at the same time. ``Concurrency.computing`` further threads restore.
    ``jobs`` asks for so many photos at once; ``room_for`` says how many photos of a size are restored
    together, the network's own limit if it is left out.
    """

    def __init__(
        self,
        jobs: int | None = None,
        *,
        room_for: Callable[[Size], int] | None = None,
        on_begin: OnBegin | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        self._jobs = jobs
        self._room_for = room_for
        self._on_begin = on_begin
        self._on_tile = on_tile

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """As of ``engine.Engine``."""
        return choose_concurrency(
            restorer.device.type,
            photos=photos,
            threads=torch.get_num_threads(),
            affordable=restorer.most_at_once(),
            jobs=self._jobs,
        )

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """As of ``engine.Engine``; a photo that is given up ends with the tile at hand."""
        closed = threading.Event()
        work.deblurrer.restorer.at_once = concurrency.computing
        steps = Steps(
            work,
            concurrency.computing,
            lambda: closed.is_set() or stop.abandoned(),
            room_for=self._room_for,
            on_begin=self._on_begin,
            on_tile=self._on_tile,
        )
        with threads_each(concurrency):
            yield from _Run(steps, iter(jobs), stop, concurrency, closed).outcomes()


def choose_concurrency(
    device: str, *, photos: int, threads: int, affordable: int, jobs: int | None
) -> Concurrency:
    """Concurrency for ``photos`` photos on a device ("cpu", "cuda", "mps").

    A CPU has ``threads`` threads in all, which are never exceeded: by default each computes a photo of its
    own, for it then waits for no other (benchmarks/batch.py compares both), unless memory has room only for
    ``affordable`` photos or there are fewer. ``jobs`` asks for another number of photos at once; how many
    threads each has then depends on nothing else, so that a batch that goes on rounds as before. A GPU
    computes one photo at a time.
    """
    if device != "cpu":
        return Concurrency(jobs or 1, threads, GPU_READERS, (jobs or 1) + GPU_AHEAD)
    parts = min(jobs or max(1, min(affordable, photos)), threads)
    computing = max(1, min(parts, photos))
    return Concurrency(computing, threads // parts, 1, computing + AHEAD)


class _Run:
    """What the threads of one run share."""

    def __init__(
        self,
        steps: Steps,
        jobs: Iterator[Job],
        stop: Stop,
        concurrency: Concurrency,
        closed: threading.Event,
    ) -> None:
        self._steps = steps
        self._jobs = jobs
        self._stop = stop
        self._closed = closed
        self._threads = [
            threading.Thread(target=self._do_jobs, name="photo") for _ in range(concurrency.photos)
        ]
        self._free = threading.Semaphore(concurrency.photos)
        """One less for each photo in flight, until its outcome was dealt with: that may mean to stop."""
        self._taking = threading.Lock()
        self._reading = threading.Semaphore(concurrency.reading)
        self._room = _Room(PIXELS_PER_WORKER * concurrency.computing)
        self._ended: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def outcomes(self) -> Iterator[Outcome]:
        for thread in self._threads:
            thread.start()
        try:
            running = len(self._threads)
            while running:
                ended = self._ended.get()
                if ended is None:
                    running -= 1
                elif isinstance(ended, BaseException):
                    raise ended
                else:
                    yield ended
                    self._free.release()
        finally:
            self._closed.set()
            self._free.release(len(self._threads))
            for thread in self._threads:
                thread.join()
            self._steps.close()

    def _do_jobs(self) -> None:
        """One thread: photo after photo; None at its end."""
        try:
            while self._do_next():
                pass
        except AbandonedError:
            pass
        except BaseException as error:
            self._ended.put(error)
        finally:
            self._ended.put(None)

    def _do_next(self) -> bool:
        """Take one job to its end; false if there is none to take."""
        self._free.acquire()
        with self._reading:
            self._room.wait()
            job = self._next_job()
            if job is None:
                return False
            opened = self._steps.open(job)
        if isinstance(opened, Opened):
            with self._room.held_by(opened.photo.size.pixels):
                self._ended.put(self._steps.finish(opened))
        else:
            self._ended.put(opened)
        return True

    def _next_job(self) -> Job | None:
        with self._taking:
            return None if self._closed.is_set() or self._stop.stopping() else next(self._jobs, None)


class _Room:
    """The pixels in memory: one more photo is let in as long as they are below a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def wait(self) -> None:
        """Until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit)

    @contextmanager
    def held_by(self, pixels: int) -> Iterator[None]:
        """During this block there is so much less of it."""
        self._change(pixels)
        try:
            yield
        finally:
            self._change(-pixels)

    def _change(self, pixels: int) -> None:
        with self._changed:
            self._held += pixels
            self._changed.notify_all()
