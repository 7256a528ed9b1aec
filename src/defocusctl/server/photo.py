"""One photo of a server: its files, what is known of it, and what the page shows."""

import os
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from defocusctl.errors import DefocusctlError, printable
from defocusctl.restoring.change import Change
from defocusctl.server.pictures import Shown
from defocusctl.system.paths import portable_name

LONGEST_NAME, MOST_BYTES = 120, 200
"""Characters and bytes of a file name that are kept."""


class Status(StrEnum):
    UPLOADING = "uploading"
    WAITING = "waiting"
    COMPUTING = "computing"
    DONE = "done"
    FAILED = "failed"


class CancelledError(DefocusctlError):
    """The photo was removed while it was being restored."""


@dataclass(eq=False)
class ServedPhoto:
    """One photo; ``round`` counts how often it was restored, and names the folder of its pictures."""

    key: str
    folder: Path
    source: Path
    model: str
    scale: str
    status: Status = Status.UPLOADING
    round: int = 0
    tiles: tuple[int, int] = (0, 0)
    error: str = ""
    warnings: tuple[str, ...] = ()
    shown: Shown | None = None
    seconds: float = 0.0
    change: Change | None = None
    removed: bool = False

    @property
    def pictures(self) -> Path:
        """The folder of what is shown of it."""
        return self.folder / str(self.round)

    def fail(self, error: Exception) -> None:
        """Say in one line why it cannot be restored, without the name of the private folder."""
        self.status = Status.FAILED
        self.error = str(error).replace(f"{self.folder}{os.sep}", "")

    def as_json(self, ahead: int) -> dict[str, Any]:
        """What the page shows; ``ahead`` is the number of photos to be restored before it."""
        return {
            "id": self.key,
            "name": self.source.name,
            "model": self.model,
            "scale": self.scale,
            "status": self.status.value,
            "round": self.round,
            "tiles": self.tiles,
            "ahead": ahead,
            "error": self.error,
            "warnings": self.warnings,
            "seconds": round(self.seconds, 2),
            **({} if self.shown is None else asdict(self.shown)),
        }


def safe_name(name: str, *, windows: bool = os.name == "nt") -> str:
    """The last part of a path as a browser gives it, as the name of a file in a folder of its own."""
    last = printable(re.split(r"[/\\]", name)[-1]).replace("\\", "_").strip(" .")
    if windows:
        last = portable_name(last)
    stem, dot, suffix = last.rpartition(".")
    kept = f"{stem[:LONGEST_NAME]}{dot}{suffix[:12]}"
    while len(kept.encode("utf-8", "replace")) > MOST_BYTES:
        kept = kept[1:]
    return kept if kept.strip("_") else "photo"
