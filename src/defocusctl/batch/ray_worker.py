"""A worker on a Ray cluster: holds the network and restores photos from file to file."""

import socket
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from defocusctl import __version__
from defocusctl.batch.engine import AbandonedError, Steps
from defocusctl.batch.jobs import BatchOptions, Job, Outcome
from defocusctl.batch.manifest import LOCK
from defocusctl.batch.ray_cluster import Workers
from defocusctl.batch.storage import Storage
from defocusctl.batch.work import PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import DeviceError, OutputError
from defocusctl.weights.resolve import ResolvedWeights


@dataclass(frozen=True)
class Assignment:
    """What all workers of a batch share; can be pickled.

    ``content`` is the weights file, which need not exist on the workers' machines.
    """

    weights: ResolvedWeights
    content: bytes
    options: BatchOptions
    out: Path
    storage: Storage
    workers: Workers
    software: str = __version__

    @classmethod
    def of(cls, work: PhotoWork, workers: Workers) -> Self:
        """``work`` for remote workers."""
        weights = work.deblurrer.weights
        restoring = replace(work.options.restoring, device=workers.device)
        options = replace(work.options, restoring=restoring)
        storage = Storage(work.storage.stores)
        return cls(weights, weights.path.read_bytes(), options, work.out.absolute(), storage, workers)

    def work(self) -> PhotoWork:
        """Load the network and move it to its device.

        Raises:
            WeightsError, DeviceError: if that is not possible here.
        """
        with tempfile.TemporaryDirectory(prefix="defocusctl-weights-") as folder:
            path = Path(folder) / self.weights.path.name
            path.write_bytes(self.content)
            weights = replace(self.weights, path=path)
            deblurrer = Deblurrer.from_resolved(weights, self.options.restoring)
        deblurrer.restorer.concurrency = self.workers.per_node
        return PhotoWork(deblurrer, self.options, self.out, self.storage)


class PhotoWorker:
    """A Ray actor; its calls run in threads, so reading, restoring and writing overlap."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._abandoned = threading.Event()
        self._loading = threading.Lock()
        self._steps: Steps | None = None

    def prepare(self) -> None:
        """Load the network unless it is loaded.

        Raises:
            DeviceError: if this machine has another version of this program or no such device.
            OutputError: if this machine does not see the output folder.
            WeightsError: if the weights cannot be loaded.
        """
        self._loaded()

    def do(self, job: Job) -> Outcome | None:
        """Restore one photo from file to file; an error becomes its outcome. None if abandoned."""
        steps = self._loaded()
        try:
            opened = steps.open(job)
            return opened if isinstance(opened, Outcome) else steps.finish(opened)
        except AbandonedError:
            return None

    def abandon(self) -> None:
        """Abandon the photos being restored after their current tiles."""
        self._abandoned.set()

    def _loaded(self) -> Steps:
        import torch

        assignment, host = self._assignment, socket.gethostname()
        with self._loading:
            if self._steps is not None:
                return self._steps
            if assignment.software != __version__:
                raise DeviceError(
                    f"'{host}' has defocusctl {__version__}, this machine {assignment.software}",
                    "install the same version",
                )
            out = assignment.out
            if assignment.storage.store_of(out) is None and not (out / LOCK).exists():
                raise OutputError(
                    f"'{host}' does not see the folder '{out}'",
                    "use one that all machines share, or a store such as s3://bucket/folder",
                )
            torch.set_num_threads(max(1, assignment.workers.cpus))
            self._steps = Steps(assignment.work(), 1, self._abandoned.is_set)
            return self._steps
