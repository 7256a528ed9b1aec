"""Names of networks: the built-in ones, and those that installed packages register.

A package registers one with an entry point in the group ``defocusctl.models`` (docs/adding-a-model.md).
Nothing is imported here; ``models.catalogue`` does that when a network is used.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from defocusctl.errors import ModelError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN = ("iniknet", "nrknet")  # the built-in networks that restore photos
ESTIMATORS = ("blur-radius",)  # those that say something about a photo instead
DEFAULT_MODEL = BUILT_IN[0]
GROUP = "defocusctl.models"
NAMES = r"[a-z0-9][a-z0-9._-]*"  # valid names of networks; they become parts of file names


@dataclass(frozen=True)
class Plugin:
    """A network that a package registers; ``problem`` says why it cannot be used, or is None."""

    entry: "EntryPoint"
    problem: str | None

    @property
    def name(self) -> str:
        return self.entry.name

    @cached_property
    def package(self) -> str:
        found = self.entry.dist
        return "an unknown package" if found is None else f"{found.name} {found.version}"


def plugins() -> list[Plugin]:
    """Every network that installed packages register, usable or not, sorted by name."""
    entries = _entries(tuple(sys.path))
    counts = Counter(entry.name for entry in entries)
    return [Plugin(entry, _problem(entry.name, counts[entry.name])) for entry in entries]


@lru_cache(maxsize=1)
def _entries(search_path: tuple[str, ...]) -> "list[EntryPoint]":
    """The entry points of all packages on ``search_path``, ``sys.path``; finding them takes 10 ms."""
    from importlib.metadata import entry_points

    del search_path
    return sorted(entry_points(group=GROUP), key=lambda entry: entry.name)


def model_names() -> tuple[str, ...]:
    """The values of ``--model``: the built-in networks, then those of packages."""
    return (*BUILT_IN, *(plugin.name for plugin in plugins() if plugin.problem is None))


def check_model(name: str) -> str:
    """Return the name if there is exactly one such network.

    Raises:
        ModelError: if there is none, or several packages register it; the remedy lists the known names.
    """
    if name not in BUILT_IN:
        plugin_of(name)
    return name


def check_trainable(name: str) -> str:
    """As ``check_model``, for networks that restore photos or say something about them."""
    if name in ESTIMATORS:
        return name
    try:
        return check_model(name)
    except ModelError as error:
        raise ModelError(error.cause, f"{error.remedy}, {', '.join(ESTIMATORS)}") from error


def plugin_of(name: str) -> Plugin:
    """The package's network called ``name``.

    Raises:
        ModelError: if there is none, or several packages register it.
    """
    found = [plugin for plugin in plugins() if plugin.name == name]
    known = f"known networks: {', '.join(model_names())}"
    if not found:
        raise ModelError(f"there is no network '{name}'", known)
    if found[0].problem is not None:
        packages = " and ".join(sorted(plugin.package for plugin in found))
        raise ModelError(f"the network '{name}' of {packages} cannot be used ({found[0].problem})", known)
    return found[0]


def _problem(name: str, count: int) -> str | None:
    if name in (*BUILT_IN, *ESTIMATORS):
        return "a built-in network has that name"
    if count > 1:
        return "more than one package registers that name"
    if re.fullmatch(NAMES, name) is None:
        return "its name may only contain lower-case letters, digits, '.', '_' and '-'"
    return None
