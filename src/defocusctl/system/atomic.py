"""Files that are written whole or not at all.

A temporary file stays locked by its writer until it has its final name, so ``remove_abandoned`` removes only
what killed processes left behind.
"""

import contextlib
import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from defocusctl.errors import OutputError

REMEDIES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some of your quota or write elsewhere",
    errno.EFBIG: "write to a disk that holds larger files, or raise the limit (ulimit -f)",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "write elsewhere, or change the folder's permissions",
    errno.EPERM: "write elsewhere, or change the folder's permissions",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "give a folder that exists",
    errno.ENAMETOOLONG: "give a shorter name",
}

PARTS = ".defocusctl-*.part"
LOCKS = sys.platform != "win32"
if LOCKS:
    import fcntl
ABANDONED_AFTER = 86400.0
"""Seconds without a change after which a temporary file is abandoned, where files cannot be locked."""


@contextlib.contextmanager
def atomic_write(target: Path, *, force: bool = False, backup: Path | None = None) -> Iterator[BinaryIO]:
    """A binary file handle (readable and seekable) whose content becomes ``target`` at the end of the block.

    The bytes go to a temporary file beside the target, are flushed to the disk, and the file is renamed. On
    any exception, Ctrl-C included, the temporary file is removed and the target is unchanged. With
    ``backup``, the target is an existing file that gets this name, and its permissions stay.

    Raises:
        OutputError: if the target exists and neither ``force`` nor ``backup`` is given, the backup exists, or
            either cannot be written.
    """
    temporary = target.parent / PARTS.replace("*", secrets.token_hex(8))
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"'{target}' is not an ordinary file", "give another name")
        try:
            with _locked_file(temporary):
                with temporary.open("r+b") as handle:
                    yield handle
                if backup is None:
                    publish(temporary, target, force=force)
                else:
                    _publish_keeping(temporary, target, backup)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(target, error) from error


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in ``folder`` whose writers were killed; others stay."""
    for part in folder.glob(PARTS):
        with contextlib.suppress(OSError):
            if LOCKS:
                with part.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()
            elif part.stat().st_mtime < time.time() - ABANDONED_AFTER:
                part.unlink()


@contextlib.contextmanager
def _locked_file(temporary: Path) -> Iterator[None]:
    """Create a file that stays locked until the end of the block, even between closing and renaming."""
    while True:
        with temporary.open("xb") as file:
            if LOCKS:
                with contextlib.suppress(OSError):  # without file locks, nobody removes anything either
                    fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink == 0:  # mistaken for abandoned before it was locked
                    continue
                yield
                return
        yield  # where an open file cannot be renamed
        return


def write_error(target: Path, error: OSError) -> OutputError:
    """The operating system's error as one line with a remedy."""
    if isinstance(error, FileExistsError):
        return OutputError(f"'{target}' exists already", "use --force to overwrite it, or give another name")
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "")
    if error.errno == errno.ENOENT and target.parent.is_dir():  # what Windows says of a path that is too long
        remedy = "give a shorter path, or allow long paths in Windows"
    return OutputError(f"cannot write '{target}' ({reason})", remedy)


def make_folder(folder: Path) -> None:
    """Create the folder and those above it that are missing.

    Raises:
        OutputError: if that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot make the folder '{folder}' ({error.strerror})"
        raise OutputError(reason, REMEDIES.get(error.errno or 0, "choose another one")) from error


@contextlib.contextmanager
def locked_folder(folder: Path, lock: str, work: str) -> Iterator[None]:
    """Create the folder if needed and lock it against other ``work`` during this block; a kill releases it.

    Raises:
        OutputError: if it is locked, or cannot be created or written.
    """
    from filelock import FileLock, Timeout

    make_folder(folder)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / lock, timeout=0))
        except Timeout as error:
            remedy = "wait until it has finished, or choose another folder"
            raise OutputError(f"another {work} is writing to '{folder}'", remedy) from error
        except OSError as error:
            raise write_error(folder, error) from error
        yield


def is_taken(path: Path) -> bool:
    """Whether there is a file, a folder or a link, even a broken one, under this name.

    Raises:
        OSError: if there cannot be, as for a name that is too long.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def refuse_foreign(paths: Iterable[Path]) -> None:
    """Refuse to replace files that no run of this program is known to have written.

    Raises:
        OutputError: if one exists; names the first.
    """
    for path in paths:
        if path.exists():
            cause = f"'{path}' would be replaced, but is not from a run of defocusctl"
            raise OutputError(cause, "choose another folder, or move it away")


def publish(part: Path, target: Path, *, force: bool) -> None:
    """Give the finished file ``part`` the name ``target`` in its folder, so that it survives a power cut.

    Raises:
        OSError: if that fails, or the target exists and ``force`` is not given; ``target`` is then unchanged.
    """
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    if force:
        part.replace(target)
    else:
        _rename_without_replacing(part, target)
    _sync_folder(target.parent)


def _publish_keeping(part: Path, target: Path, backup: Path) -> None:
    """Let ``part`` take the place of ``target``, which is then called ``backup``.

    At every moment ``target`` is either the old file or the new one, and the new one only once the old one
    has its other name on the disk.

    Raises:
        OSError, OutputError: if that fails, or the backup exists; ``target`` is then unchanged.
    """
    _copy_attributes(target, part)
    try:
        os.link(target, backup)
    except FileExistsError as error:
        raise write_error(backup, error) from error
    except OSError:  # a file system without hard links
        with atomic_write(backup) as handle, target.open("rb") as original:
            shutil.copyfileobj(original, handle)
        with contextlib.suppress(OSError):
            shutil.copystat(target, backup)
    _sync_folder(backup.parent)
    try:
        publish(part, target, force=True)
    except OSError:
        backup.unlink()
        raise


def _copy_attributes(source: Path, target: Path) -> None:
    """Give ``target`` the owner, permissions and extended attributes of ``source``, as far as possible."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(target, source.stat().st_uid, source.stat().st_gid)
    shutil.copystat(source, target)
    os.utime(target)


def _rename_without_replacing(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if target.exists() or target.is_symlink():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        temporary.rename(target)


def _sync_folder(folder: Path) -> None:
    """Flush the rename itself, where folders can be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
