"""Whether a file may have changed, without reading it."""

import time
from pathlib import Path
from typing import NamedTuple

TICK = 20_000_000
"""Nanoseconds within which file systems may give two changes one time."""
COARSE_TICK = 2_000_000_000
"""The same where they keep times in whole seconds."""


class Stamp(NamedTuple):
    """What changes when a file does: size in bytes, time of change in nanoseconds, and its number (inode)."""

    size: int
    modified: int
    number: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """That of a file; None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    @property
    def recorded(self) -> str | None:
        """As the manifest has it, without the number, which a copy of the whole folder would change.

        None if the file changed just now: another change could still leave the same size and time.
        """
        tick = COARSE_TICK if self.modified % 1_000_000_000 == 0 else TICK
        if abs(time.time_ns() - self.modified) <= tick:
            return None
        return f"{self.size}-{self.modified}"


def recorded_stamp(path: Path) -> str | None:
    """The stamp of a file for the manifest; None if there is no file, or it changed just now.

    Whoever hashes the file takes the stamp first: then a file that still has it has that hash, too.
    """
    stamp = Stamp.of(path)
    return None if stamp is None else stamp.recorded
