"""What does the jobs of a batch: in this process (``local``), or elsewhere."""

from collections.abc import Callable, Generator, Iterable
from typing import Protocol

from defocusctl.batch.job import Job, Outcome
from defocusctl.batch.stop import Stop

OnBegin = Callable[[Job], None]
"""Told of each job when its restoration begins; perhaps from another thread."""

OnTile = Callable[[Job, int, int], None]
"""Told of each job's tiles done and in all; perhaps from another thread."""


class Engine(Protocol):
    """Does jobs. What goes wrong with one is its outcome; an engine raises only if it cannot go on at all."""

    def outcomes(self, jobs: Iterable[Job], stop: Stop) -> Generator[Outcome, None, None]:
        """One outcome per job begun, as they end, in any order.

        Jobs are taken as they are needed: the iterable may be endless, and ``next`` of it may wait. When
        ``stop.stopping()`` no further job is begun; those in flight end. When ``stop.abandoned()`` those are
        given up: outcomes still come of what was stored before, and of nothing else. Closing the generator
        gives them up without that. Nothing of theirs is written after the end, and no unfinished file stays.
        """
        ...
