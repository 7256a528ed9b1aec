"""The jobs of a batch in this process: reading ahead, computing and writing at the same time."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager

import torch

from defocusctl.batch.engine import (
    Concurrency,
    OnBegin,
    OnTile,
    Steps,
    Stop,
    outcomes_of_threads,
    threads_each,
)
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
            affordable=restorer.max_concurrency(),
            jobs=self._jobs,
        )

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """As of ``engine.Engine``; a photo that is given up ends with the tile at hand."""
        closed = threading.Event()
        reading = threading.Semaphore(concurrency.reading)
        room = _Room(PIXELS_PER_WORKER * concurrency.computing)
        work.deblurrer.restorer.concurrency = concurrency.computing
        steps = Steps(
            work,
            concurrency.computing,
            lambda: closed.is_set() or stop.abandoned(),
            room_for=self._room_for,
            on_begin=self._on_begin,
            on_tile=self._on_tile,
        )

        def do_next(next_job: Callable[[], Job | None]) -> Outcome | None:
            with reading:
                room.wait()
                job = next_job()
                opened = None if job is None else steps.open(job)
            if not isinstance(opened, Opened):
                return opened
            with room.held_by(opened.photo.size.pixels):
                return steps.finish(opened)

        with threads_each(concurrency), closing(steps):
            yield from outcomes_of_threads(concurrency.photos, jobs, stop, do_next, closed)


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
