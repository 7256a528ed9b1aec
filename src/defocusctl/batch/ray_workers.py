"""The workers of a batch on a Ray cluster: how many fit into it, and what each of them does."""

import logging
import os
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from defocusctl import __version__
from defocusctl.batch.jobs import BatchOptions, Job
from defocusctl.batch.manifest import LOCK
from defocusctl.batch.restore_queue import AbandonedError, RestoreQueue
from defocusctl.batch.storage import Storage
from defocusctl.batch.work import Outcome, PhotoWork
from defocusctl.deblurrer import Deblurrer
from defocusctl.errors import DeviceError, OutputError, UsageError
from defocusctl.system.limits import processors
from defocusctl.weights.resolve import ResolvedWeights

ADDRESS = "RAY_ADDRESS"
LOCAL = "local"
START_ATTEMPTS = 3
RAY_CLIENT = "ray://"
CONNECT_TIMEOUT = 5.0  # seconds to wait for a connection to a cluster's port
OBJECT_STORE = 100_000_000  # bytes for Ray's objects in a cluster started here; photos do not pass through it
MEMORY_EACH = 3 * 2**30
"""Bytes that a worker on CPUs should have: the network's feature maps of a tile (docs/restoring.md)."""
CALLS_EACH_CPU = 2
CALLS_EACH_GPU = 8  # photos in flight per worker: being read, restored or written; small ones are batched


class Workers(NamedTuple):
    """``number`` identical workers, each with its own ``cpus`` and ``gpus`` and up to ``calls`` photos.

    At most ``per_node`` of them share the memory of one machine.
    """

    number: int
    cpus: int
    gpus: int
    calls: int
    per_node: int


@contextmanager
def cluster_nodes(address: str | None) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Connect to the cluster at ``address`` or ``RAY_ADDRESS``, or to one started here; yield its nodes.

    An existing connection of this process is reused.

    Raises:
        UsageError: if Ray is not installed.
        DeviceError: if the cluster cannot be reached or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError("Ray is not installed", "pip install 'defocusctl[ray]'") from error
    address = address or os.environ.get(ADDRESS) or LOCAL
    _check_reachable(address)
    if ray.is_initialized():
        yield ray.nodes()
        return
    try:
        _connect(address)
        yield ray.nodes()
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Connect, retrying a local start: on a busy machine Ray does not wait long enough for it."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == LOCAL:
        options |= {"num_cpus": processors(), "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    tries = START_ATTEMPTS if address == LOCAL else 1
    for left in reversed(range(tries)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address=address, **options)
            return
        except (Exception, SystemExit) as error:
            if left == 0:
                action = "start a Ray cluster here" if address == LOCAL else f"connect to '{address}'"
                raise DeviceError(f"cannot {action} ({shortened(error)})", _remedy(address)) from error
            ray.shutdown()


def shortened(error: BaseException) -> str:
    """The first and last line of Ray's long errors: what happened and, often, why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "; ".join(line.strip()[:200] for line in dict.fromkeys((lines[0], lines[-1])))


def choose_workers(nodes: Sequence[Mapping[str, Any]], device: str, jobs: int | None) -> Workers:
    """Workers for the nodes of a cluster, as ``ray.nodes()`` lists them.

    One for each GPU, with its share of the node's CPUs. Without GPUs, or for the device ``cpu``, one for each
    CPU, because separate photos wait for each other less than threads do, or for several CPUs if memory is
    short. Workers reserve what they use, so Ray never overfills a node. ``jobs`` is the requested number of
    workers, which then share the CPUs.

    Raises:
        DeviceError: if no node has the requested device.
    """
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = 0 if device == "cpu" else sum(int(each.get("GPU", 0)) for each in resources)
    if gpus:
        shares = [
            int(each.get("CPU", 0)) // int(each["GPU"]) for each in resources if each.get("GPU", 0) >= 1
        ]
        return Workers(min(jobs or gpus, gpus), min(shares), 1, CALLS_EACH_GPU, 1)
    if device not in ("auto", "cpu"):
        raise DeviceError("the Ray cluster has no GPU", "use --device auto or cpu, or add GPU nodes")
    cpus = [int(each.get("CPU", 0)) for each in resources if each.get("CPU", 0) >= 1]
    if not cpus:
        raise DeviceError("the Ray cluster has no CPUs", "start it with --num-cpus, or add nodes")
    threads = max(1, sum(cpus) // jobs) if jobs else max(map(_cpus_per_worker, resources))
    threads = min(threads, *cpus)
    count = sum(each // threads for each in cpus)
    return Workers(
        min(jobs or count, count), threads, 0, CALLS_EACH_CPU, min(max(cpus) // threads, jobs or count)
    )


def _cpus_per_worker(resources: Mapping[str, float]) -> int:
    """CPUs per worker so that the node's memory is enough for all its workers."""
    cpus, memory = int(resources.get("CPU", 0)), resources.get("memory", 0.0)
    workers = max(1, min(cpus, int(memory) // MEMORY_EACH))
    return -(-cpus // workers)


def _check_reachable(address: str) -> None:
    """Check the port first: Ray takes over a minute to fail, with many lines of output."""
    host, _, port = address.removeprefix(RAY_CLIENT).rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeviceError(f"there is no Ray cluster at '{address}' ({reason})", _remedy(address)) from error


def _remedy(address: str) -> str:
    if address == LOCAL:
        return "try again when the machine is less busy, or give --ray-address"
    return f"check --ray-address and {ADDRESS}, or omit both to start a cluster on this machine"


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
        restoring = replace(work.options.restoring, device="cuda" if workers.gpus else "cpu")
        options = replace(work.options, restoring=restoring)
        storage = Storage(work.storage.urls)
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
        deblurrer.restorer.follows_load = False  # Ray gives each worker its processors
        return PhotoWork(deblurrer, self.options, self.out, self.storage)


class PhotoWorker:
    """A Ray actor; its calls run in threads, so reading, restoring and writing overlap."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._abandoned = threading.Event()
        self._loading = threading.Lock()
        self._queue: RestoreQueue | None = None

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
        queue = self._loaded()
        try:
            opened = queue.work.open(job)
            return opened if isinstance(opened, Outcome) else queue.finish(opened)
        except AbandonedError:
            return None

    def abandon(self) -> None:
        """Abandon the photos being restored after their current tiles."""
        self._abandoned.set()

    def _loaded(self) -> RestoreQueue:
        import torch

        assignment, host = self._assignment, socket.gethostname()
        with self._loading:
            if self._queue is not None:
                return self._queue
            if assignment.software != __version__:
                cause = f"'{host}' has defocusctl {__version__}, this machine {assignment.software}"
                raise DeviceError(cause, "install the same version")
            out = assignment.out
            if assignment.storage.url_of(out) is None and not (out / LOCK).exists():
                remedy = "use one that all machines share, or a store such as s3://bucket/folder"
                raise OutputError(f"'{host}' does not see the folder '{out}'", remedy)
            torch.set_num_threads(max(1, assignment.workers.cpus))
            self._queue = RestoreQueue(assignment.work(), 1, self._abandoned.is_set)
            return self._queue
