"""The jobs of a batch in this process: reading ahead, computing and writing at the same time."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from defocusctl.batch.concurrency import Concurrency, threads_each
from defocusctl.batch.engine import OnBegin, OnTile
from defocusctl.batch.job import Job, Outcome
from defocusctl.batch.stop import Stop
from defocusctl.batch.together import SharedRestoring
from defocusctl.batch.work import Opened, PhotoWork
from defocusctl.deblurrer import RestoredPhoto
from defocusctl.geometry import Size

PIXELS_PER_WORKER = 150_000_000
"""No further photo is read while those in memory have more pixels than this for each that is computed."""


class LocalEngine:
    """An engine of threads. Each takes one photo from file to file; what they share limits how many do what.

    There are ``concurrency.photos`` threads, so at most as many photos are in memory;
    ``concurrency.reading`` of them read at the same time. ``concurrency.computing`` further threads restore.
    ``room_for`` says how many photos of a size are restored together.
    """

    def __init__(
        self,
        work: PhotoWork,
        concurrency: Concurrency,
        *,
        room_for: Callable[[Size], int],
        on_begin: OnBegin | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        self._work = work
        self._concurrency = concurrency
        self._room_for = room_for
        self._on_begin = on_begin
        self._on_tile = on_tile

    def outcomes(self, jobs: Iterable[Job], stop: Stop) -> Generator[Outcome, None, None]:
        """As of ``engine.Engine``; a photo that is given up ends with the tile at hand."""
        run = _Run(
            self._work, iter(jobs), stop, self._concurrency, self._room_for, self._on_begin, self._on_tile
        )
        with threads_each(self._concurrency):
            yield from run.outcomes()


class _AbandonedError(BaseException):
    """Nobody waits for the photo any more."""


class _Run:
    """What the threads of one run share."""

    def __init__(
        self,
        work: PhotoWork,
        jobs: Iterator[Job],
        stop: Stop,
        concurrency: Concurrency,
        room_for: Callable[[Size], int],
        on_begin: OnBegin | None,
        on_tile: OnTile | None,
    ) -> None:
        self._work = work
        self._jobs = jobs
        self._stop = stop
        self._on_begin = on_begin
        self._on_tile = on_tile
        self._threads = [
            threading.Thread(target=self._do_jobs, name="photo") for _ in range(concurrency.photos)
        ]
        self._places = threading.Semaphore(concurrency.photos)
        """One for each photo in flight, until its outcome was dealt with: that may mean to stop."""
        self._taking = threading.Lock()
        self._reading = threading.Semaphore(concurrency.reading)
        self._room = _Room(PIXELS_PER_WORKER * concurrency.computing)
        self._restoring = SharedRestoring(self._restore, concurrency.computing, room_for)
        self._closed = threading.Event()
        self._ended: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()

    def outcomes(self) -> Iterator[Outcome]:
        for thread in self._threads:
            thread.start()
        try:
            running = len(self._threads)
            while running:
                ended = self._ended.get()
                if ended is None:
                    running -= 1
                elif isinstance(ended, BaseException):
                    raise ended
                else:
                    yield ended
                    self._places.release()
        finally:
            self._closed.set()
            self._places.release(len(self._threads))
            for thread in self._threads:
                thread.join()
            self._restoring.close()

    def _do_jobs(self) -> None:
        """One thread: photo after photo; None at its end."""
        try:
            while self._do_next():
                pass
        except _AbandonedError:
            pass
        except BaseException as error:
            self._ended.put(error)
        finally:
            self._ended.put(None)

    def _do_next(self) -> bool:
        """Take one job to its end; false if there is none to take."""
        self._places.acquire()
        with self._reading:
            self._room.wait()
            job = self._next_job()
            if job is None:
                return False
            opened = self._open(job)
        if isinstance(opened, Opened):
            with self._room.held_by(opened.photo.size.pixels):
                self._ended.put(self._finish(opened))
        else:
            self._ended.put(opened)
        return True

    def _next_job(self) -> Job | None:
        with self._taking:
            return None if self._closed.is_set() or self._stop.stopping() else next(self._jobs, None)

    def _open(self, job: Job) -> Opened | Outcome:
        content = None
        try:
            content = self._work.fetch(job)
            return self._work.open(job, content)
        except Exception as error:
            return self._work.failure(job, error, content)

    def _finish(self, opened: Opened) -> Outcome:
        try:
            restored, seconds = self._restoring.restored(opened)
            self._check_abandoned()
            return Outcome(opened.job, self._work.store(opened, restored, seconds), fatal=False)
        except Exception as error:
            return self._work.failure(opened.job, error, opened)

    def _restore(self, opened: Sequence[Opened]) -> list[RestoredPhoto]:
        def tell(done: int, total: int) -> None:
            self._check_abandoned()
            for one in opened:
                if self._on_tile is not None:
                    self._on_tile(one.job, done, total)

        self._check_abandoned()
        for one in opened:
            if self._on_begin is not None:
                self._on_begin(one.job)
        return self._work.restore(opened, on_tile=tell)

    def _check_abandoned(self) -> None:
        if self._closed.is_set() or self._stop.abandoned():
            raise _AbandonedError


class _Room:
    """The pixels in memory: one more photo is let in as long as they are below a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def wait(self) -> None:
        """Until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit)

    @contextmanager
    def held_by(self, pixels: int) -> Iterator[None]:
        """During this block there is so much less of it."""
        self._change(pixels)
        try:
            yield
        finally:
            self._change(-pixels)

    def _change(self, pixels: int) -> None:
        with self._changed:
            self._held += pixels
            self._changed.notify_all()
