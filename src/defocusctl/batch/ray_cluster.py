"""A Ray cluster to work on: connecting to one or starting one here, and the workers that fit into it."""

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
START_TRIES = 3
RAY_CLIENT = "ray://"
REACHED_WITHIN = 5.0
"""Seconds in which a cluster's port must answer."""
OBJECT_STORE = 100_000_000
"""Bytes for Ray's objects in a cluster that is started here: photos do not travel through it."""
MEMORY_EACH = 3 * 2**30
"""Bytes that a worker on CPUs should have: the network's feature maps of a tile (docs/restoring.md)."""
CALLS_EACH_CPU = 2
CALLS_EACH_GPU = 8
"""Photos that a worker has: one being restored, others being read or written; small ones together."""


class Workers(NamedTuple):
    """``number`` workers like each other, each with ``cpus`` and ``gpus`` of its own and ``calls`` photos.

    At most ``per_node`` of them share the memory of a machine.
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
    """A connection to the cluster at ``address``, or at ``RAY_ADDRESS``, or one that is started here.

    A connection of this process that exists is used as it is.

    Raises:
        UsageError: if Ray is not installed.
        DeviceError: if there is no such cluster, or none can be started.
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
def workers_of(address: str | None, device: str, jobs: int | None) -> Iterator[Workers]:
    """Connect to a cluster, or start one here, until the end of the block; what workers it has room for.

    Raises:
        UsageError: if Ray is not installed.
        DeviceError: if there is no such cluster, or it has no such device.
    """
    with connected(address):
        import ray

        yield choose_workers(ray.nodes(), device, jobs)


def _connect(address: str) -> None:
    """To a cluster, or to one that is started: Ray does not wait long enough for one on a busy machine."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    tries = START_TRIES if address == LOCAL else 1
    for left in reversed(range(tries)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address=address, log_to_driver=False, configure_logging=False, **_options(address))
            return
        except (Exception, SystemExit) as error:
            if left == 0:
                what = "start a Ray cluster here" if address == LOCAL else f"connect to '{address}'"
                raise DeviceError(f"cannot {what} ({in_short(error)})", _remedy(address)) from error
            ray.shutdown()


def in_short(error: BaseException) -> str:
    """An error of Ray goes on for many lines: the first says what happened, the last perhaps why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "; ".join(line.strip()[:200] for line in dict.fromkeys((lines[0], lines[-1])))


def choose_workers(nodes: Sequence[Mapping[str, Any]], device: str, jobs: int | None) -> Workers:
    """Workers for the nodes of a cluster, as ``ray.nodes()`` lists them.

    One for each GPU, with its share of the node's CPUs; without GPUs (or with the device ``cpu``) one for
    each CPU, or for several where memory would not do, because photos that are computed side by side wait
    for each other less than threads do. Ray puts no more on a node than it has: they reserve what they use.
    ``jobs`` is the number of workers that was asked for: they share the CPUs.

    Raises:
        DeviceError: if no node has what is asked for.
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
    threads = max(1, sum(cpus) // jobs) if jobs else max(map(_threads_each, resources))
    threads = min(threads, *cpus)
    count = sum(each // threads for each in cpus)
    return Workers(
        min(jobs or count, count), threads, 0, CALLS_EACH_CPU, min(max(cpus) // threads, jobs or count)
    )


def _threads_each(resources: Mapping[str, float]) -> int:
    """CPUs per worker such that the node's memory is enough for all its workers."""
    cpus, memory = int(resources.get("CPU", 0)), resources.get("memory", 0.0)
    workers = max(1, min(cpus, int(memory) // MEMORY_EACH))
    return -(-cpus // workers)


def _options(address: str) -> dict[str, Any]:
    if address != LOCAL:
        return {}
    return {"num_cpus": processors(), "include_dashboard": False, "object_store_memory": OBJECT_STORE}


def _check_reachable(address: str) -> None:
    """Ray itself takes more than a minute to find out, and says so in many lines."""
    host, _, port = address.removeprefix(RAY_CLIENT).rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeviceError(f"there is no Ray cluster at '{address}' ({reason})", _remedy(address)) from error


def _remedy(address: str) -> str:
    if address == LOCAL:
        return "try again when the machine is less busy, or give --ray-address"
    return f"check --ray-address and {ADDRESS}, or leave both out for a cluster on this machine"
