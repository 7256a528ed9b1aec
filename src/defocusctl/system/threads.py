"""Work in several threads, and how many of PyTorch's threads each gets."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""How many results per thread may wait for those before them."""


def compute_threads() -> int:
    """How many threads PyTorch computes with."""
    return torch.get_num_threads()


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


def in_order(
    compute: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Generator[Result, None, None]:
    """The results of ``compute`` for the items, in their order; ``at_once`` are computed at the same time.

    Closing the generator waits for those being computed and starts no others.
    """
    if at_once == 1:
        yield from map(compute, items)
        return
    pool = ThreadPoolExecutor(at_once, "tile")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(compute, item))
            if len(waiting) > AHEAD * at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
