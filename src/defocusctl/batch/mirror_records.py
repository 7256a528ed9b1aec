"""The manifest, the reservations and the lock of an output folder in an object store.

Objects cannot be appended to. So the manifest grows on this machine, and within a second what is new goes
to the store as an object of its own, a segment; several photos share one where they end faster. At the end
of a run, and at the beginning of the next where one was killed, the whole manifest is written as one
object, and then the segments are removed. A lost machine loses the last second's entries at most: those
photos count as not done.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from defocusctl.batch.manifest import FILE, RESERVATIONS
from defocusctl.batch.mirror import Mirror
from defocusctl.batch.places import Places
from defocusctl.errors import DefocusctlError, OutputError

SEGMENTS = ".defocusctl-batch.segments"
LOCK = ".defocusctl-batch.store-lock"
SHIP_EVERY = 1.0
RENEW_EVERY = 20.0
LOCK_LASTS = 120.0
"""Seconds after which a lock that is not renewed was left by a run that was killed."""
PATIENCE = 60.0
"""Seconds that the store may refuse before the batch is stopped."""


def bring(mirror: Mirror) -> list[Path]:
    """Copy the manifest, with what its segments add, and the reservations here; returns the segments.

    Raises:
        InputError: if they cannot be read.
    """
    folder, manifest, reserved = (mirror.local / name for name in (SEGMENTS, FILE, RESERVATIONS))
    segments = sorted(path for path in mirror.objects(SEGMENTS) if path.parent == folder)
    parts = [mirror.read(path) or b"" for path in (manifest, *segments)]
    lines = dict.fromkeys(line for part in parts for line in part.splitlines(keepends=True))
    manifest.write_bytes(b"".join(lines))  # a line is in both where folding was cut short
    reserved.write_bytes(mirror.read(reserved) or b"")
    return segments


@contextmanager
def records_in(places: Places, out: Path) -> Iterator["StoreRecords | None"]:
    """``StoreRecords`` if the output folder stands for one in a store."""
    mirror = places.mirror_of(out)
    if mirror is None:
        yield None
    else:
        with StoreRecords(mirror) as records:
            yield records


class StoreRecords:
    """While entered, the records in the mirror's folder are kept in the store too, and no other batch is.

    ``problem`` says why that failed, if it does; the batch should end then.
    """

    def __init__(self, mirror: Mirror, clock: Callable[[], float] = time.time) -> None:
        self.problem: DefocusctlError | None = None
        self._mirror = mirror
        self._clock = clock
        self._manifest = mirror.local / FILE
        self._run = secrets.token_hex(6)
        self._segments: list[Path] = []
        self._shipped = 0
        self._renewed = 0.0
        self._refused_since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="records", daemon=True)

    def __enter__(self) -> Self:
        """Take the folder and bring its records here.

        Raises:
            OutputError: if another batch has it, or the store cannot be written.
            InputError: if the records cannot be read.
        """
        self._take_lock()
        try:
            self._segments = bring(self._mirror)
            self._shipped = self._manifest.stat().st_size
            self._fold()
        except BaseException:
            self._release_lock()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            if self.problem is None:
                self._ship()
                self._fold()
        finally:
            self._release_lock()
        if self.problem is not None:
            raise self.problem from error

    def publish_reservations(self) -> None:
        """Record which files are this program's, before any of them is written.

        Raises:
            OutputError: if the store does not take it.
        """
        reserved = self._mirror.local / RESERVATIONS
        if reserved.exists():
            self._mirror.publish(reserved)

    def _keep(self) -> None:
        """Ship what is new, again and again."""
        while not self._ended.wait(SHIP_EVERY) and self.problem is None:
            try:
                self._ship()
                self._renew_lock()
                self._refused_since = None
            except DefocusctlError as error:
                now = time.monotonic()
                self._refused_since = self._refused_since or now
                if now - self._refused_since > PATIENCE or isinstance(error, _LockLostError):
                    self.problem = error

    def _ship(self) -> None:
        with self._manifest.open("rb") as file:
            file.seek(self._shipped)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        if not new:
            return
        number = int(self._segments[-1].name.partition("-")[0]) + 1 if self._segments else 0
        segment = self._mirror.local / SEGMENTS / f"{number:09d}-{self._run}.jsonl"
        self._mirror.write(segment, new)
        self._segments.append(segment)
        self._shipped += len(new)

    def _fold(self) -> None:
        """Write the manifest whole, then remove its segments."""
        if self._segments:
            self._mirror.publish(self._manifest)
            self._mirror.remove(self._segments)
            self._segments = []

    def _take_lock(self) -> None:
        if self._create_lock():
            return
        holder = self._holder()
        age = self._clock() - float(holder.get("renewed", 0))
        if age > LOCK_LASTS:
            self._mirror.remove([self._lock])
            if self._create_lock():
                return
        raise OutputError(
            f"another batch is writing to '{self._mirror.url}' (process {holder.get('process')} "
            f"on {holder.get('host')})",
            f"wait until it has ended, or {LOCK_LASTS:.0f} s if it was killed; or choose another folder",
        )

    def _create_lock(self) -> bool:
        self._renewed = self._clock()
        return self._mirror.create(self._lock, self._lock_content())

    def _renew_lock(self) -> None:
        if self._clock() - self._renewed < RENEW_EVERY:
            return
        if self._holder().get("run") != self._run:
            raise _LockLostError(f"another batch has taken over '{self._mirror.url}'", "let it finish")
        self._renewed = self._clock()
        self._mirror.write(self._lock, self._lock_content())

    def _release_lock(self) -> None:
        with suppress(DefocusctlError):
            if self._holder().get("run") == self._run:
                self._mirror.remove([self._lock])

    def _holder(self) -> dict[str, Any]:
        content = self._mirror.read(self._lock)
        try:
            holder = json.loads(content or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    @property
    def _lock(self) -> Path:
        return self._mirror.local / LOCK

    def _lock_content(self) -> bytes:
        return json.dumps(
            {
                "run": self._run,
                "host": socket.gethostname(),
                "process": os.getpid(),
                "renewed": self._renewed,
                "time": datetime.fromtimestamp(self._renewed, UTC).isoformat(timespec="seconds"),
            }
        ).encode()


class _LockLostError(OutputError):
    """Another batch holds the lock."""
