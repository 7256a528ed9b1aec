"""Work in several threads: results in order, at most so many at a time, and no more after an error."""

import threading
from collections.abc import Iterator

import pytest
import torch

from defocusctl.system.threads import in_order, torch_threads


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(at_once: int) -> None:
    assert list(in_order(lambda item: item * item, range(100), at_once)) == [i * i for i in range(100)]


def test_so_many_are_computed_at_the_same_time_and_no_more() -> None:
    together = threading.Barrier(3, timeout=30)
    running = threading.Semaphore(3)

    def compute(item: int) -> int:
        assert running.acquire(blocking=False)
        together.wait()
        running.release()
        return item

    assert list(in_order(compute, range(12), 3)) == list(range(12))


def test_an_error_reaches_the_caller_and_ends_the_work() -> None:
    started: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            started.append(item)
            yield item

    def compute(item: int) -> int:
        if item == 3:
            raise ValueError("the third")
        return item

    found = []
    with pytest.raises(ValueError, match="the third"):
        for result in in_order(compute, items(), 2):
            found.append(result)
    assert found == [0, 1, 2]
    assert len(started) < 20


def test_the_number_of_threads_is_that_of_before_afterwards() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
