"""This process during long work: Ctrl-C lets the current item finish, and the garbage collector can pause."""

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Self, TypeVar

Item = TypeVar("Item")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WAKE_SECONDS = 0.5


class Interruption:
    """Inside the block, the first ``noted`` Ctrl-C or SIGTERM are only counted; the next interrupts at once.

    ``on_request`` is called at the first, in a separate thread: the code that a signal handler interrupts may
    hold any lock, so the handler must not wait for one.
    """

    def __init__(self, on_request: Callable[[], None] | None = None, *, noted: int = 1) -> None:
        self.times = 0
        self._on_request = on_request
        self._noted = noted
        self._calls: SimpleQueue[bool] = SimpleQueue()  # safe in a signal handler
        self._caller = threading.Thread(target=self._call, name="interruption", daemon=True)

    @property
    def requested(self) -> bool:
        return self.times > 0

    def __enter__(self) -> Self:
        self._caller.start()
        in_main = (
            threading.current_thread() is threading.main_thread()
        )  # elsewhere, signals cannot be handled
        self._previous = {number: signal.signal(number, self._note) for number in SIGNALS if in_main}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._calls.put(False)
        self._caller.join()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.times >= self._noted:
            raise KeyboardInterrupt
        self.times += 1
        if self.times == 1:
            self._calls.put(True)

    def _call(self) -> None:
        """Body of the thread: wait for the first signal, or for the end."""
        if self._calls.get() and self._on_request is not None:
            self._on_request()


def next_of(queue: SimpleQueue[Item]) -> Item:
    """``queue.get()`` that Ctrl-C interrupts on Windows too, where nothing ends a wait without a timeout."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=WAKE_SECONDS)


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
