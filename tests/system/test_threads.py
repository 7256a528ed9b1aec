"""PyTorch's threads: restored after a change, and as many as other programs leave processors idle."""

import subprocess
import sys
import time

import psutil
import pytest
import torch

from defocusctl.system.threads import SHORTEST, Load, ThreadsForIdleProcessors, torch_threads

BUSY = """
import time
end = time.monotonic() + 60
print(flush=True)
while time.monotonic() < end: pass
"""


def test_the_number_of_threads_is_that_of_before_afterwards() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("processors", "taken", "threads"),
    [(4, 0.0, 4), (4, 0.4, 4), (4, 0.6, 3), (4, 1.0, 3), (4, 3.0, 1), (4, 4.0, 1), (16, 8.0, 4), (2, 0.4, 2)],
)
def test_threads_are_left_the_processors_that_others_leave(
    monkeypatch: pytest.MonkeyPatch, processors: int, taken: float, threads: int
) -> None:
    loads = iter([Load(10.0, processors, 500.0), Load(12.0, processors, 500.0 + 2 * taken)])
    monkeypatch.setattr(Load, "now", lambda: next(loads))
    with torch_threads(min(processors, 4)):
        ThreadsForIdleProcessors().adapt(torch.get_num_threads())
        assert torch.get_num_threads() == threads


def test_threads_follow_the_load_but_not_within_too_short_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [(0.0, 0.0), (1.0, 1.0), (1.0 + SHORTEST / 2, 1.0), (2.0, 1.0)]
    loads = iter([Load(clock, 2, seconds) for clock, seconds in others])
    monkeypatch.setattr(Load, "now", lambda: next(loads))
    with torch_threads(2):
        threads = ThreadsForIdleProcessors()
        found = []
        for _ in others[1:]:
            threads.adapt(2)
            found.append(torch.get_num_threads())
    assert found == [1, 1, 2]


@pytest.mark.slow
def test_the_load_is_that_of_others() -> None:
    """Another program's work counts, this one's does not."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            before, own, others = Load.now(), time.process_time(), seconds_of(other.pid)
            while time.process_time() < own + 0.5 or seconds_of(other.pid) < others + 0.5:
                pass
            now, own, others = Load.now(), time.process_time() - own, seconds_of(other.pid) - others
        finally:
            other.kill()
    everything = now.processors * (now.clock - before.clock)
    assert others - 0.1 < now.others - before.others < everything - own + 0.1


def seconds_of(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
