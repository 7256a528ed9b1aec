"""The steps for one photo, which overlap between photos: open, restore, store; and its entry."""

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
from defocusctl.batch.jobs import BatchOptions, Job
from defocusctl.batch.manifest import TICK, Entry, Stamp, Status, manifest_path, recorded_stamp
from defocusctl.batch.storage import LOCAL, Storage
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import photo_warnings, restore_photos, write_result
from defocusctl.errors import BugError, DefocusctlError, InputError
from defocusctl.photo import Photo, is_own, read_content, read_photo
from defocusctl.restoring.restored import Restored
from defocusctl.system.atomic import write_error
from defocusctl.system.devices import memory_errors
from defocusctl.weights.checksums import Checksum

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors after which no other result could be written either."""


class OwnResultError(DefocusctlError):
    """The photo was made by this program and is not an input."""


class Outcome(NamedTuple):
    """The entry of a finished job; ``fatal`` means that no other job could succeed, as on a full disk."""

    entry: Entry
    fatal: bool = False


@dataclass(frozen=True)
class Opened:
    """A decoded photo, ready to be restored, and its entry so far."""

    job: Job
    photo: Photo
    entry: Entry


@dataclass(eq=False)
class PhotoWork:
    """The steps, with the network, options and output folder that all photos share.

    Files in stores are downloaded and uploaded as needed; no local copies remain.
    """

    deblurrer: Deblurrer
    options: BatchOptions
    out: Path
    storage: Storage = LOCAL

    def __post_init__(self) -> None:
        self.settings = self.options.settings(str(self.deblurrer.weights.checksum))
        self._drawing = threading.Lock()

    def open(self, job: Job) -> Opened | Outcome:
        """Read the photo; return a failed outcome if that is not possible, or if this program made it."""
        entry = self._entry(job)
        try:
            started = time.perf_counter()
            with memory_errors(f"'{job.source}'"):
                data, stamp = self.fetch(job)
                sha256 = hashlib.sha256(data).hexdigest()
                entry = replace(entry, size=len(data), sha256=sha256, stamp=stamp)
                photo = read_photo(
                    data,
                    named=job.source,
                    max_megapixels=self.options.max_megapixels,
                    white=self.options.white,
                )
            if is_own(photo.metadata):
                raise OwnResultError("it was made by defocusctl", "give the original")
            warnings = photo_warnings(photo, job.target)
            seconds = {"read": round(time.perf_counter() - started, 3)}
            return Opened(job, photo, replace(entry, warnings=warnings, seconds=seconds))
        except Exception as error:
            return self.failure(job, error, entry)

    def fetch(self, job: Job) -> tuple[bytes, str | None]:
        """Read the photo's file; return its bytes, and the stamp that it had before.

        Raises:
            InputError: if it cannot be read or changes meanwhile.
        """
        with self.storage.fetched(job.source):
            if job.source.is_fifo():
                cause = f"'{job.source}' is a pipe, and batch reads files only"
                raise InputError(cause, "use 'defocusctl deblur' for it")
            before = Stamp.of(job.source)
            is_object = self.storage.url_of(job.source) is not None
            stamp = job.stamp if is_object else before and before.recorded
            data = read_content(job.source)
            if before != Stamp.of(job.source):
                cause = f"'{job.source}' changed while it was read"
                raise InputError(cause, "run the batch again when it is complete")
        return data, stamp

    def restore(
        self, opened: Sequence[Opened], on_tile: Callable[[int, int], None] | None = None
    ) -> list[Restored]:
        """Restore one photo, or a batch of one size; errors are those of ``restore_photos``."""
        photos, outputs = [one.photo for one in opened], opened[0].job.outputs
        with memory_errors(", ".join(f"'{one.job.source}'" for one in opened)):
            return restore_photos(
                self.deblurrer, photos, mask=self.options.mask, outputs=outputs, on_tile=on_tile
            )

    def store(self, opened: Opened, restored: Restored, seconds: float) -> Outcome:
        """Write the result and its pictures, creating folders; ``seconds`` is the time for restoring.

        Raises:
            OutputError: if something cannot be written; what was written before it is whole.
        """
        started = time.perf_counter()
        hashes, stamps = self._write(opened.job, restored)
        written = round(time.perf_counter() - started, 3)
        report = asdict(restored.report)
        warnings = (*opened.entry.warnings, *report.pop("warnings"))
        size = opened.photo.size
        entry = replace(
            opened.entry,
            files=hashes,
            stamps=stamps,
            report={**report, "width": size.width, "height": size.height},
            seconds={**opened.entry.seconds, "restore": round(seconds, 3), "write": written},
            warnings=warnings,
            finished=_now(),
        )
        return Outcome(entry)

    def failure(self, job: Job, error: Exception, entry: Entry | None = None) -> Outcome:
        """The outcome of a job that failed; ``entry`` has what is known about its file."""
        problem = error if isinstance(error, DefocusctlError) else BugError(error)
        is_own = isinstance(problem, OwnResultError)
        entry = replace(
            entry or self._entry(job),
            status=Status.SKIPPED if is_own else Status.FAILED,
            seconds={},
            warnings=(),
            error=self.storage.with_urls(str(problem)),
            exit_code=0 if is_own else int(problem.exit_code),
            finished=_now(),
        )
        cause = problem.__cause__
        return Outcome(entry, fatal=isinstance(cause, OSError) and cause.errno in FATAL)

    def _write(self, job: Job, restored: Restored) -> tuple[dict[str, str], dict[str, str]]:
        """Write and upload a photo's files; return their hashes and known stamps."""
        files = {manifest_path(self.out, path): path for path in job.files(self.options.model)}
        objects = {name: path for name, path in files.items() if self.storage.url_of(path) is not None}
        try:
            for folder in {path.parent for path in files.values()}:
                folder.mkdir(parents=True, exist_ok=True)
            with self._drawing if len(files) > 1 else nullcontext():
                write_result(self.deblurrer, restored, job.target, job.outputs)
            time.sleep(TICK / 1e9)  # so that any later change gives the files other times
            stamps = {name: recorded_stamp(path) for name, path in files.items()}
            hashes = {name: Checksum.of_file(path, "sha256").hex for name, path in files.items()}
            for name in reversed(objects):  # the photo last
                stamps[name] = self.storage.put(objects[name])
        except OSError as error:
            raise write_error(Path(error.filename or job.target), error) from error
        finally:
            for path in objects.values():
                path.unlink(missing_ok=True)
        return hashes, {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _entry(self, job: Job) -> Entry:
        """The entry of a photo that was restored, without what is not known yet."""
        weights = self.deblurrer.weights
        return Entry(
            input=job.name,
            status=Status.DONE,
            source=self.storage.with_urls(str(job.source)),
            size=None,
            sha256=None,
            files={},
            settings=self.settings,
            weights={"name": weights.name, "source": weights.source, "hash": str(weights.checksum)},
            report={},
            seconds={},
            warnings=(),
            error=None,
            exit_code=0,
            software=f"defocusctl {__version__}",
            finished="",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
