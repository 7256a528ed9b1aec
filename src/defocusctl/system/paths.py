"""Where files live on this machine: the cache, the user's configuration, and the package's own files."""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parents[1]


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
