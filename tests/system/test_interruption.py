"""Ctrl-C that is counted before it interrupts."""

import signal
import threading

import pytest

from defocusctl.system.interruption import Interruption


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
