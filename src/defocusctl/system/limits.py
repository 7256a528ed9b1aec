"""The memory and processors that this process may use, within the limits of its control groups.

Containers and services run in nested control groups (cgroups) of the Linux kernel; every group may have its
own limits, and the tightest one applies. The kernel's other figures, and those of the C library and psutil,
describe the whole machine.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")  # the root under which ``proc`` and the mounted control groups are read


def total_memory() -> int:
    """Bytes that this process and the others in its control group may use in total."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _memory_limits())])


def available_memory() -> int:
    """Bytes that can be used now without swapping: free, or in inactive file caches."""
    left = (max(0, limit - used) for limit, used in _memory_limits())
    return min([psutil.virtual_memory().available, *left])


def processors() -> int:
    """The number of processors that this process may run on at the same time."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return min(len(affinity), processor_quota() or len(affinity))


def processor_quota() -> int | None:
    """The number of processors that control groups grant to this process, rounded up; None means no limit."""
    return min((max(1, math.ceil(quota)) for quota in _processor_quotas()), default=None)


def _memory_limits() -> Iterator[tuple[int, int]]:
    """Limit and usage, in bytes, of every enclosing group that has a limit."""
    for version, group in _groups("memory"):
        if version == 2:
            names, usage, cache = ["memory.max", "memory.high"], "memory.current", "inactive_file"
        else:
            names, usage, cache = ["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_inactive_file"
        limits = [limit for name in names if (limit := _number(group / name)) is not None]
        if limits:
            used = (_number(group / usage) or 0) - _field(group / "memory.stat", cache)
            yield min(limits), max(0, used)


def _processor_quotas() -> Iterator[float]:
    """CPU time per wall-clock time, for every enclosing group that has a limit."""
    for version, group in _groups("cpu"):
        if version == 2:
            quota, period = [*_text(group / "cpu.max").split(), "", ""][:2]
        else:
            quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):  # "max" or -1: no limit
            yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[tuple[int, Path]]:
    """Version and folder of this process's control groups, innermost first."""
    names = _group_names()
    for line in _text(ROOT / "proc/self/mountinfo").splitlines():
        mount, _, file_system = line.partition(" - ")
        fields, kind = mount.split(), file_system.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        name = names.get(controller if version == 1 else "")
        if name is None or (version == 1 and controller not in kind[2].split(",")):
            continue
        outermost, shown = PurePosixPath(_unescaped(fields[3])), _unescaped(fields[4])
        # A mount may show only an inner group, as in containers without their own namespace.
        inner = name.relative_to(outermost) if name.is_relative_to(outermost) else PurePosixPath()
        for part in (inner, *inner.parents):
            yield version, ROOT / shown.lstrip("/") / part


def _group_names() -> dict[str, PurePosixPath]:
    """Controller -> this process's group; version 2, one group for all controllers, has the key ""."""
    names = {}
    for line in _text(ROOT / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        names.update(dict.fromkeys(controllers.split(","), PurePosixPath(name)))
    return names


def _unescaped(text: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _number(path: Path) -> int | None:
    """The number in a file; None for ``max``, or if there is no number."""
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _field(path: Path, name: str) -> int:
    """The number after ``name`` in a file of lines ``name number``; 0 if it is missing."""
    pairs = (line.split() for line in _text(path).splitlines())
    return next((int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name), 0)


def _text(path: Path) -> str:
    """The text of a small file; empty if it cannot be read, as on other systems."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
