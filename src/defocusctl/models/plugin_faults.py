"""Whose fault an exception inside a network is: a bug of this program, or of the package that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager

from defocusctl.errors import DefocusctlError
from defocusctl.models.catalogue import NETWORKS, broken
from defocusctl.models.plugins import plugin_of
from defocusctl.system.devices import is_out_of_memory


@contextmanager
def code_of(network: str) -> Iterator[None]:
    """Around code of the ``network`` of that name: exceptions in that of a package name the package.

    Memory that runs out is nobody's fault, and exceptions in built-in networks stay what they are.

    Raises:
        ModelError: instead of whatever a package raises.
    """
    try:
        yield
    except DefocusctlError:
        raise
    except Exception as error:  # a package may raise anything
        if network in NETWORKS or is_out_of_memory(error):
            raise
        said = str(error).strip().partition("\n")[0]
        raise broken(plugin_of(network), f"{type(error).__name__}: {said}") from error
