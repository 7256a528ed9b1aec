"""The interface of all backends: tiles in, restored tiles and coefficients out."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from defocusctl.errors import DeviceError
from defocusctl.restoring.tiles import Floats

BACKENDS = ("torch", "onnxruntime", "openvino")


class EngineOutput(NamedTuple):
    """Restored tiles (B, 3, h, w), not clipped, and their maps, each (B, K, h/s, w/s)."""

    image: Floats
    coefficients: Mapping[str, Floats]


class Engine(Protocol):
    """A network ready to run on any backend."""

    precision: str
    """``fp32``, ``bf16`` or ``fp16``: the precision of ``predict``."""
    bytes_per_pixel: int
    """Memory per pixel of a tile."""

    def predict(self, tiles: Floats, *, exactly: bool = False) -> EngineOutput:
        """Restore (B, 3, h, w) RGB tiles in [0, 1], h and w multiples of 16.

        With ``exactly``, it computes in float32 if the backend can.

        Raises:
            MemoryError: or another error that ``devices.is_out_of_memory`` recognises, if memory runs out.
            ModelError: if the network's output is not what ``Network`` requires.
        """


def missing_extra(package: str, extra: str) -> DeviceError:
    """The error for a request that needs the optional ``package``."""
    return DeviceError(f"{package} is not installed", f"run: pip install 'defocusctl[{extra}]'")
