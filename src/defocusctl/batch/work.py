"""The steps for one photo, which overlap between photos: fetch and open, restore, store; and its entry."""

import errno
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from defocusctl import __version__
from defocusctl.batch.jobs import BatchOptions, Job, Outcome
from defocusctl.batch.manifest import TICK, Entry, Stamp, Status, manifest_path, recorded_stamp
from defocusctl.batch.storage import LOCAL, Storage
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import photo_warnings, restore_photos, write_result
from defocusctl.errors import BugError, DefocusctlError, InputError
from defocusctl.photo import Photo, is_own, read_content, read_photo
from defocusctl.restoring.restorer import Restored
from defocusctl.system.atomic import write_error
from defocusctl.system.devices import memory_errors
from defocusctl.weights.checksums import Checksum

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors after which no other result could be written either."""


class OwnResultError(DefocusctlError):
    """The photo was made by this program and is not an input."""


class Source(NamedTuple):
    """A file that was read: bytes, hash, stamp before reading, and seconds taken."""

    size: int
    sha256: str
    stamp: str | None
    seconds: float


@dataclass(frozen=True)
class Opened:
    """A decoded photo, ready to be restored."""

    job: Job
    photo: Photo
    source: Source
    warnings: tuple[str, ...]
    seconds: float


class PhotoWork:
    """The steps, with the network, options and output folder that all photos share.

    Files in stores are downloaded and uploaded as needed; no local copies remain.
    """

    def __init__(
        self, deblurrer: Deblurrer, options: BatchOptions, out: Path, storage: Storage = LOCAL
    ) -> None:
        self.deblurrer = deblurrer
        self.options = options
        self.out = out
        self.storage = storage
        self.settings = options.settings(str(deblurrer.weights.checksum))
        self._drawing = threading.Lock()

    def fetch(self, job: Job) -> tuple[bytes, Source]:
        """Read the photo's file; return its bytes and what to record about it.

        Raises:
            InputError: if it cannot be read or changes meanwhile.
            DeviceError: if it does not fit into memory.
        """
        started = time.perf_counter()
        is_local = self.storage.store_of(job.source) is None
        with memory_errors(f"'{job.source}'"), self.storage.fetched(job.source):
            if job.source.is_fifo():
                raise InputError(
                    f"'{job.source}' is a pipe, and batch reads files only", "use 'defocusctl deblur' for it"
                )
            before = Stamp.of(job.source)
            stamp = (before and before.recorded) if is_local else job.stamp
            data = read_content(job.source)
            if before != Stamp.of(job.source):
                raise InputError(
                    f"'{job.source}' changed while it was read", "run the batch again when it is complete"
                )
            sha256 = hashlib.sha256(data).hexdigest()
        return data, Source(len(data), sha256, stamp, time.perf_counter() - started)

    def open(self, job: Job, data: bytes, source: Source) -> Opened:
        """Decode the photo.

        Raises:
            InputError: if it is damaged or above the limit.
            OutputError: if the format of the target cannot hold it.
            DeviceError: if it does not fit into memory.
            OwnResultError: if this program made it.
        """
        started = time.perf_counter()
        with memory_errors(f"'{job.source}'"):
            photo = read_photo(
                data,
                named=job.source,
                max_megapixels=self.options.max_megapixels,
                white=self.options.white,
            )
        if is_own(photo.metadata):
            raise OwnResultError("it was made by defocusctl", "give the original")
        seconds = source.seconds + time.perf_counter() - started
        return Opened(job, photo, source, photo_warnings(photo, job.target), seconds)

    def restore(
        self, opened: Sequence[Opened], on_tile: Callable[[int, int], None] | None = None
    ) -> list[Restored]:
        """Restore one photo, or a batch of one size.

        Raises:
            InputError: if a photo has pixels that are not finite, or the mask has another shape.
            UsageError: if the scale leaves too little of a photo.
            DeviceError: if even the smallest tile does not fit into memory.
        """
        with memory_errors(", ".join(f"'{one.job.source}'" for one in opened)):
            photos = [one.photo for one in opened]
            return restore_photos(
                self.deblurrer,
                photos,
                mask=self.options.mask,
                outputs=opened[0].job.outputs,
                on_tile=on_tile,
            )

    def store(self, opened: Opened, restored: Restored, seconds: float) -> Entry:
        """Write the result and its pictures, creating folders; ``seconds`` is the time for restoring.

        Raises:
            OutputError: if something cannot be written; what was written before it is whole.
        """
        started = time.perf_counter()
        files = opened.job.files(self.options.model)
        hashes, stamps = self._write(opened.job, restored, files)
        report = asdict(restored.report)
        warnings = (*opened.warnings, *report.pop("warnings"))
        size = opened.photo.size
        return replace(
            self._entry(opened.job, Status.DONE, opened.source),
            files=hashes,
            stamps=stamps,
            report={**report, "width": size.width, "height": size.height},
            seconds={
                "read": round(opened.seconds, 3),
                "restore": round(seconds, 3),
                "write": round(time.perf_counter() - started, 3),
            },
            warnings=warnings,
        )

    def failure(self, job: Job, error: Exception, source: Source | None = None) -> Outcome:
        """The outcome of a job that failed, possibly before its file was read."""
        problem = error if isinstance(error, DefocusctlError) else BugError(error)
        is_own = isinstance(problem, OwnResultError)
        entry = replace(
            self._entry(job, Status.SKIPPED if is_own else Status.FAILED, source),
            error=self.storage.with_urls(str(problem)),
            exit_code=0 if is_own else int(problem.exit_code),
        )
        cause = problem.__cause__
        return Outcome(job, entry, fatal=isinstance(cause, OSError) and cause.errno in FATAL)

    def _write(
        self, job: Job, restored: Restored, files: Sequence[Path]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write and upload a photo's files; return their hashes and known stamps."""
        hashes, stamps = {}, {}
        try:
            for folder in {path.parent for path in files}:
                folder.mkdir(parents=True, exist_ok=True)
            with self._drawing if len(files) > 1 else nullcontext():
                write_result(self.deblurrer, restored, job.target, job.outputs)
            time.sleep(TICK / 1e9)  # so that any later change gives the files other times
            for path in files:
                stamps[manifest_path(self.out, path)] = recorded_stamp(path)
                hashes[manifest_path(self.out, path)] = Checksum.of_file(path, "sha256").hex
            for path in reversed(files):  # the photo last
                if store := self.storage.store_of(path):
                    stamps[manifest_path(self.out, path)] = store.publish(path)
        except OSError as error:
            raise write_error(Path(error.filename or job.target), error) from error
        finally:
            for path in files:
                if self.storage.store_of(path):
                    path.unlink(missing_ok=True)
        return hashes, {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _entry(self, job: Job, status: Status, source: Source | None) -> Entry:
        """An entry for a job that ends now, without its results."""
        weights = self.deblurrer.weights
        return Entry(
            input=job.name,
            status=status,
            source=self.storage.with_urls(str(job.source)),
            size=None if source is None else source.size,
            sha256=None if source is None else source.sha256,
            files={},
            settings=self.settings,
            weights={"name": weights.name, "source": weights.source, "hash": str(weights.checksum)},
            report={},
            seconds={},
            warnings=(),
            error=None,
            exit_code=0,
            software=f"defocusctl {__version__}",
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            stamp=None if source is None else source.stamp,
        )
