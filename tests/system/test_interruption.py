"""Ctrl-C that is counted before it interrupts."""

import signal
import threading
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from defocusctl.system.interruption import Interruption, next_of


@pytest.mark.parametrize("noted", [1, 2])
def test_what_is_noted_is_counted_and_the_next_interrupts(noted: int) -> None:
    told: list[threading.Thread] = []
    before = signal.getsignal(signal.SIGINT)
    with (
        pytest.raises(KeyboardInterrupt),
        Interruption(lambda: told.append(threading.current_thread()), noted=noted) as interruption,
    ):
        assert not interruption.requested
        for times in range(1, noted + 1):
            signal.raise_signal(signal.SIGINT)
            assert interruption.requested
            assert interruption.times == times
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(told) == 1
    assert told[0] is not threading.main_thread()
    assert not told[0].is_alive()


def test_nobody_is_told_of_nothing() -> None:
    told: list[bool] = []
    with Interruption(lambda: told.append(True)):
        pass
    assert not told


def test_in_other_threads_signals_stay_as_they_are() -> None:
    requested: list[bool] = []

    def work() -> None:
        with Interruption() as interruption:
            requested.append(interruption.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert requested == [False]


def test_waiting_for_the_next_wakes_up_now_and_then() -> None:
    """Windows runs no signal handler during a wait without a timeout."""

    class Late(SimpleQueue[int]):
        waits = 0

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            assert timeout is not None
            self.waits += 1
            if self.waits < 3:
                raise Empty
            return super().get(block, timeout)

    queue = Late()
    queue.put(7)
    assert next_of(queue) == 7
    assert queue.waits == 3
