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
from typing import Any

from defocusctl.batch.manifest import FILE, RESERVATIONS
from defocusctl.batch.stores import Store
from defocusctl.errors import DefocusctlError, OutputError

SEGMENTS = ".defocusctl-batch.segments"
LOCK = ".defocusctl-batch.store-lock"
SHIP_EVERY = 1.0
RENEW_EVERY = 20.0
LOCK_LASTS = 120.0
"""Seconds after which a lock that is not renewed was left by a run that was killed."""
PATIENCE = 60.0
"""Seconds that the store may refuse before the batch is stopped."""


def fetch_records(store: Store) -> list[Path]:
    """Copy the manifest, with what its segments add, and the reservations here; returns the segments.

    Raises:
        InputError: if they cannot be read.
    """
    folder, manifest, reserved = (store.local / name for name in (SEGMENTS, FILE, RESERVATIONS))
    segments = sorted(path for path in map(Path, store.objects(SEGMENTS)) if path.parent == folder)
    parts = [store.read(path) or b"" for path in (manifest, *segments)]
    lines = dict.fromkeys(line for part in parts for line in part.splitlines(keepends=True))
    manifest.write_bytes(b"".join(lines))  # a line is in both where folding was cut short
    reserved.write_bytes(store.read(reserved) or b"")
    return segments


class StoreRecords:
    """The records of a store's folder, kept here and, by a thread, there; ``problem`` says why that failed.

    The batch should end then.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.problem: DefocusctlError | None = None
        self._store = store
        self._lock = _Lock(store, clock)
        self._manifest = store.local / FILE
        self._run = self._lock.run
        self._segments: list[Path] = []
        self._shipped = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="records", daemon=True)

    @classmethod
    @contextmanager
    def kept(cls, store: Store, clock: Callable[[], float] = time.time) -> Iterator["StoreRecords"]:
        """During this block the records are kept in the store too, and no other batch is in there.

        Raises:
            OutputError: if another batch is, or the store cannot be written.
            InputError: if the records cannot be read.
        """
        records = cls(store, clock)
        with records._lock.held():
            records._segments = fetch_records(store)
            records._shipped = records._manifest.stat().st_size
            records._fold()
            records._thread.start()
            try:
                yield records
            finally:
                records._ended.set()
                records._thread.join()
                if records.problem is not None:
                    raise records.problem
                records._ship()
                records._fold()

    def publish_reservations(self) -> None:
        """Record which files are this program's, before any of them is written.

        Raises:
            OutputError: if the store does not take it.
        """
        reserved = self._store.local / RESERVATIONS
        if reserved.exists():
            self._store.publish(reserved)

    def _keep(self) -> None:
        """Ship what is new, again and again."""
        refused_since: float | None = None
        while not self._ended.wait(SHIP_EVERY) and self.problem is None:
            try:
                self._ship()
                self._lock.renew()
                refused_since = None
            except DefocusctlError as error:
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since > PATIENCE or isinstance(error, _LockLostError):
                    self.problem = error

    def _ship(self) -> None:
        with self._manifest.open("rb") as file:
            file.seek(self._shipped)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        if not new:
            return
        number = int(self._segments[-1].name.partition("-")[0]) + 1 if self._segments else 0
        segment = self._store.local / SEGMENTS / f"{number:09d}-{self._run}.jsonl"
        self._store.write(segment, new)
        self._segments.append(segment)
        self._shipped += len(new)

    def _fold(self) -> None:
        """Write the manifest whole, then remove its segments."""
        if self._segments:
            self._store.publish(self._manifest)
            self._store.remove(self._segments)
            self._segments = []


class _Lock:
    """An object that is created only if there is none, renewed, and given up for dead if it is not."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.run = secrets.token_hex(6)
        self._store = store
        self._clock = clock
        self._path = store.local / LOCK
        self._renewed = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the lock for this block.

        Raises:
            OutputError: if another batch has it, or the store cannot be written.
        """
        self._take()
        try:
            yield
        finally:
            with suppress(DefocusctlError):
                if self._holder().get("run") == self.run:
                    self._store.remove([self._path])

    def renew(self) -> None:
        """Say that this run is alive, if it is time.

        Raises:
            OutputError: if another batch has the lock by now, or the store cannot be written.
        """
        if self._clock() - self._renewed < RENEW_EVERY:
            return
        if self._holder().get("run") != self.run:
            raise _LockLostError(f"another batch has taken over '{self._store.url}'", "let it finish")
        self._store.write(self._path, self._content())

    def _take(self) -> None:
        if self._store.create(self._path, self._content()):
            return
        holder = self._holder()
        if self._clock() - float(holder.get("renewed", 0)) > LOCK_LASTS:
            self._store.remove([self._path])
            if self._store.create(self._path, self._content()):
                return
        raise OutputError(
            f"another batch is writing to '{self._store.url}' (process {holder.get('process')} "
            f"on {holder.get('host')})",
            f"wait until it has ended, or {LOCK_LASTS:.0f} s if it was killed; or choose another folder",
        )

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(self._store.read(self._path) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _content(self) -> bytes:
        self._renewed = self._clock()
        about = {
            "run": self.run,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "renewed": self._renewed,
            "time": datetime.fromtimestamp(self._renewed, UTC).isoformat(timespec="seconds"),
        }
        return json.dumps(about).encode()


class _LockLostError(OutputError):
    """Another batch holds the lock."""
