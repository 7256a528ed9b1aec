"""Ctrl-C during a training: the step at hand is finished first, so that the checkpoint is a whole one."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first Ctrl-C or SIGTERM is only noted in ``wished``; the next interrupts at once."""

    def __init__(self) -> None:
        self.wished = False

    def __enter__(self) -> Self:
        self._previous = (
            {number: signal.signal(number, self._note) for number in SIGNALS}
            if threading.current_thread() is threading.main_thread()
            else {}
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
