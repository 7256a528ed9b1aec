"""What is done with one photo, in the steps that overlap: fetch and open, restore, store; and its entry."""

import errno
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from defocusctl import __version__
from defocusctl.batch.job import BatchSettings, Entry, Job, Outcome, Status
from defocusctl.batch.manifest import place_in
from defocusctl.batch.stamps import TICK, Stamp, recorded_stamp
from defocusctl.deblurrer import Deblurrer, RestoredPhoto
from defocusctl.deblurrer.outputs import read_warnings, restore_photos, write_result
from defocusctl.errors import BugError, DefocusctlError, InputError
from defocusctl.photo import Photo, has_provenance, read_content, read_photo
from defocusctl.system.atomic import write_error
from defocusctl.system.devices import enough_memory
from defocusctl.weights.checksums import Checksum

HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What the system says when no other result could be written either."""


class OwnResultError(DefocusctlError):
    """A photo that this program made is not an input."""


class Content(NamedTuple):
    """The bytes of a file, as they were processed, their SHA-256, and the file's stamp before it was read."""

    data: bytes
    size: int
    sha256: str
    seconds: float
    stamp: str | None = None


@dataclass(frozen=True)
class Opened:
    """A photo that was read, ready to be restored; the bytes of its file are gone."""

    job: Job
    photo: Photo
    size: int
    sha256: str
    warnings: tuple[str, ...]
    seconds: float
    stamp: str | None = None


class PhotoWork:
    """The steps, with the network, the settings and the output folder that all photos share."""

    def __init__(
        self, deblurrer: Deblurrer, settings: BatchSettings, out: Path, max_megapixels: float
    ) -> None:
        self.deblurrer = deblurrer
        self.settings = settings
        self.out = out
        self.max_megapixels = max_megapixels
        self._drawing = threading.Lock()

    def fetch(self, job: Job) -> Content:
        """The bytes of the photo's file.

        Raises:
            InputError: if they cannot be read, or the file changes meanwhile.
            DeviceError: if they do not fit into memory.
        """
        started = time.perf_counter()
        with enough_memory(f"'{job.source}'"):
            before = Stamp.of(job.source)
            stamp = None if before is None else before.recorded
            data = read_content(job.source)
            if before != Stamp.of(job.source):
                raise InputError(
                    f"'{job.source}' changed while it was read", "run the batch again when it is complete"
                )
            sha256 = hashlib.sha256(data).hexdigest()
        return Content(data, len(data), sha256, time.perf_counter() - started, stamp)

    def open(self, job: Job, content: Content) -> Opened:
        """Decode the photo.

        Raises:
            InputError: if it is damaged or above the limit.
            OutputError: if the format of the target cannot hold it.
            DeviceError: if it does not fit into memory.
            OwnResultError: if this program made it.
        """
        started = time.perf_counter()
        with enough_memory(f"'{job.source}'"):
            photo = read_photo(
                content.data,
                named=job.source,
                max_megapixels=self.max_megapixels,
                white=self.settings.white,
            )
        if has_provenance(photo.metadata.xmp):
            raise OwnResultError("it was made by defocusctl", "give the original")
        seconds = content.seconds + time.perf_counter() - started
        warnings = read_warnings(photo, job.target)
        return Opened(job, photo, content.size, content.sha256, warnings, seconds, content.stamp)

    def restore(
        self, opened: Sequence[Opened], on_tile: Callable[[int, int], None] | None = None
    ) -> list[RestoredPhoto]:
        """Restore one photo, or several of one size together.

        Raises:
            The errors of ``pipeline.restore_photos``.
        """
        with enough_memory(", ".join(f"'{one.job.source}'" for one in opened)):
            photos = [one.photo for one in opened]
            return restore_photos(self.deblurrer, photos, outputs=opened[0].job.outputs, on_tile=on_tile)

    def store(self, opened: Opened, restored: RestoredPhoto, seconds: float) -> Entry:
        """Write the result, with its pictures and folders; ``seconds`` is what restoring took.

        Raises:
            OutputError: if something cannot be written; what was written before it is whole.
        """
        started = time.perf_counter()
        job = opened.job
        files = job.files(self.deblurrer.weights.model)
        try:
            for folder in {path.parent for path in files}:
                folder.mkdir(parents=True, exist_ok=True)
            with self._drawing if len(files) > 1 else nullcontext():
                write_result(self.deblurrer.network, restored, job.target, job.outputs)
            time.sleep(TICK / 1e9)  # from now on every change of these files shows in their times
            stamps = {place_in(self.out, path): recorded_stamp(path) for path in files}
            hashes = {place_in(self.out, path): Checksum.of_file(path, "sha256").hex for path in files}
        except OSError as error:
            raise write_error(Path(error.filename or job.target), error) from error
        report = asdict(restored.report)
        warnings = (*opened.warnings, *report.pop("warnings"))
        size = opened.photo.size
        return self._entry(
            job,
            Status.DONE,
            size=opened.size,
            sha256=opened.sha256,
            stamp=opened.stamp,
            files=hashes,
            stamps={place: stamp for place, stamp in stamps.items() if stamp is not None},
            report={**report, "width": size.width, "height": size.height},
            seconds={
                "read": round(opened.seconds, 3),
                "restore": round(seconds, 3),
                "write": round(time.perf_counter() - started, 3),
            },
            warnings=warnings,
        )

    def failure(self, job: Job, error: Exception, read: Content | Opened | None) -> Outcome:
        """The outcome of a job that ended in an error; ``read`` if its file was."""
        problem = error if isinstance(error, DefocusctlError) else BugError(error)
        own = isinstance(problem, OwnResultError)
        entry = self._entry(
            job,
            Status.SKIPPED if own else Status.FAILED,
            size=None if read is None else read.size,
            sha256=None if read is None else read.sha256,
            stamp=None if read is None else read.stamp,
            error=str(problem),
            exit_code=0 if own else int(problem.exit_code),
        )
        return Outcome(job, entry, _is_hopeless(problem))

    def _entry(
        self,
        job: Job,
        status: Status,
        *,
        size: int | None,
        sha256: str | None,
        stamp: str | None = None,
        files: Mapping[str, str] | None = None,
        stamps: Mapping[str, str] | None = None,
        report: Mapping[str, Any] | None = None,
        seconds: Mapping[str, float] | None = None,
        warnings: tuple[str, ...] = (),
        error: str | None = None,
        exit_code: int = 0,
    ) -> Entry:
        weights = self.deblurrer.weights
        return Entry(
            input=job.name,
            status=status,
            source=str(job.source),
            size=size,
            sha256=sha256,
            files=files or {},
            settings=self.settings.as_json(),
            weights={"name": weights.name, "source": weights.source, "hash": str(weights.checksum)},
            report=report or {},
            seconds=seconds or {},
            warnings=warnings,
            error=error,
            exit_code=exit_code,
            software=f"defocusctl {__version__}",
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            stamp=stamp,
            stamps=stamps or {},
        )


def _is_hopeless(error: BaseException) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in HOPELESS
