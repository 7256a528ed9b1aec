"""Networks by their command-line names: the built-in ones, and those of installed packages."""

import inspect

from defocusctl.errors import ModelError
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.plugins import Plugin, plugin_of
from defocusctl.models.prediction import Network

NETWORKS: dict[str, type[Network]] = {network.name: network for network in (INIKNet, NRKNet)}
"""The built-in networks."""


def network_class(name: str) -> type[Network]:
    """The class of the network called ``name``; imports its package if need be.

    Raises:
        ModelError: if there is none, or its package is broken.
    """
    return NETWORKS[name] if name in NETWORKS else _imported(plugin_of(name))


def _imported(plugin: Plugin) -> type[Network]:
    """The class that a package registers, checked against what ``Network`` requires."""
    try:
        found = plugin.entry.load()
    except (Exception, SystemExit) as error:  # importing a package may raise anything
        raise broken(plugin, f"{type(error).__name__}: {error}") from error
    if not inspect.isclass(found) or not issubclass(found, Network):
        raise broken(plugin, f"{plugin.entry.value} is not a subclass of Network")
    for fact in ("default_overlap", "bytes_per_pixel"):
        if not isinstance(getattr(found, fact, None), int):
            raise broken(plugin, f"{plugin.entry.value} does not define its {fact}")
    for method in ("from_state", "forward"):
        if inspect.getattr_static(found, method) is inspect.getattr_static(Network, method):
            raise broken(plugin, f"{plugin.entry.value} has no {method}")
    if getattr(found, "name", None) != plugin.name:
        raise broken(plugin, f"{plugin.entry.value} is not called '{plugin.name}'")
    return found


def broken(plugin: Plugin, reason: str) -> ModelError:
    """The error for a package whose network cannot be used."""
    return ModelError(
        f"the network '{plugin.name}' of {plugin.package} cannot be used ({reason})",
        "fix or uninstall that package",
    )
