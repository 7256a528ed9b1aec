"""Python's collector of circular garbage, which gets in the way where very many objects are made to stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """During this block nothing looks for circular garbage: each look goes through all that was made so far.

    With the records of 20,000 photos that took more than a third of the time (benchmarks/resume.py).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
