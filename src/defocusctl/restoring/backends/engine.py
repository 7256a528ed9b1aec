"""What every backend is to the code that tiles: tiles in, restored tiles and coefficients out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from defocusctl.errors import DeviceError
from defocusctl.restoring.tiles import Floats

BACKENDS = ("torch", "onnxruntime", "openvino")


class Answer(NamedTuple):
    """Restored tiles (B, 3, h, w), not clipped, and their maps, each (B, K, h/s, w/s)."""

    image: Floats
    coefficients: Mapping[str, Floats]


class Engine(Protocol):
    """A network ready to run, whatever runs it."""

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp16``: what ``predict`` computes in."""

    @property
    def bytes_per_pixel(self) -> int:
        """Memory that a pixel of a tile takes."""

    @property
    def has_exact(self) -> bool:
        """Whether ``predict`` with ``exactly`` is another computation than without."""

    def predict(self, tiles: Floats, *, exactly: bool = False) -> Answer:
        """Restore (B, 3, h, w) tiles in [0, 1] in the weights' channel order, h and w multiples of 16.

        With ``exactly`` in float32, where the backend has that beside its own precision.

        Raises:
            MemoryError: or what ``devices.is_out_of_memory`` knows, if they are too large for the memory.
            ModelError: if the network does not answer as ``Network`` asks for.
        """


def missing_extra(package: str, extra: str) -> DeviceError:
    """What to tell a user who asks for what only the optional ``package`` does."""
    return DeviceError(f"{package} is not installed", f"run: pip install 'defocusctl[{extra}]'")
