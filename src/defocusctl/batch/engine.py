"""What every engine has in common: when to stop, how many photos at once, and the steps of one photo.

An engine turns jobs into outcomes: in threads of this process (``local``) or in a cluster (``ray``).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple, Protocol

import torch

from defocusctl.batch.jobs import Job, Outcome
from defocusctl.batch.work import Opened, PhotoWork, Source
from defocusctl.geometry import Size
from defocusctl.restoring.restorer import Restored, Restorer

OnBegin = Callable[[Job], None]
"""Called with each job when its restoration begins; perhaps by another thread."""

OnTile = Callable[[Job, int, int], None]
"""Called with each job's tiles done and in all; perhaps by another thread."""


@dataclass
class Stop:
    """When to begin no further photo: if that is ``requested``, or after more than ``most_failures``.

    It counts the failures of one run; ``ended`` is set when nothing more can be done. ``abandoned`` says
    whether the photos in flight are to be given up as well. Any thread may ask, at any time.
    """

    requested: Callable[[], bool] = lambda: False
    abandoned: Callable[[], bool] = lambda: False
    most_failures: int | None = None
    failures: int = 0
    ended: bool = False

    def stopping(self) -> bool:
        """Whether no further photo is to be begun; endless jobs end then."""
        return self.ended or self.too_many or self.requested() or self.abandoned()

    @property
    def too_many(self) -> bool:
        return self.most_failures is not None and self.failures > self.most_failures


class Concurrency(NamedTuple):
    """``computing`` photos are restored at once by ``threads`` threads each, ``reading`` are read at once.

    ``photos`` is how many are in memory at most: being read, waiting, being restored, being written.
    """

    computing: int
    threads: int
    reading: int
    photos: int


class Engine(Protocol):
    """Does jobs. What goes wrong with one is its outcome; an engine raises only if it cannot go on at all."""

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """How it would do so many photos."""
        ...

    def outcomes(
        self, work: PhotoWork, jobs: Iterable[Job], stop: Stop, concurrency: Concurrency
    ) -> Generator[Outcome, None, None]:
        """One outcome per job begun, as they end, in any order.

        Jobs are taken as they are needed: the iterable may be endless, and ``next`` of it may wait. When
        ``stop.stopping()`` no further job is begun; those in flight end. When ``stop.abandoned()`` those are
        given up: outcomes still come of what was stored before, and of nothing else. Closing the generator
        gives them up without that. Nothing of theirs is written after the end, and no unfinished file stays.
        """
        ...


@contextmanager
def threads_each(concurrency: Concurrency) -> Iterator[None]:
    """During this block, every thread that computes does so with its share of the threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(concurrency.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class AbandonedError(BaseException):
    """Nobody waits for the photo any more."""


def outcomes_of_threads(
    count: int,
    jobs: Iterable[Job],
    stop: Stop,
    do_next: Callable[[Callable[[], Job | None]], Outcome | None],
    closed: threading.Event,
) -> Generator[Outcome, None, None]:
    """Outcomes as ``count`` threads have them, each of which calls ``do_next`` until that returns None.

    ``do_next`` gets the next job from the function it is called with, if there is one, and takes it to its
    end; it may raise ``AbandonedError``. ``closed`` is set when the generator is: photos in flight are to be
    given up then.
    """
    coming, taking = iter(jobs), threading.Lock()
    free = threading.Semaphore(
        count
    )  # less the photos whose outcomes were not dealt with: these may say stop
    ended: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def next_job() -> Job | None:
        with taking:
            return None if closed.is_set() or stop.stopping() else next(coming, None)

    def work() -> None:
        try:
            while free.acquire() and (outcome := do_next(next_job)) is not None:
                ended.put(outcome)
        except AbandonedError:
            pass
        except BaseException as error:
            ended.put(error)
        finally:
            ended.put(None)

    threads = [threading.Thread(target=work, name="photo") for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        running = count
        while running:
            outcome = ended.get()
            if outcome is None:
                running -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
                free.release()
    finally:
        closed.set()
        free.release(count)
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class _Request:
    opened: Opened
    restored: "Future[Restored]" = field(default_factory=Future)


class Steps:
    """The steps of a photo for many threads that have one each, of which ``computing`` others restore.

    Whoever of these is free takes the photo that has waited longest and, as far as ``room_for`` its size has
    room, others of the same size that wait. Photos end with the tile at hand once ``abandoned``.
    """

    def __init__(
        self,
        work: PhotoWork,
        computing: int,
        abandoned: Callable[[], bool],
        *,
        room_for: Callable[[Size], int] | None = None,
        on_begin: OnBegin | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        self._work = work
        self._abandoned = abandoned
        self._room_for = room_for or work.deblurrer.restorer.room_for
        self._on_begin = on_begin
        self._on_tile = on_tile
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(computing, thread_name_prefix="restore")

    def open(self, job: Job) -> Opened | Outcome:
        """Read the photo; the outcome if that failed."""
        source: Source | None = None
        try:
            data, source = self._work.fetch(job)
            return self._work.open(job, data, source)
        except Exception as error:
            return self._work.failure(job, error, source)

    def finish(self, opened: Opened) -> Outcome:
        """Wait for the photo to be restored and write it; whatever goes wrong is its outcome.

        Raises:
            AbandonedError: if nobody waits for it any more; nothing is written then.
        """
        started = time.perf_counter()
        request = _Request(opened)
        try:
            with self._lock:
                self._waiting.append(request)
            self._pool.submit(self._serve)
            restored = request.restored.result()
            seconds = time.perf_counter() - started
            self._check_abandoned()
            return Outcome(opened.job, self._work.store(opened, restored, seconds), fatal=False)
        except Exception as error:
            return self._work.failure(opened.job, error, opened.source)

    def close(self) -> None:
        """End the threads when they have done what was asked of them."""
        self._pool.shutdown()

    def _serve(self) -> None:
        """Restore the next group; there is none if an earlier one took its photos along."""
        with self._lock:
            group = self._next_group()
        if group:
            self._restore_group(group)

    def _restore_group(self, group: Sequence[_Request]) -> None:
        try:
            for request, restored in zip(group, self._restore(group), strict=True):
                request.restored.set_result(restored)
        except BaseException as error:
            if len(group) == 1:
                group[0].restored.set_exception(error)
            else:  # one of them is bad: each by itself, so that only that one fails
                for request in group:
                    self._restore_group([request])

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

    def _restore(self, group: Sequence[_Request]) -> list[Restored]:
        opened = [request.opened for request in group]

        def note(done: int, total: int) -> None:
            self._check_abandoned()
            for one in opened:
                if self._on_tile is not None:
                    self._on_tile(one.job, done, total)

        self._check_abandoned()
        for one in opened:
            if self._on_begin is not None:
                self._on_begin(one.job)
        return self._work.restore(opened, on_tile=note)

    def _check_abandoned(self) -> None:
        if self._abandoned():
            raise AbandonedError
