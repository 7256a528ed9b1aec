"""Restoring for many threads that have one photo each, photos of one size together where that pays."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from defocusctl.batch.work import Opened
from defocusctl.deblurrer import RestoredPhoto
from defocusctl.geometry import Size

Restore = Callable[[Sequence[Opened]], list[RestoredPhoto]]


class Timed(NamedTuple):
    """A restored photo and the seconds from asking for it to having it."""

    restored: RestoredPhoto
    seconds: float


@dataclass(frozen=True)
class _Request:
    opened: Opened
    answer: "Future[RestoredPhoto]" = field(default_factory=Future)


class SharedRestoring:
    """A few threads that compute what many others ask for, in the order of asking.

    Whoever is free takes the request that has waited longest and, as far as ``room_for`` its size has room,
    others that wait with photos of the same size.
    """

    def __init__(self, restore: Restore, threads: int, room_for: Callable[[Size], int]) -> None:
        self._restore = restore
        self._room_for = room_for
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="restore")

    def restored(self, opened: Opened) -> Timed:
        """Wait for the photo to be restored.

        Raises:
            What restoring it raised.
        """
        started = time.perf_counter()
        request = _Request(opened)
        with self._lock:
            self._waiting.append(request)
        self._pool.submit(self._serve)
        restored = request.answer.result()
        return Timed(restored, time.perf_counter() - started)

    def close(self) -> None:
        """End the threads when they have done what was asked of them."""
        self._pool.shutdown()

    def _serve(self) -> None:
        """Restore the next group; there is none if an earlier one took its photos along."""
        with self._lock:
            group = self._next_group()
        if not group:
            return
        try:
            for request, restored in zip(group, self._restore([one.opened for one in group]), strict=True):
                request.answer.set_result(restored)
        except BaseException as error:
            if len(group) == 1:
                group[0].answer.set_exception(error)
            else:
                self._serve_alone(group)

    def _serve_alone(self, group: Sequence[_Request]) -> None:
        """One of the group is bad: each by itself, so that only that one fails."""
        for request in group:
            try:
                request.answer.set_result(self._restore([request.opened])[0])
            except BaseException as error:
                request.answer.set_exception(error)

    def _next_group(self) -> list[_Request]:
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        size = first.opened.photo.size
        room = self._room_for(size) - 1
        mates = [request for request in self._waiting if request.opened.photo.size == size][:room]
        for mate in mates:
            self._waiting.remove(mate)
        return [first, *mates]
