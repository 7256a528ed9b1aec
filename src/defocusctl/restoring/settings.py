"""The options of a restoration and the report about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from defocusctl.errors import UsageError

BACKENDS = ("torch", "onnxruntime", "openvino")
SCALE_NAMES = ("auto", "1", "1/2", "1/4", "1/8")


@dataclass(frozen=True)
class RestoreSettings:
    """How to restore. ``tile`` and ``overlap`` are in pixels; None is automatic, a tile of 0 the whole photo.

    ``scale`` is the size at which the network sees the photo: 1 as it is, 1/2, 1/4, 1/8, or ``auto`` for a
    blend of these by blur radius (docs/levels.md). What is blurred by more than a radius of ``max_blur``
    pixels is left alone.

    ``strength`` is how much of the change is applied: 0 keeps the photo, 1 is the network's output. ``clip``
    keeps the output between black and white; some published protocols score it unclipped. ``backend`` is one
    of ``BACKENDS``; all but ``torch`` run an exported graph on the CPU in float32.
    """

    tile: int | None = None
    overlap: int | None = None
    device: str = "auto"
    precision: str = "auto"
    scale: str = "1"
    max_blur: float | None = None
    strength: float = 1.0
    clip: bool = True
    backend: str = "torch"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"'{self.backend}' is not a backend", f"use {', '.join(BACKENDS)}")
        if self.scale not in SCALE_NAMES:
            raise UsageError(f"'{self.scale}' is not a scale", f"use {', '.join(SCALE_NAMES)}")
        if self.max_blur is not None and not 0 < self.max_blur < inf:
            cause = f"a largest blur of {self.max_blur:g} pixels is not possible"
            raise UsageError(cause, "give a number above 0")
        if not 0.0 <= self.strength <= 1.0:
            raise UsageError(f"a strength of {self.strength} is not possible", "use 0 to 1")
        if (self.tile or 0) < 0 or (self.overlap or 0) < 0:
            raise UsageError("a tile or an overlap cannot be negative", "use 0 or more pixels")

    @property
    def needs_blur(self) -> bool:
        """Whether the blur of a photo must be estimated."""
        return self.scale == "auto" or self.max_blur is not None


@dataclass(frozen=True)
class RestoreReport:
    """What was done.

    ``strength``, ``scale`` and ``max_blur`` are those of the settings; ``masked`` says whether a mask limited
    the change, and ``levels`` is the mean share of each level that was used, by the name of its scale.
    ``tile`` (the longer side) and ``overlap`` are in pixels. ``peak_memory`` is in bytes: on a GPU that of
    its tensors, otherwise that of the whole process. For a photo in a batch, ``seconds`` is its share.
    """

    strength: float
    scale: str
    max_blur: float | None
    masked: bool
    levels: Mapping[str, float]
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
