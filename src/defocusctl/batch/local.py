"""Runs the jobs of a batch in this process: reading, computing and writing overlap."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager

import torch

from defocusctl.batch.engine import (
    Concurrency,
    OnStart,
    OnTile,
    Steps,
    Stop,
    run_in_threads,
    torch_threads,
)
from defocusctl.batch.jobs import Job, Outcome
from defocusctl.batch.work import Opened, PhotoWork
from defocusctl.geometry import Size
from defocusctl.restoring.restorer import Restorer

PIXELS_PER_WORKER = 150_000_000
"""Reading pauses while the photos in memory exceed this many pixels per photo being restored."""
AHEAD = 2
"""Photos being read or written while others are restored on a CPU."""
GPU_READERS = 4
"""Photos decoded at the same time for a GPU, which a single decoder could not keep busy."""
GPU_AHEAD = 16
"""Photos being read, written or waiting for a GPU, enough to batch small ones."""


class LocalEngine:
    """An engine of threads, each of which takes one photo from file to file.

    There are ``Concurrency.photos`` threads, and so at most that many photos in memory;
    ``Concurrency.reading`` of them may read at once, and ``Concurrency.computing`` more threads restore.
    ``jobs`` requests that many photos at once; ``room_for`` says how many photos of a size form a batch, by
    default as many as the network allows.
    """

    def __init__(
        self,
        jobs: int | None = None,
        *,
        room_for: Callable[[Size], int] | None = None,
        on_start: OnStart | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        self._jobs = jobs
        self._room_for = room_for
        self._on_start = on_start
        self._on_tile = on_tile

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """See ``engine.Engine``."""
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
        """See ``engine.Engine``; an abandoned photo stops after its current tile."""
        closed = threading.Event()
        reading = threading.Semaphore(concurrency.reading)
        memory = _PixelLimit(PIXELS_PER_WORKER * concurrency.computing)
        work.deblurrer.restorer.concurrency = concurrency.computing
        steps = Steps(
            work,
            concurrency.computing,
            lambda: closed.is_set() or stop.abandoned(),
            requested=stop.requested,
            room_for=self._room_for,
            on_start=self._on_start,
            on_tile=self._on_tile,
        )

        def do_next(next_job: Callable[[], Job | None]) -> Outcome | None:
            with reading:
                memory.wait()
                job = next_job()
                opened = None if job is None else steps.open(job)
            if not isinstance(opened, Opened):
                return opened
            with memory.holding(opened.photo.size.pixels):
                return steps.finish(opened)

        with torch_threads(concurrency), closing(steps):
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
        """Wait until the count is below the limit."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit)

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        """Count ``pixels`` as in memory during this block."""
        self._change(pixels)
        try:
            yield
        finally:
            self._change(-pixels)

    def _change(self, pixels: int) -> None:
        with self._changed:
            self._held += pixels
            self._changed.notify_all()
