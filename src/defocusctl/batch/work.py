"""What is done with one photo, in the steps that overlap: fetch and open, restore, store; and its entry."""

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
from defocusctl.batch.manifest import TICK, Entry, Stamp, Status, place_in, recorded_stamp
from defocusctl.batch.storage import LOCAL, Storage
from defocusctl.deblurrer import Deblurrer
from defocusctl.deblurrer.outputs import photo_warnings, restore_photos, write_result
from defocusctl.errors import BugError, DefocusctlError, InputError
from defocusctl.photo import Photo, has_provenance, read_content, read_photo
from defocusctl.restoring.restorer import Restored
from defocusctl.system.atomic import write_error
from defocusctl.system.devices import enough_memory
from defocusctl.weights.checksums import Checksum

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What the system says when no other result could be written either."""


class OwnResultError(DefocusctlError):
    """A photo that this program made is not an input."""


class Source(NamedTuple):
    """What is known of a file that was read: bytes, their hash, its stamp from before, seconds it took."""

    size: int
    sha256: str
    stamp: str | None
    seconds: float


@dataclass(frozen=True)
class Opened:
    """A photo that was read, ready to be restored; the bytes of its file are gone."""

    job: Job
    photo: Photo
    source: Source
    warnings: tuple[str, ...]
    seconds: float


class PhotoWork:
    """The steps, with the network, the options and the output folder that all photos share.

    What ``storage`` says is in a store is fetched from there and published there; nothing of it stays here.
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
        """The bytes of the photo's file, and what is to be recorded of them.

        Raises:
            InputError: if they cannot be read, or the file changes meanwhile.
            DeviceError: if they do not fit into memory.
        """
        started = time.perf_counter()
        here = self.storage.store_of(job.source) is None
        with enough_memory(f"'{job.source}'"), self.storage.fetched(job.source):
            before = Stamp.of(job.source)
            stamp = (before and before.recorded) if here else job.stamp
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
        with enough_memory(f"'{job.source}'"):
            photo = read_photo(
                data,
                named=job.source,
                max_megapixels=self.options.max_megapixels,
                white=self.options.white,
            )
        if has_provenance(photo.metadata.xmp):
            raise OwnResultError("it was made by defocusctl", "give the original")
        seconds = source.seconds + time.perf_counter() - started
        return Opened(job, photo, source, photo_warnings(photo, job.target), seconds)

    def restore(
        self, opened: Sequence[Opened], on_tile: Callable[[int, int], None] | None = None
    ) -> list[Restored]:
        """Restore one photo, or several of one size together.

        Raises:
            InputError: if a photo has pixels that are not numbers.
            DeviceError: if even the smallest tile does not fit into memory.
        """
        with enough_memory(", ".join(f"'{one.job.source}'" for one in opened)):
            photos = [one.photo for one in opened]
            return restore_photos(self.deblurrer, photos, outputs=opened[0].job.outputs, on_tile=on_tile)

    def store(self, opened: Opened, restored: Restored, seconds: float) -> Entry:
        """Write the result, with its pictures and folders; ``seconds`` is what restoring took.

        Raises:
            OutputError: if something cannot be written; what was written before it is whole.
        """
        started = time.perf_counter()
        files = opened.job.files(self.options.model)
        hashes, stamps = self._written(opened.job, restored, files)
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
        """The outcome of a job that ended in an error, perhaps before its file was read."""
        problem = error if isinstance(error, DefocusctlError) else BugError(error)
        own = isinstance(problem, OwnResultError)
        entry = replace(
            self._entry(job, Status.SKIPPED if own else Status.FAILED, source),
            error=self.storage.in_words(str(problem)),
            exit_code=0 if own else int(problem.exit_code),
        )
        cause = problem.__cause__
        return Outcome(job, entry, fatal=isinstance(cause, OSError) and cause.errno in FATAL)

    def _written(
        self, job: Job, restored: Restored, files: Sequence[Path]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Write the files of a photo, wherever they belong; their hashes and, as far as known, stamps."""
        hashes, stamps = {}, {}
        try:
            for folder in {path.parent for path in files}:
                folder.mkdir(parents=True, exist_ok=True)
            with self._drawing if len(files) > 1 else nullcontext():
                write_result(self.deblurrer, restored, job.target, job.outputs)
            time.sleep(TICK / 1e9)  # from now on every change of these files shows in their times
            for path in files:
                stamps[place_in(self.out, path)] = recorded_stamp(path)
                hashes[place_in(self.out, path)] = Checksum.of_file(path, "sha256").hex
            for path in reversed(files):  # the photo last
                if store := self.storage.store_of(path):
                    stamps[place_in(self.out, path)] = store.publish(path)
        except OSError as error:
            raise write_error(Path(error.filename or job.target), error) from error
        finally:
            for path in files:
                if self.storage.store_of(path):
                    path.unlink(missing_ok=True)
        return hashes, {place: stamp for place, stamp in stamps.items() if stamp is not None}

    def _entry(self, job: Job, status: Status, source: Source | None) -> Entry:
        """A line about a job that ends now, without what came of it."""
        weights = self.deblurrer.weights
        return Entry(
            input=job.name,
            status=status,
            source=self.storage.in_words(str(job.source)),
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
