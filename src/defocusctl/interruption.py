"""Ctrl-C during long work: what is at hand is finished first, so that what is kept is whole."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first Ctrl-C or SIGTERM is only noted in ``wished``; the next interrupts at once.

    ``on_wish`` is called at the first.
    """

    def __init__(self, on_wish: Callable[[], None] | None = None) -> None:
        self.wished = False
        self._on_wish = on_wish

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
        if self._on_wish is not None:
            self._on_wish()
