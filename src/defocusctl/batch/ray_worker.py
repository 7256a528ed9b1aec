"""What runs in a worker of a Ray cluster: the network, and photo after photo from file to file."""

import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from defocusctl import __version__
from defocusctl.batch.job import BatchSettings, Job, Outcome
from defocusctl.batch.manifest import LOCK
from defocusctl.batch.mirrored_work import MirroredWork
from defocusctl.batch.places import Places
from defocusctl.batch.together import SharedRestoring
from defocusctl.batch.work import Content, Opened, PhotoWork
from defocusctl.deblurrer import Deblurrer, RestoredPhoto
from defocusctl.errors import DeviceError, OutputError
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.weights.resolve import ResolvedWeights


@dataclass(frozen=True)
class Assignment:
    """Everything that the workers of a batch have in common; it can be pickled.

    ``content`` is the file of the weights: it need not be on their machines. ``threads`` compute in each
    worker; ``neighbours`` is how many share a machine's memory.
    """

    weights: ResolvedWeights
    content: bytes
    restoring: RestoreSettings
    settings: BatchSettings
    out: Path
    max_megapixels: float
    places: Places
    threads: int
    neighbours: int
    software: str = __version__

    def work(self) -> PhotoWork:
        """Load the network and bring it to its device.

        Raises:
            WeightsError, DeviceError: if that is not possible here.
        """
        with tempfile.TemporaryDirectory(prefix="defocusctl-weights-") as folder:
            path = Path(folder) / self.weights.path.name
            path.write_bytes(self.content)
            deblurrer = Deblurrer.from_resolved(replace(self.weights, path=path), self.restoring)
        deblurrer.restorer.at_once = self.neighbours
        return MirroredWork(deblurrer, self.settings, self.out, self.max_megapixels, self.places)


class Ready(NamedTuple):
    """A worker that can begin."""

    host: str
    process: int


class PhotoWorker:
    """An actor; its calls run in threads, so reading, restoring and writing overlap."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._abandoned = threading.Event()

    def prepare(self) -> Ready:
        """Load the network. Called once, before anything else.

        Raises:
            DeviceError: if another version of this program is installed here, or there is no such device.
            OutputError: if the output folder is not here.
            WeightsError: if the weights cannot be loaded.
        """
        import torch

        given, host = self._assignment, socket.gethostname()
        if given.software != __version__:
            raise DeviceError(
                f"'{host}' has defocusctl {__version__}, this is {given.software}", "install the same version"
            )
        if given.places.mirror_of(given.out) is None and not (given.out / LOCK).exists():
            raise OutputError(
                f"'{host}' does not see the folder '{given.out}'",
                "give one that all machines share, or a store such as s3://bucket/folder",
            )
        torch.set_num_threads(given.threads)
        self._work = given.work()
        self._restoring = SharedRestoring(self._restore, 1, self._work.deblurrer.restorer.room_for)
        return Ready(host, os.getpid())

    def do(self, job: Job) -> Outcome | None:
        """One photo from file to file; whatever goes wrong with it is its outcome. None if abandoned."""
        read: Content | Opened | None = None
        try:
            read = self._work.fetch(job)
            read = opened = self._work.open(job, read)
            restored, seconds = self._restoring.restored(opened)
            self._check_abandoned()
            return Outcome(job, self._work.store(opened, restored, seconds), fatal=False)
        except _AbandonedError:
            return None
        except Exception as error:
            return self._work.failure(job, error, read)

    def abandon(self) -> None:
        """Let what is being restored end in nothing, with the tile at hand."""
        self._abandoned.set()

    def _restore(self, opened: Sequence[Opened]) -> list[RestoredPhoto]:
        self._check_abandoned()
        return self._work.restore(opened, on_tile=lambda _done, _total: self._check_abandoned())

    def _check_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError


class _AbandonedError(Exception):
    """Nobody waits for the photo any more."""
