"""How far a batch is: counts, throughput and the time left, from the entries as they come."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from defocusctl.batch.job import Entry, Job, Status


@dataclass
class Progress:
    """Counts what has ended. The time left is guessed from the bytes of the files that are still to do.

    ``before`` photos were done by earlier runs; ``sizes`` are the bytes of the files to do, by name. Photos
    may be added, also again: then the last that became of one counts as a failure or not.
    """

    sizes: dict[str, int]
    before: int
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    skipped: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """The error of each that failed, by name."""
    megapixels: float = 0.0
    ended: int = 0
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._all_bytes = sum(self.sizes.values())
        self._started = self.clock()
        self.total = len(self.sizes)
        """Photos to do in this run."""

    def expect(self, job: Job) -> None:
        """Count a photo that is to be done as well."""
        self.sizes[job.name] = job.size
        self._all_bytes += job.size
        self.total += 1

    def add(self, entry: Entry) -> None:
        """Count a photo that has ended."""
        self.ended += 1
        self.failures.pop(entry.input, None)
        self._bytes += self.sizes.get(entry.input, 0)
        if entry.status is Status.DONE:
            self.done += 1
            self.megapixels += entry.report["megapixels"]
        elif entry.status is Status.FAILED:
            self.failures[entry.input] = entry.error or ""
        else:
            self.skipped += 1

    @property
    def seconds(self) -> float:
        return self.clock() - self._started

    @property
    def megapixels_per_second(self) -> float:
        return self.megapixels / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None while nothing is known."""
        if self.ended >= self.total:
            return 0.0
        if not self._bytes:
            return None
        return self.seconds * (self._all_bytes - self._bytes) / self._bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "ended": self.ended,
            "total": self.total,
            "failed": len(self.failures),
            "megapixels_per_second": round(self.megapixels_per_second, 4),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
        }
