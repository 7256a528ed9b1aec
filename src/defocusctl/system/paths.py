"""Where files live on this machine: the cache, the user's configuration, and the package's own files.

And which names files can have, here and on Windows.
"""

import os
import re
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parents[1]
NOT_ON_WINDOWS = re.compile(r'[\x00-\x1f<>:"/\\|?*]|[. ]$')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)


def cache_dir() -> Path:
    """The directory for everything that can be downloaded again; ``DEFOCUSCTL_CACHE`` overrides it."""
    moved = os.environ.get("DEFOCUSCTL_CACHE")
    return Path(moved).expanduser() if moved else platformdirs.user_cache_path("defocusctl", appauthor=False)


def config_dir() -> Path:
    """The directory of the user's own settings."""
    return platformdirs.user_config_path("defocusctl", appauthor=False)


def bundled_dir() -> Path:
    """The directory of the bundled weights."""
    return PACKAGE / "weights" / "bundled"


def packaged_registry() -> Path:
    """The package's ``weights.toml``: inside the package in a wheel, at the root of a checkout."""
    inside = PACKAGE / "weights.toml"
    return inside if inside.is_file() else PACKAGE.parents[1] / "weights.toml"


def is_file_name(name: str, *, windows: bool = os.name == "nt") -> bool:
    """Whether a file in a folder can have this name; on Windows, a colon or ``CON.jpg`` is something else."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    return not windows or not (NOT_ON_WINDOWS.search(name) or _DEVICE.match(name))


def portable_name(name: str) -> str:
    """The name, or one that is like it, that a file can have on every system."""
    changed = NOT_ON_WINDOWS.sub("_", name) or "_"
    return f"_{changed}" if _DEVICE.match(changed) else changed
