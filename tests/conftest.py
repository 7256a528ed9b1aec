"""What holds for all tests."""

import signal

import pytest

# A shell ignores Ctrl-C on behalf of what it runs in the background, perhaps these tests and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

COSTLY_FIXTURES = {"export", "elsewhere"}
"""Folders whose files share fixtures that take long: graphs, a store, a cluster."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes (``--dist loadgroup``), let each run whole files, or whole folders."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            folder = item.path.parent
            together = folder if folder.name in COSTLY_FIXTURES else item.path
            item.add_marker(pytest.mark.xdist_group(str(together)))
