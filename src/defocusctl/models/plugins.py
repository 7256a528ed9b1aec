"""The networks by their names: the built-in ones, and those that installed packages register.

A package registers one by an entry point of the group ``defocusctl.models`` (docs/adding-a-model.md). Nothing
is imported here: that is for ``models.catalogue``, when a network is used.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from defocusctl.errors import ModelError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILT_IN = ("iniknet", "nrknet")
DEFAULT_MODEL = BUILT_IN[0]
GROUP = "defocusctl.models"
NAMES = r"[a-z0-9][a-z0-9._-]*"
"""What names of networks look like; they become parts of file names."""


@dataclass(frozen=True)
class Plugin:
    """A network that a package registers; ``problem`` says why its name cannot be used, or is None."""

    entry: "EntryPoint"
    problem: str | None

    @property
    def name(self) -> str:
        return self.entry.name

    @cached_property
    def package(self) -> str:
        """The package and its version."""
        found = self.entry.dist
        return "an unknown package" if found is None else f"{found.name} {found.version}"


def plugins() -> list[Plugin]:
    """Every network that an installed package registers, usable or not, in the order of their names."""
    from importlib.metadata import entry_points

    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    counts = Counter(entry.name for entry in entries)
    return [Plugin(entry, _problem(entry.name, counts[entry.name])) for entry in entries]


def model_names() -> tuple[str, ...]:
    """What ``--model`` takes: the built-in networks, then those of packages."""
    return (*BUILT_IN, *(plugin.name for plugin in plugins() if plugin.problem is None))


def check_model(name: str) -> str:
    """The name itself, if there is such a network.

    Raises:
        ModelError: if there is none, or more than one package has one; the remedy lists the known ones.
    """
    if name not in BUILT_IN:
        plugin_of(name)
    return name


def plugin_of(name: str) -> Plugin:
    """The package's network called ``name``.

    Raises:
        ModelError: as ``check_model``.
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
    if name in BUILT_IN:
        return "the name is that of a built-in network"
    if count > 1:
        return "more than one package registers that name"
    if re.fullmatch(NAMES, name) is None:
        return "its name is to be lower-case letters, digits, '.', '_' and '-'"
    return None
