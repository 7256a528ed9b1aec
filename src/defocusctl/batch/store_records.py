"""The manifest, the reservations and the lock of an output folder in an object store.

Objects cannot be appended to, so the manifest grows locally, and new lines are uploaded every second as a
segment, an object of their own. At the end of a run, or at the start of the next one if it was killed, the
whole manifest is uploaded and the segments are removed. A machine that dies loses at most the last second's
entries; those photos count as not done.
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
UPLOAD_EVERY = 1.0
RENEW_EVERY = 20.0
LOCK_TIMEOUT = 120.0
"""Seconds after which a lock that was not renewed counts as left by a killed run."""
RETRY_FOR = 60.0
"""Seconds of failed uploads after which the batch stops."""


def fetch_records(store: Store) -> list[Path]:
    """Download the manifest, with its segments, and the reservations; return the segments.

    Raises:
        InputError: if they cannot be read.
    """
    folder, manifest, reserved = (store.local / name for name in (SEGMENTS, FILE, RESERVATIONS))
    segments = sorted(path for path in map(Path, store.objects(SEGMENTS)) if path.parent == folder)
    parts = [store.read(path) or b"" for path in (manifest, *segments)]
    lines = dict.fromkeys(line for part in parts for line in part.splitlines(keepends=True))
    manifest.write_bytes(b"".join(lines))  # an interrupted compaction leaves lines in both
    reserved.write_bytes(store.read(reserved) or b"")
    return segments


class StoreRecords:
    """The records of a store's folder, kept locally and uploaded by a thread.

    If uploading fails, ``problem`` says why, and the batch should stop.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.problem: DefocusctlError | None = None
        self._store = store
        self._lock = _Lock(store, clock)
        self._manifest = store.local / FILE
        self._run = self._lock.run
        self._segments: list[Path] = []
        self._uploaded = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sync, name="records", daemon=True)

    @classmethod
    @contextmanager
    def opened(cls, store: Store, clock: Callable[[], float] = time.time) -> Iterator["StoreRecords"]:
        """Lock the store's folder and keep its records up to date during this block.

        Raises:
            OutputError: if another batch has locked it, or the store cannot be written.
            InputError: if the records cannot be read.
        """
        records = cls(store, clock)
        with records._lock.held():
            records._segments = fetch_records(store)
            records._uploaded = records._manifest.stat().st_size
            records._compact()
            records._thread.start()
            try:
                yield records
            finally:
                records._ended.set()
                records._thread.join()
                if records.problem is not None:
                    raise records.problem
                records._upload()
                records._compact()

    def publish_reservations(self) -> None:
        """Upload the reservations, before any reserved file is written.

        Raises:
            OutputError: if the store cannot be written.
        """
        reserved = self._store.local / RESERVATIONS
        if reserved.exists():
            self._store.publish(reserved)

    def _sync(self) -> None:
        """Upload new entries and renew the lock until the end."""
        failing_since: float | None = None
        while not self._ended.wait(UPLOAD_EVERY) and self.problem is None:
            try:
                self._upload()
                self._lock.renew()
                failing_since = None
            except DefocusctlError as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > RETRY_FOR or isinstance(error, _LockLostError):
                    self.problem = error

    def _upload(self) -> None:
        with self._manifest.open("rb") as file:
            file.seek(self._uploaded)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        if not new:
            return
        number = int(self._segments[-1].name.partition("-")[0]) + 1 if self._segments else 0
        segment = self._store.local / SEGMENTS / f"{number:09d}-{self._run}.jsonl"
        self._store.write(segment, new)
        self._segments.append(segment)
        self._uploaded += len(new)

    def _compact(self) -> None:
        """Upload the whole manifest, then remove its segments."""
        if self._segments:
            self._store.publish(self._manifest)
            self._store.remove(self._segments)
            self._segments = []


class _Lock:
    """A lock object: created only if there is none, then renewed; a stale one may be replaced."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.run = secrets.token_hex(6)
        self._store = store
        self._clock = clock
        self._path = store.local / LOCK
        self._renewed = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock during this block.

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
        """Renew the lock if it is due.

        Raises:
            OutputError: if another batch has taken the lock, or the store cannot be written.
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
        if self._clock() - float(holder.get("renewed", 0)) > LOCK_TIMEOUT:
            self._store.remove([self._path])
            if self._store.create(self._path, self._content()):
                return
        raise OutputError(
            f"another batch is writing to '{self._store.url}' (process {holder.get('process')} "
            f"on {holder.get('host')})",
            f"wait until it has finished ({LOCK_TIMEOUT:.0f} s if it was killed), or choose another folder",
        )

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(self._store.read(self._path) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _content(self) -> bytes:
        self._renewed = self._clock()
        content = {
            "run": self.run,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "renewed": self._renewed,
            "time": datetime.fromtimestamp(self._renewed, UTC).isoformat(timespec="seconds"),
        }
        return json.dumps(content).encode()


class _LockLostError(OutputError):
    """Another batch has taken over the lock."""
