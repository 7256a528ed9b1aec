"""The files of a weights entry on this machine: bundled with the package, downloaded, or converted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.errors import WeightsError
from defocusctl.system import paths
from defocusctl.weights.checksums import Checksum, checked_metadata
from defocusctl.weights.registry import BUNDLED, WeightsEntry, suffix_of

if TYPE_CHECKING:
    from filelock import FileLock

LOCK_SUFFIX = ".lock"


def bundled_file(entry: WeightsEntry) -> Path:
    """Where the package keeps the weights of ``entry``, if it comes with them."""
    name = entry.model if entry.name == BUNDLED else f"{entry.model}-{entry.name}"
    return paths.bundled_dir() / f"{name}.safetensors"


def cached_file(entry: WeightsEntry) -> Path:
    """Where ``entry`` is downloaded to; the checksum in the name keeps versions apart."""
    name = f"{entry.model}-{entry.name}-{entry.checksum.hex[:16]}{suffix_of(entry.sources[0])}"
    return paths.cache_dir() / "downloads" / name


def converted_file(checksum: Checksum) -> Path:
    """Where the safetensors version of a pickle with ``checksum``, a full one, is kept."""
    return paths.cache_dir() / "converted" / f"{checksum.kind}-{checksum.hex}.safetensors"


def source_note(target: Path) -> Path:
    """The file beside the download ``target`` that records where it was downloaded from."""
    return target.with_name(f"{target.name}-source")


def lock_of(target: Path) -> "FileLock":
    """The lock that a process holds while it changes the download ``target``."""
    from filelock import FileLock

    return FileLock(f"{target}{LOCK_SUFFIX}")


def present_file(entry: WeightsEntry) -> Path | None:
    """The bundled or cached file of ``entry`` if there is one; its checksum is not checked."""
    candidates = (bundled_file(entry), cached_file(entry)) if entry.is_bundled else (cached_file(entry),)
    return next((path for path in candidates if path.is_file()), None)


def files_of(entry: WeightsEntry) -> tuple[Path, ...]:
    """All files of ``entry`` on this machine: as published, and converted."""
    converted = converted_file(entry.checksum)
    return tuple(path for path in (present_file(entry), converted) if path is not None and path.is_file())


def source_of(entry: WeightsEntry, path: Path) -> str:
    """Where the file ``path`` of ``entry`` came from; all its sources if that is unknown."""
    if path == bundled_file(entry):
        return BUNDLED
    note = source_note(cached_file(entry))
    delivered = note.read_text(encoding="utf-8", errors="replace") if note.is_file() else ""
    return delivered if delivered in entry.remote_sources else " or ".join(entry.remote_sources)


def state_of(entry: WeightsEntry) -> str:
    """``bundled``, ``cached``, ``downloadable`` or ``missing``."""
    if files_of(entry):
        return "cached" if present_file(entry) != bundled_file(entry) else "bundled"
    return "downloadable" if entry.remote_sources else "missing"


def is_intact(entry: WeightsEntry, path: Path) -> bool:
    """Whether ``path`` has the checksum of ``entry``; a conversion is checked against the checksum inside it.

    Raises:
        OSError: if the file cannot be read.
    """
    if path != converted_file(entry.checksum):
        return entry.checksum.matches(Checksum.of_file(path, entry.checksum.full_kind))
    try:
        checked_metadata(path.read_bytes())
    except ValueError:
        return False
    return True


def remove_cached(entry: WeightsEntry) -> int:
    """Delete all cached files of ``entry``, partial downloads included; returns the bytes freed.

    Raises:
        WeightsError: if something cannot be deleted.
    """
    target = cached_file(entry)
    freed = 0
    with _removal():
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_of(target):
            for path in (*target.parent.glob(f"{target.name}*"), converted_file(entry.checksum)):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.is_file() and path.suffix != LOCK_SUFFIX:
                    freed += path.stat().st_size
                    path.unlink()
        Path(f"{target}{LOCK_SUFFIX}").unlink(missing_ok=True)
    return freed


def remove_all_cached() -> int:
    """Delete all downloads, conversions and exported graphs, known or not; returns the bytes freed.

    Raises:
        WeightsError: if something cannot be deleted.
    """
    folders = [paths.cache_dir() / name for name in ("downloads", "converted", "hub", "graphs")]
    with _removal():
        files = {
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        freed = sum(path.stat().st_size for path in files)
        for folder in filter(Path.exists, folders):
            shutil.rmtree(folder)
    return freed


@contextmanager
def _removal() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"cannot remove {error.filename} ({error.strerror})"
        raise WeightsError(cause, "check its permissions") from error
