"""Limits of control groups, as files below a folder that stands for the root of the file system."""

import sys
from pathlib import Path

import psutil
import pytest
import torch

from defocusctl.models.nrknet import NRKNet
from defocusctl.photo.geometry import Size
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.system import limits
from defocusctl.system.devices import limit_threads
from defocusctl.system.limits import available_memory, processor_quota, processors, total_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

GIB = 2**30
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
FIRST = "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory"
FIRST_CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of 512 GiB, 400 of them free, and no limits."""
    sizes = dict.fromkeys(("MemFree", "Buffers", "Cached", "Shmem", "Active", "Inactive"), 0)
    sizes |= {"MemTotal": 512 << 20, "MemAvailable": 400 << 20}
    write(tmp_path / "proc", meminfo="\n".join(f"{name}: {size} kB" for name, size in sizes.items()))
    write(tmp_path / "proc", stat="".join(f"cpu{index} 9 0 9 99 0 0 0 0 0 0\n" for index in ("", *range(64))))
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    monkeypatch.setattr(limits, "ROOT", tmp_path)
    return tmp_path


def write(folder: Path, **files: object) -> None:
    """Files of a folder; ``__`` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def in_group(root: Path, cgroup: str, *mounts: str) -> None:
    write(root / "proc/self", cgroup=cgroup, mountinfo="\n".join(mounts))


def limited(root: Path, limit: int = 3 * GIB, used: int = GIB) -> None:
    """A container of version 2 with a namespace of its own, as Docker and Kubernetes make them."""
    in_group(root, "0::/", UNIFIED)
    write(root / "sys/fs/cgroup", memory__max=limit, memory__current=used)


def test_without_groups_the_machine_is_the_limit(root: Path) -> None:
    assert (total_memory(), available_memory()) == (512 * GIB, 400 * GIB)
    assert processor_quota() is None
    assert processors() >= 1


def test_a_container_of_version_2(root: Path) -> None:
    limited(root)
    assert (total_memory(), available_memory()) == (3 * GIB, 2 * GIB)


def test_a_container_of_version_1(root: Path) -> None:
    """Without a namespace, Docker shows a container's own group at the root of the mount."""
    own = FIRST.replace(" / /sys", " /docker/0123 /sys")
    in_group(root, "9:name=systemd:/docker/0123\n4:memory:/docker/0123\n0::/system.slice", own)
    group = root / "sys/fs/cgroup/memory"
    write(group, memory__limit_in_bytes=3 * GIB, memory__usage_in_bytes=2 * GIB)
    write(group, memory__stat=f"inactive_file 5\ntotal_inactive_file {GIB}")
    assert (total_memory(), available_memory()) == (3 * GIB, 2 * GIB)


