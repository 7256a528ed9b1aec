"""The options of a restoration and the report about it."""

from dataclasses import dataclass

from defocusctl.errors import UsageError
from defocusctl.restoring.backends.engine import BACKENDS


@dataclass(frozen=True)
class RestoreSettings:
    """How to restore. ``tile`` and ``overlap`` are in pixels; None is automatic, a tile of 0 the whole photo.

    ``strength`` is how much of the change is applied: 0 keeps the photo, 1 is the network's output. ``clip``
    keeps the output between black and white; some published protocols score it unclipped. ``backend`` is one
    of ``BACKENDS``; all but ``torch`` run an exported graph on the CPU in float32.
    """

    tile: int | None = None
    overlap: int | None = None
    device: str = "auto"
    precision: str = "auto"
    strength: float = 1.0
    clip: bool = True
    backend: str = "torch"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"'{self.backend}' is not a backend", f"use {', '.join(BACKENDS)}")
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"a strength of {self.strength} is not possible", "use 0 to 1")
        if (self.tile or 0) < 0 or (self.overlap or 0) < 0:
            raise UsageError("a tile or an overlap cannot be negative", "use 0 or more pixels, or auto")


@dataclass(frozen=True)
class RestoreReport:
    """What was done.

    ``strength`` is that of the settings. ``tile`` (the longer side) and ``overlap`` are in pixels.
    ``peak_memory`` is in bytes: on a GPU that of its tensors, otherwise that of the whole process. For a
    photo in a batch, ``seconds`` is its share.
    """

    strength: float
    backend: str
    device: str
    precision: str
    tile: int
    overlap: int
    tiles: int
    seconds: float
    megapixels: float
    peak_memory: int
    warnings: tuple[str, ...]
