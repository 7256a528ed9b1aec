"""Workers for a cluster: all that it has, and no more."""

from typing import Any

import pytest

from defocusctl.batch.ray_workers import MEMORY_EACH, choose_workers
from defocusctl.errors import DeviceError

pytestmark = pytest.mark.ray


def node(cpus: float, gpus: float = 0, workers_of_memory: int = 1000, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": cpus, "memory": float(workers_of_memory * MEMORY_EACH)}
    return {"Alive": alive, "Resources": resources | ({"GPU": gpus} if gpus else {})}


@pytest.mark.parametrize("cpus", [1, 2, 16])
@pytest.mark.parametrize("nodes", [1, 3])
def test_a_worker_for_each_cpu(cpus: int, nodes: int) -> None:
    workers = choose_workers([node(cpus)] * nodes, "auto", None)
    assert (workers.number, workers.cpus, workers.gpus, workers.per_node) == (cpus * nodes, 1, 0, cpus)


def test_several_cpus_each_where_memory_is_short() -> None:
    workers = choose_workers([node(16, workers_of_memory=4)] * 2, "auto", None)
    assert (workers.number, workers.cpus, workers.per_node) == (8, 4, 4)


@pytest.mark.parametrize("jobs", range(1, 12))
def test_so_many_as_are_asked_for_and_never_more_than_cpus(jobs: int) -> None:
    workers = choose_workers([node(8)], "cpu", jobs)
    assert workers.number == min(jobs, 8)
    assert workers.number * workers.cpus <= 8


def test_a_worker_for_each_gpu_with_its_share_of_cpus() -> None:
    workers = choose_workers([node(16, 4), node(64, 8), node(8), node(8, 8, alive=False)], "auto", None)
    assert (workers.number, workers.cpus, workers.gpus) == (12, 4, 1)
    assert choose_workers([node(16, 4)], "auto", 3).number == 3
    assert choose_workers([node(16, 4)], "cpu", None).gpus == 0


@pytest.mark.parametrize(("nodes", "device"), [([node(8)], "cuda"), ([node(0)], "auto"), ([], "auto")])
def test_what_is_not_there_is_an_error(nodes: list[dict[str, Any]], device: str) -> None:
    with pytest.raises(DeviceError, match="the Ray cluster has no"):
        choose_workers(nodes, device, None)
