"""Where files live on this machine: the cache, the user's configuration, and what came with the package."""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parents[1]


def cache_dir() -> Path:
    """The directory for everything that can be fetched again; ``DEFOCUSCTL_CACHE`` moves it."""
    moved = os.environ.get("DEFOCUSCTL_CACHE")
    return Path(moved).expanduser() if moved else platformdirs.user_cache_path("defocusctl", appauthor=False)


def config_dir() -> Path:
    """The directory of the user's own settings."""
    return platformdirs.user_config_path("defocusctl", appauthor=False)


def bundled_dir() -> Path:
    """The directory of the weights that came with the package."""
    return PACKAGE / "weights" / "bundled"


def packaged_registry() -> Path:
    """The ``weights.toml`` that came with the package: in a wheel inside it, in a checkout at its root."""
    inside = PACKAGE / "weights.toml"
    return inside if inside.is_file() else PACKAGE.parents[1] / "weights.toml"
