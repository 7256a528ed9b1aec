"""How many photos a batch has in its hands at once, and how many threads compute each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

AHEAD = 2
"""Photos that are read or written while others are computed, on a CPU."""
GPU_READERS = 4
"""Photos that are decoded at the same time for a GPU, which would wait for one decoder."""
GPU_AHEAD = 16
"""Photos around a GPU; as many small ones can share a batch."""


class Concurrency(NamedTuple):
    """``computing`` photos are restored at once by ``threads`` threads each, ``reading`` are read at once.

    ``photos`` is how many are in memory at most: being read, waiting, being restored, being written.
    """

    computing: int
    threads: int
    reading: int
    photos: int


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


@contextmanager
def threads_each(concurrency: Concurrency) -> Iterator[None]:
    """During this block, every thread that computes does so with the threads of its lane."""
    before = torch.get_num_threads()
    torch.set_num_threads(concurrency.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
