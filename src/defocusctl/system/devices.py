"""Which device and precision to restore with, and how much memory there is.

``auto`` means the device's fastest precision whose result stays within half a grey level of float32
(docs/restoring.md).
"""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psutil
import torch

from defocusctl.errors import DeviceError, UsageError
from defocusctl.system.limits import available_memory, processor_quota

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # from malloc.h
_VOLTA = (7, 0)


def choose_device(name: str) -> torch.device:
    """``auto`` (CUDA before MPS before CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps`` -> the device.

    Raises:
        DeviceError: if the name is unknown, or the machine or its PyTorch has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdecimal())):
        raise DeviceError(f"'{name}' is not a device", "use auto, cpu, cuda, cuda:0, cuda:1, ... or mps")
    if kind == "cuda":
        return _cuda_device(int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine or this PyTorch has no Apple GPU (mps)", "use --device auto or cpu")
    return torch.device(kind)


def _cuda_device(index: int) -> torch.device:
    if not torch.cuda.is_available():
        remedy = "use --device auto or cpu, or install PyTorch with CUDA and its driver"
        raise DeviceError("no CUDA GPU is usable", remedy)
    count = torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"there is no GPU {index}", f"this machine has {count}: cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", index)


def choose_precision(name: str, device: torch.device) -> str:
    """``auto``, ``fp32``, ``bf16`` or ``fp16`` -> one of the last three.

    ``auto`` is fp16 on GPUs with tensor cores, bf16 on CPUs that compute in it, else fp32.

    Raises:
        UsageError: if there is no such precision.
        DeviceError: if the device cannot compute in it.
    """
    if name == "auto":
        if device.type == "cuda" and torch.cuda.get_device_capability(device) >= _VOLTA:
            return "fp16"
        return "bf16" if device.type == "cpu" and _cpu_computes_in_bf16() else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"'{name}' is not a precision", "use auto, fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is not for CPUs", "use --precision auto, fp32 or bf16")
    if name == "bf16" and device.type == "mps":
        raise DeviceError("bf16 is not for Apple GPUs", "use --precision auto, fp32 or fp16")
    return name


def _cpu_computes_in_bf16() -> bool:
    """Whether the CPU has bfloat16 instructions; emulating them would be slower than float32."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private in PyTorch 2.4 to 2.13
    return any(getattr(torch.cpu, name)() for name in names if hasattr(torch.cpu, name))


def free_memory(device: torch.device) -> int:
    """Bytes available for new tensors on the device right now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return available_memory()


def reset_peak_memory(device: torch.device) -> None:
    """Restart ``peak_memory`` where the device can; the peak of a process on the CPU cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Peak bytes used: on a GPU, by its tensors since the reset; otherwise, by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes


def limit_threads() -> None:
    """Limit PyTorch's threads to the processors that control groups grant; a lower number stays.

    With more threads, the kernel would stop all of them for part of every period. PyTorch itself knows only
    which processors the process may run on.
    """
    quota = processor_quota()
    if quota is not None and quota < torch.get_num_threads():
        torch.set_num_threads(quota)


def keep_freed_memory() -> None:
    """Let glibc's allocator reuse the memory of freed feature maps at once.

    By default it returns every large block to the system and faults it in again for the next layer, which
    took 40 % of INIKNet's time on a CPU. It does the same for blocks above 64 MiB in all threads but the
    first, unless all share one arena. Other C libraries are left alone.
    """
    if not _uses_glibc():
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_M_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Return to the system what ``keep_freed_memory`` keeps.

    Feature maps of tiles of many sizes leave gaps that the next ones do not fit into: a large photo took more
    and more memory from tile to tile. Faulting the pages in again takes 4 % of INIKNet's time.
    """
    if _uses_glibc():
        ctypes.CDLL(None).malloc_trim(0)


@cache
def _uses_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error means that the device ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error)
    phrases = ("DefaultCPUAllocator", "not enough memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in said for phrase in phrases)


def release_memory(device: torch.device) -> None:
    """Return cached blocks to the device after running out of memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def memory_errors(name: str) -> Iterator[None]:
    """Turn running out of memory in this block into a DeviceError about ``name``.

    Raises:
        DeviceError: if memory runs out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        cause = f"there is not enough memory for {name}"
        raise DeviceError(cause, "close other programs, or use a machine with more memory") from error
