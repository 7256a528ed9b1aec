"""How many threads PyTorch computes with."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil
import torch

SHORTEST = 0.2
"""Seconds over which load is measured at least: systems count it in steps of 10 to 16 milliseconds."""

HALF = 0.5
"""Idle processors are rounded to a whole number: a thread pays on half of one (benchmarks/threads.py)."""

NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")
"""A processor's times that are no work, or work that is counted among others too."""


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Limit PyTorch in this block to ``count`` threads for each thread that computes.

    The limit is that of the process: blocks that overlap in time must set the same.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ThreadsForIdleProcessors:
    """Keeps PyTorch's threads to the processors that other programs leave idle.

    Threads wait for each other after every layer. If another program keeps one of them from running, all of
    them together are many times slower than one alone (docs/restoring.md).
    """

    def __init__(self) -> None:
        self._before = Load.now()

    def adapt(self, most: int) -> None:
        """Set 1 to ``most`` threads, by the load since the last call or the beginning."""
        now = Load.now()
        elapsed = now.clock - self._before.clock
        if elapsed < SHORTEST:
            return
        idle = now.processors - (now.others - self._before.others) / elapsed
        torch.set_num_threads(max(1, min(most, int(idle + HALF))))
        self._before = now


class Load(NamedTuple):
    """A time, the processors that this program may use, and the seconds that others have taken on them."""

    clock: float
    processors: int
    others: float

    @classmethod
    def now(cls) -> "Load":
        times = psutil.cpu_times(percpu=True)
        if hasattr(os, "sched_getaffinity"):
            times = [times[i] for i in os.sched_getaffinity(0) if i < len(times)]
        busy = sum(sum(each) - sum(getattr(each, name, 0.0) for name in NOT_BUSY) for each in times)
        return cls(time.monotonic(), len(times), busy - time.process_time())
