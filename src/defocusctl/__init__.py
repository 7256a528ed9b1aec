"""defocusctl removes out-of-focus blur from single photographs.

``Deblurrer`` is the way in for programs, documented in docs/python-api.md with the errors it raises; it loads
PyTorch when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from defocusctl.errors import (
    DefocusctlError,
    DeviceError,
    InputError,
    ModelError,
    OutputError,
    UsageError,
    WeightsError,
)

if TYPE_CHECKING:
    from defocusctl.deblurrer import Deblurrer, DeblurResult

__all__ = [
    "DeblurResult",
    "Deblurrer",
    "DefocusctlError",
    "DeviceError",
    "InputError",
    "ModelError",
    "OutputError",
    "UsageError",
    "WeightsError",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What needs PyTorch, imported when it is first used."""
    if name in ("DeblurResult", "Deblurrer"):
        return getattr(import_module("defocusctl.deblurrer"), name)
    raise AttributeError(f"module 'defocusctl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
