"""Networks by their command-line names, the built-in ones and those of installed packages."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from defocusctl.errors import DefocusctlError, ModelError
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.plugins import Plugin, plugin_of
from defocusctl.models.prediction import Model, Network
from defocusctl.system.devices import is_out_of_memory

NETWORKS: dict[str, type[Network]] = {network.name: network for network in (INIKNet, NRKNet)}
"""The built-in networks that restore photos."""
ESTIMATORS: dict[str, type[Model]] = {BlurRadius.name: BlurRadius}
"""The networks that say something about a photo instead."""


def model_class(name: str) -> type[Model]:
    """The class of the network called ``name``, whatever it does; raises what ``network_class`` does."""
    return ESTIMATORS[name] if name in ESTIMATORS else network_class(name)


def network_class(name: str) -> type[Network]:
    """The class of the network called ``name``; imports its package if need be.

    Raises:
        ModelError: if there is none, or its package is broken.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    plugin = plugin_of(name)
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
    cause = f"the network '{plugin.name}' of {plugin.package} cannot be used ({reason})"
    return ModelError(cause, "fix or uninstall that package")


@contextmanager
def network_errors(network: str) -> Iterator[None]:
    """Wrap calls into the network called ``network``: if a package provides it, exceptions name the package.

    Out-of-memory errors and exceptions in built-in networks pass unchanged.

    Raises:
        ModelError: for any other exception from a package.
    """
    try:
        yield
    except DefocusctlError:
        raise
    except Exception as error:  # a package may raise anything
        if network in NETWORKS or network in ESTIMATORS or is_out_of_memory(error):
            raise
        said = str(error).strip().partition("\n")[0]
        raise broken(plugin_of(network), f"{type(error).__name__}: {said}") from error
