"""Paths of caches, configuration and the package's own files; what names and patterns of files mean."""

import glob
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


def fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    base = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (base / part).is_dir():  # a folder may be called "2024 [raw]"
            break
        base /= part
    return base


def matches(pattern: str) -> list[Path]:
    """The files and folders that match, in order; ``**`` stands for any folders."""
    fixed = fixed_part(Path(pattern))
    wild = str(Path(pattern).relative_to(fixed))
    return sorted(fixed / name for name in glob.glob(wild, root_dir=fixed, recursive=True))  # noqa: PTH207
