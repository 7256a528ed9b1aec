"""Attributes an exception inside a network to this program or to the package that provides it."""

from collections.abc import Iterator
from contextlib import contextmanager

from defocusctl.errors import DefocusctlError
from defocusctl.models.catalogue import ESTIMATORS, NETWORKS, broken
from defocusctl.models.plugins import plugin_of
from defocusctl.system.devices import is_out_of_memory


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
