"""A weights entry -> a verified file on this machine: bundled, cached, or fetched now.

A file appears under its final name only after its digest was checked: it is fetched to a ``.part`` beside the
target, verified, synced and renamed, under a lock that makes a second process wait and then find the file.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.errors import WeightsError
from defocusctl.system import paths
from defocusctl.system.atomic import publish
from defocusctl.weights.checksums import Checksum, checked_metadata
from defocusctl.weights.hub import fetch_from_hub, hub_is_offline
from defocusctl.weights.registry import WeightsEntry
from defocusctl.weights.sources import RemoteSource, UrlSource
from defocusctl.weights.transfer import OnProgress, Patience, discard, fetch_url

if TYPE_CHECKING:
    from filelock import FileLock

DEFAULT_PATIENCE = Patience()
LOCK_SUFFIX = ".lock"


def ensure_file(
    entry: WeightsEntry,
    *,
    offline: bool,
    on_progress: OnProgress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Path:
    """The file of ``entry``, its digest checked just now; downloaded first if it is not here and may be.

    ``on_progress`` is called with the bytes done and the total (None where unknown) during a download.

    Raises:
        WeightsError: if it cannot be had, perhaps because of ``offline`` or ``HF_HUB_OFFLINE``.
    """
    target = cached_file(entry)
    try:
        present = present_file(entry)
        if present is not None and is_intact(entry, present):
            return present
        _refuse_unless_fetchable(entry, present, offline=offline or hub_is_offline())
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if not (target.is_file() and is_intact(entry, target)):
                _fetch(entry, target, on_progress, patience)
    except OSError as error:
        remedy = "check its permissions and the space there, or move the cache with DEFOCUSCTL_CACHE"
        raise WeightsError(f"cannot use {target} ({error.strerror or error})", remedy) from error
    return target


def present_file(entry: WeightsEntry) -> Path | None:
    """The bundled or cached file of ``entry`` if there is one; its digest is not checked."""
    places_to_look = (bundled_file(entry), cached_file(entry)) if entry.is_bundled else (cached_file(entry),)
    return next((path for path in places_to_look if path.is_file()), None)


def bundled_file(entry: WeightsEntry) -> Path:
    """Where the package keeps the weights of the model of ``entry``, if it brings some."""
    return paths.bundled_dir() / f"{entry.model}.safetensors"


def cached_file(entry: WeightsEntry) -> Path:
    """Where a download of ``entry`` goes; the digest in the name keeps versions apart."""
    name = f"{entry.model}-{entry.name}-{entry.digest.hex[:16]}{entry.sources[0].suffix}"
    return paths.cache_dir() / "downloads" / name


def converted_file(digest: Checksum) -> Path:
    """Where the safetensors version of a pickle with ``digest`` goes; only a whole digest leads there."""
    return paths.cache_dir() / "converted" / f"{digest.kind}-{digest.hex}.safetensors"


def files_of(entry: WeightsEntry) -> tuple[Path, ...]:
    """All files of ``entry`` on this machine: as published, and converted."""
    converted = converted_file(entry.digest)
    return tuple(path for path in (present_file(entry), converted) if path is not None and path.is_file())


def source_of(entry: WeightsEntry, path: Path) -> str:
    """Where the file ``path`` of ``entry`` is from: what delivered it, or all sources if that is unknown."""
    if path == bundled_file(entry):
        return "bundled"
    sources = [str(source) for source in entry.remote_sources]
    note = _source_note(cached_file(entry))
    delivered = note.read_text(encoding="utf-8", errors="replace") if note.is_file() else ""
    return delivered if delivered in sources else " or ".join(sources)


def state_of(entry: WeightsEntry) -> str:
    """``bundled``, ``cached``, ``downloadable``, or ``missing``, in one word."""
    if files_of(entry):
        return "cached" if present_file(entry) != bundled_file(entry) else "bundled"
    return "downloadable" if entry.remote_sources else "missing"


def is_intact(entry: WeightsEntry, path: Path) -> bool:
    """Whether ``path`` has the digest of ``entry``; for its conversion, whether the seal inside is whole.

    Raises:
        OSError: if the file cannot be read.
    """
    if path != converted_file(entry.digest):
        return entry.digest.agrees_with(Checksum.of_file(path, entry.digest.whole_kind))
    try:
        checked_metadata(path.read_bytes())
    except ValueError:
        return False
    return True


def remove_cached(entry: WeightsEntry) -> int:
    """Delete whatever the cache holds of ``entry``, parts and conversion included; bytes freed.

    Raises:
        WeightsError: if something cannot be deleted.
    """
    target = cached_file(entry)
    freed = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            for path in (*target.parent.glob(f"{target.name}*"), converted_file(entry.digest)):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.is_file() and path.suffix != LOCK_SUFFIX:
                    freed += path.stat().st_size
                    path.unlink()
        Path(f"{target}{LOCK_SUFFIX}").unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(
            f"cannot remove {error.filename} ({error.strerror})", "check its permissions"
        ) from error
    return freed


def remove_all_cached() -> int:
    """Delete all downloads, conversions and exported graphs, those of forgotten entries too; bytes freed.

    Raises:
        WeightsError: if something cannot be deleted.
    """
    folders = [paths.cache_dir() / name for name in ("downloads", "converted", "hub", "graphs")]
    files = {
        path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    }
    freed = sum(path.stat().st_size for path in files)
    try:
        for folder in filter(Path.exists, folders):
            shutil.rmtree(folder)
    except OSError as error:
        raise WeightsError(
            f"cannot remove {error.filename} ({error.strerror})", "check its permissions"
        ) from error
    return freed


def _source_note(target: Path) -> Path:
    """The file beside ``target`` that names the source which delivered it."""
    return target.with_name(f"{target.name}-source")


def _lock(target: Path) -> "FileLock":
    from filelock import FileLock

    return FileLock(f"{target}{LOCK_SUFFIX}")


def _refuse_unless_fetchable(entry: WeightsEntry, present: Path | None, *, offline: bool) -> None:
    state = f"damaged ({present})" if present else "not here"
    if not entry.remote_sources:
        raise WeightsError(f"the bundled weights {entry.label} are {state}", "reinstall defocusctl")
    if offline:
        raise WeightsError(
            f"the weights {entry.label} are {state} and the network is off",
            f"run 'defocusctl weights fetch {entry.label}' while online, or use --weights bundled or PATH",
        )


def _fetch(entry: WeightsEntry, target: Path, on_progress: OnProgress | None, patience: Patience) -> None:
    """Try the sources in order until one gives the right file, and put it at ``target``."""
    part = target.with_name(f"{target.name}.part")
    failures = []
    for source in entry.remote_sources:
        try:
            _fetch_from(source, part, on_progress, patience)
            _verify(entry, source, part)
        except WeightsError as error:
            failures.append(error.cause)
        else:
            _source_note(target).write_text(str(source), encoding="utf-8")
            publish(part, target, force=True)
            discard(part)
            return
    raise WeightsError(
        f"the weights {entry.label} could not be fetched: {'; '.join(failures)}",
        "try again later, or get the file by hand and use --weights PATH, or use --weights bundled",
    )


def _fetch_from(source: RemoteSource, part: Path, on_progress: OnProgress | None, patience: Patience) -> None:
    if isinstance(source, UrlSource):
        fetch_url(source.url, part, on_progress, patience)
    else:
        fetch_from_hub(source, part, on_progress)


def _verify(entry: WeightsEntry, source: RemoteSource, part: Path) -> None:
    found = Checksum.of_file(part, entry.digest.whole_kind)
    if not entry.digest.agrees_with(found):
        discard(part)
        raise WeightsError(f"{source}: the file is {found}, not {entry.digest}")
