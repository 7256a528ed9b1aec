"""Folders in object stores (``s3://bucket/folder``), through fsspec, and the records of a batch into one.

Objects cannot be appended to or locked. So the manifest grows in a local file, and its new lines are uploaded
every second as a segment, an object of their own: uploading the whole file each time would cost ever more.
At the end of a run, or at the start of the next one if it was killed, the whole manifest is uploaded and the
segments are removed. A machine that dies loses at most the last second's entries; those photos count as not
done. The lock is an object that is created only if there is none, and renewed.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from defocusctl.batch.manifest import FILE, RESERVATIONS
from defocusctl.errors import DefocusctlError, InputError, OutputError, UsageError
from defocusctl.system.paths import is_file_name

PROTOCOLS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""fsspec's protocols for stores in which an object appears whole or not at all."""
SEGMENTS = ".defocusctl-batch.segments"
LOCK = ".defocusctl-batch.store-lock"
UPLOAD_EVERY = 1.0
RENEW_EVERY = 20.0
LOCK_TIMEOUT = 120.0  # seconds after which a lock that was not renewed counts as left by a killed run
RETRY_FOR = 60.0  # seconds of failed uploads after which the batch stops


Info = Mapping[str, Any]  # fsspec's description of an object


def object_stamp(info: Info) -> str | None:
    """The size and the ETag of an object, which change with its content; None if the store gives no ETag."""
    tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
    return f"{info.get('size') or 0}-{tag}" if tag else None


def open_store(url: str) -> Any:
    """fsspec's file system of a folder in a store; names are relative to the folder.

    Raises:
        UsageError: if the protocol is not supported here, or its package is missing.
    """
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        cause = f"'{protocol}://' is not a supported store"
        raise UsageError(cause, f"use {', '.join(PROTOCOLS[:-1])}, or a mounted folder")
    import fsspec
    from fsspec.implementations.dirfs import DirFileSystem

    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot open '{url}' ({error})", "install fsspec's package for it") from error
    return DirFileSystem(root.rstrip("/"), files)


@contextmanager
def store_errors(action: str, url: str) -> Iterator[None]:
    """Turn any error of a store in this block into one line; ``action`` is what fails, such as "read".

    Raises:
        OutputError: if the action is "write".
        InputError: if it is another one.
        FileNotFoundError: if there is no such object to read.
    """
    try:
        yield
    except DefocusctlError:
        raise
    except Exception as error:  # the stores' libraries may raise anything
        if isinstance(error, FileNotFoundError) and action != "write":
            raise
        kind = OutputError if action == "write" else InputError
        cause = f"cannot {action} '{url}' ({f'{type(error).__name__}: {error}'[:200]})"
        raise kind(cause, "check the address, the permissions and the store") from error


def objects_in(url: str) -> dict[str, Info]:
    """All objects in a folder of a store by name, as fsspec describes them; none if there is no such folder.

    Raises:
        InputError: if they cannot be listed, or one has a name that no file can have.
    """
    try:
        with store_errors("list", url):
            found = open_store(url).find("", detail=True)
    except FileNotFoundError:
        return {}
    for name in found:
        if name and not all(map(is_file_name, name.split("/"))):
            raise InputError(f"'{url}/{name}' has a name that no file can have", "rename the object")
    return {name: info for name, info in found.items() if name}


def fetch_records(url: str, folder: Path) -> list[str]:
    """Download the manifest, with its segments, and the reservations to ``folder``; return the segments.

    Raises:
        InputError: if they cannot be read.
    """
    store = open_store(url)

    def read(name: str) -> bytes:
        with suppress(FileNotFoundError), store_errors("read", f"{url}/{name}"):
            content: bytes = store.cat_file(name)
            return content
        return b""

    segments = [f"{SEGMENTS}/{name}" for name in sorted(objects_in(f"{url}/{SEGMENTS}"))]
    lines = dict.fromkeys(line for name in (FILE, *segments) for line in read(name).splitlines(keepends=True))
    (folder / FILE).write_bytes(b"".join(lines))  # an interrupted compaction leaves lines in both
    (folder / RESERVATIONS).write_bytes(read(RESERVATIONS))
    return segments


