"""When a batch ends early; the engines ask before each photo."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Stop:
    """When to begin no further photo: if that is ``requested``, or after more than ``most_failures``.

    It counts the failures of one run; ``ended`` is set when nothing more can be done. ``abandoned`` says
    whether the photos in flight are to be given up as well. Any thread may ask, at any time.
    """

    requested: Callable[[], bool] = lambda: False
    abandoned: Callable[[], bool] = lambda: False
    most_failures: int | None = None
    failures: int = 0
    ended: bool = False

    def stopping(self) -> bool:
        """Whether no further photo is to be begun; endless jobs end then."""
        return self.ended or self.too_many or self.requested() or self.abandoned()

    @property
    def too_many(self) -> bool:
        return self.most_failures is not None and self.failures > self.most_failures
