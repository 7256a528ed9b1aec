"""Pausing Python's cyclic garbage collector while very many long-lived objects are created."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector: each collection would scan every object created so far.

    With the records of 20,000 photos that took more than a third of the time (benchmarks/resume.py).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