class StoreRecords:
    """The records of a batch into the store ``url``, kept in the local ``folder`` and uploaded by a thread.

    If uploading fails, ``problem`` says why, and the batch should stop.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.problem: DefocusctlError | None = None
        self._url = url
        self._store = open_store(url)
        self._folder = folder
        self._run = secrets.token_hex(6)
        self._renewed = 0.0
        self._segments: list[str] = []
        self._uploaded = 0
        self._ended = threading.Event()

    @classmethod
    @contextmanager
    def opened(cls, url: str, folder: Path) -> Iterator["StoreRecords"]:
        """Lock the store's folder and keep its records up to date during this block.

        Raises:
            OutputError: if another batch has locked it, or the store cannot be written.
            InputError: if the records cannot be read.
        """
        records = cls(url, folder)
        with records._locked():
            records._segments = fetch_records(url, folder)
            records._uploaded = (folder / FILE).stat().st_size
            records._compact()
            thread = threading.Thread(target=records._sync, name="records", daemon=True)
            thread.start()
            try:
                yield records
            finally:
                records._ended.set()
                thread.join()
                if records.problem is not None:
                    raise records.problem
                records._compact()

    def publish_reservations(self) -> None:
        """Upload the reservations, before any reserved file is written.

        Raises:
            OutputError: if the store cannot be written.
        """
        with store_errors("write", f"{self._url}/{RESERVATIONS}"):
            self._store.put_file(str(self._folder / RESERVATIONS), RESERVATIONS)

    def _sync(self) -> None:
        """Upload new entries and renew the lock until the end."""
        failing_since: float | None = None
        while not self._ended.wait(UPLOAD_EVERY) and self.problem is None:
            try:
                with store_errors("write", self._url):
                    self._upload()
                    self._renew_lock()
                failing_since = None
            except DefocusctlError as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > RETRY_FOR:
                    self.problem = error

    def _upload(self) -> None:
        """Upload the manifest's new whole lines as a segment."""
        with (self._folder / FILE).open("rb") as file:
            file.seek(self._uploaded)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        if new:
            segment = f"{SEGMENTS}/{len(self._segments):09d}-{self._run}.jsonl"
            self._store.pipe_file(segment, new)
            self._segments.append(segment)
            self._uploaded += len(new)

    def _compact(self) -> None:
        """Upload the whole manifest, then remove its segments."""
        with store_errors("write", f"{self._url}/{FILE}"):
            self._upload()
            if self._segments:
                self._store.put_file(str(self._folder / FILE), FILE)
            while self._segments:
                self._store.rm_file(self._segments.pop())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock during this block; one that was not renewed for long is taken over."""
        with store_errors("write", f"{self._url}/{LOCK}"):
            taken = self._write_lock("create")
            holder = {} if taken else self._holder()
            if not taken and time.time() - float(holder.get("renewed", 0)) > LOCK_TIMEOUT:
                with suppress(FileNotFoundError):
                    self._store.rm_file(LOCK)
                taken = self._write_lock("create")
        if not taken:
            raise OutputError(
                f"another batch is writing to '{self._url}' (process {holder.get('process')} "
                f"on {holder.get('host')})",
                f"wait until it has finished ({LOCK_TIMEOUT:.0f} s if it was killed), "
                "or choose another folder",
            )
        try:
            yield
        finally:
            with suppress(Exception):
                if self._holder().get("run") == self._run:
                    self._store.rm_file(LOCK)

    def _renew_lock(self) -> None:
        """Renew the lock if it is due; if another batch has it, that is the ``problem``."""
        if time.time() - self._renewed < RENEW_EVERY:
            return
        if self._holder().get("run") == self._run:
            self._write_lock("overwrite")
        else:
            self.problem = OutputError(f"another batch has taken over '{self._url}'", "let it finish")

    def _holder(self) -> dict[str, Any]:
        """What the lock says; nothing if there is none."""
        with suppress(FileNotFoundError, ValueError):
            holder = json.loads(self._store.cat_file(LOCK))
            return holder if isinstance(holder, dict) else {}
        return {}

    def _write_lock(self, mode: str) -> bool:
        """Write the lock; false if the mode is "create" and there is one."""
        self._renewed = time.time()
        holder = {"run": self._run, "host": socket.gethostname(), "process": os.getpid()}
        content = json.dumps({**holder, "renewed": self._renewed}).encode()
        try:
            self._store.pipe_file(LOCK, content, mode=mode)
        except FileExistsError:
            return False
        except OSError as error:  # as S3 says it
            if "PreconditionFailed" not in repr((error, error.__cause__)):
                raise
            return False
        return True
