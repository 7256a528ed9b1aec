"""The private folder of a running server: gone when it ends, or after a kill when the next one starts."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from defocusctl.errors import OutputError
from defocusctl.system.atomic import make_folder, write_error
from defocusctl.system.paths import cache_dir

PREFIX = "defocusctl-serve-"
LOCK = "lock"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder below the system's temporary folder that only this user can enter, for the block.

    Folders whose servers were killed are removed first. A folder's server holds the lock in it; the lock in
    the cache is held while folders are made and removed, so that none is removed before it is locked.

    Raises:
        OutputError: if it cannot be made.
    """
    make_folder(cache_dir())
    try:
        with FileLock(cache_dir() / "serve.lock"):
            _remove_abandoned(Path(tempfile.gettempdir()))
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            lock = FileLock(folder / LOCK)
            lock.acquire()
    except OSError as error:
        raise _no_folder(error) from error
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _no_folder(error: OSError) -> OutputError:
    return write_error(Path(tempfile.gettempdir()), error)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if _is_ours(folder):
                FileLock(folder / LOCK, blocking=False).acquire().lock.release()
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):  # it is in use, or has just gone
            continue


def _is_ours(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and (not hasattr(os, "getuid") or facts.st_uid == os.getuid())