def test_caches_that_nobody_uses_are_free(root: Path) -> None:
    limited(root, used=3 * GIB)
    write(root / "sys/fs/cgroup", memory__stat=f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file {GIB}")
    assert available_memory() == 2 * GIB


def test_memory_that_is_throttled_counts_as_gone(root: Path) -> None:
    limited(root)
    write(root / "sys/fs/cgroup", memory__high=2 * GIB)
    assert (total_memory(), available_memory()) == (2 * GIB, GIB)


@pytest.mark.parametrize(
    ("version", "cgroup", "mount", "limit", "used", "unlimited"),
    [
        (2, "0::/a.slice/b c:d", UNIFIED, "memory__max", "memory__current", "max"),
        (
            1,
            "4:cpu,memory:/a.slice/b c:d",
            FIRST,
            "memory__limit_in_bytes",
            "memory__usage_in_bytes",
            2**63 - 4096,
        ),
    ],
)
def test_the_tightest_of_nested_groups_holds(
    root: Path, version: int, cgroup: str, mount: str, limit: str, used: str, unlimited: object
) -> None:
    in_group(root, cgroup, mount)
    outer = root / "sys/fs/cgroup" / ("memory" if version == 1 else "")
    write(outer / "a.slice", **{limit: 5 * GIB, used: 4 * GIB})
    write(outer / "a.slice/b c:d", **{limit: unlimited, used: GIB})
    assert (total_memory(), available_memory()) == (5 * GIB, GIB)
    write(outer / "a.slice/b c:d", **{limit: 3 * GIB})
    assert (total_memory(), available_memory()) == (3 * GIB, GIB)
    write(outer / "a.slice", **{used: 6 * GIB})
    assert available_memory() == 0


def test_a_mount_point_with_a_blank(root: Path) -> None:
    in_group(root, "0::/", UNIFIED.replace("/sys/fs/cgroup", r"/my\040groups"))
    write(root / "my groups", memory__max=GIB)
    assert total_memory() == GIB


@pytest.mark.parametrize("limit", ["max", "", "-1", "a lot", 2**63 - 4096])
def test_what_does_not_limit(root: Path, limit: object) -> None:
    in_group(root, "0::/\n4:memory:/", UNIFIED, FIRST, "damaged", "1 2 3 - cgroup2 cgroup2 rw")
    write(root / "sys/fs/cgroup", memory__max=limit, cpu__max=f"{limit} 100000")
    write(root / "sys/fs/cgroup/memory", memory__limit_in_bytes=limit)
    assert (total_memory(), available_memory()) == (512 * GIB, 400 * GIB)


def test_another_controller_of_version_1_does_not_count(root: Path) -> None:
    in_group(root, "3:cpu,cpuacct:/\n", FIRST)
    write(root / "sys/fs/cgroup/memory", memory__limit_in_bytes=GIB)
    assert total_memory() == 512 * GIB


@pytest.mark.parametrize(
    ("quota", "expected"), [("50000 100000", 1), ("150000 100000", 2), ("max 100000", None)]
)
def test_processors_of_version_2(root: Path, quota: str, expected: int | None) -> None:
    in_group(root, "0::/pod/one", UNIFIED)
    write(root / "sys/fs/cgroup/pod/one", cpu__max=quota)
    write(root / "sys/fs/cgroup/pod", cpu__max="max 100000")
    assert processor_quota() == expected


@pytest.mark.parametrize(("quota", "expected"), [(50000, 1), (-1, None)])
def test_processors_of_version_1(root: Path, quota: int, expected: int | None) -> None:
    in_group(root, "1:cpu,cpuacct:/", FIRST_CPU)
    write(root / "sys/fs/cgroup/cpu,cpuacct", cpu__cfs_quota_us=quota, cpu__cfs_period_us=100000)
    assert processor_quota() == expected
    assert processors() <= (expected or processors())


def test_pytorch_takes_no_more_threads_than_there_are_processors(root: Path) -> None:
    in_group(root, "0::/", UNIFIED)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        write(root / "sys/fs/cgroup", cpu__max="400000 100000")
        limit_threads()
        assert torch.get_num_threads() == 3
        write(root / "sys/fs/cgroup", cpu__max="150000 100000")
        limit_threads()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_tiles_and_photos_at_once_follow_the_limit(root: Path) -> None:
    """A photo of 48 megapixels in float32: 3 GiB, 2.5 of them used, on a host with 400 GiB free."""
    restorer = Restorer(NRKNet(), RestoreSettings(device="cpu", precision="fp32"))
    size = Size(6000, 8000)
    need = restorer.planner.bytes_per_pixel
    free = restorer.planner.plan(size).tile
    assert free.pixels > 400**2
    assert restorer.planner.max_concurrency() == 400 * GIB // 2 // (768**2 * need)
    limited(root, used=5 * GIB // 2)
    tile = restorer.planner.plan(size).tile
    assert tile.pixels * need <= GIB // 4
    assert tile.pixels < free.pixels
    assert restorer.planner.max_concurrency() == 1
    limited(root, used=3 * GIB)
    assert restorer.planner.plan(size).tile == (160, 160)
