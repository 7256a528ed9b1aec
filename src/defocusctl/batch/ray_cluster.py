"""Connects to a Ray cluster or starts one here, and chooses the workers that fit into it."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from defocusctl.errors import DeviceError, UsageError
from defocusctl.system.limits import processors

ADDRESS = "RAY_ADDRESS"
LOCAL = "local"
START_ATTEMPTS = 3
RAY_CLIENT = "ray://"
CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a connection to a cluster's port."""
OBJECT_STORE = 100_000_000
"""Bytes for Ray's objects in a cluster started here; photos do not pass through it."""
MEMORY_EACH = 3 * 2**30
"""Bytes that a worker on CPUs should have: the network's feature maps of a tile (docs/restoring.md)."""
CALLS_EACH_CPU = 2
CALLS_EACH_GPU = 8
"""Photos in flight per worker: being read, restored or written; small ones are batched."""


class Workers(NamedTuple):
    """``number`` identical workers, each with its own ``cpus`` and ``gpus`` and up to ``calls`` photos.

    At most ``per_node`` of them share the memory of one machine.
    """

    number: int
    cpus: int
    gpus: int
    calls: int
    per_node: int

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to the cluster at ``address`` or ``RAY_ADDRESS``, or to one that is started here.

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
        yield
        return
    try:
        _connect(address)
        yield
    finally:
        ray.shutdown()


@contextmanager
def cluster_workers(address: str | None, device: str, jobs: int | None) -> Iterator[Workers]:
    """Connect to a cluster, or start one here, during this block; yield the workers that fit into it.

    Raises:
        UsageError: if Ray is not installed.
        DeviceError: if the cluster cannot be reached or has no such device.
    """
    with connected(address):
        import ray

        yield choose_workers(ray.nodes(), device, jobs)


def _connect(address: str) -> None:
    """Connect, retrying a local start: on a busy machine Ray does not wait long enough for it."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    tries = START_ATTEMPTS if address == LOCAL else 1
    for left in reversed(range(tries)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address=address, log_to_driver=False, configure_logging=False, **_options(address))
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


def _options(address: str) -> dict[str, Any]:
    if address != LOCAL:
        return {}
    return {"num_cpus": processors(), "include_dashboard": False, "object_store_memory": OBJECT_STORE}


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
