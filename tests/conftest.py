"""What holds for all tests."""

import os
import signal
from math import inf
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, DRIVER
from tests.machine import make_fresh_machine

# Bits must not depend on which layout was faster a moment ago.
os.environ["DEFOCUSCTL_PROBE"] = "off"

# A shell ignores Ctrl-C on behalf of what it runs in the background, perhaps these tests and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = (
    "tests/export/",
    "tests/test_gallery.py",
    "tests/cli/test_streams.py",
    "tests/server/",
    "tests/integration/",
    "tests/test_packages.py",
    "tests/batch/",
    "tests/cli/test_in_place.py",
    "tests/models/test_plugins.py",
    "tests/maps/",
    "tests/cli/",
)
"""What takes longest, and runs first: at the end, no process is left alone with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, s in enumerate(LONGEST) if item.nodeid.startswith(s)), 99))
    for item in items:
        if item.get_closest_marker("posix") and os.name != "posix":
            item.add_marker(pytest.mark.skip("needs POSIX signals, links, limits or permissions"))
        if item.get_closest_marker("browser") and not (CHROMIUM and DRIVER):
            item.add_marker(pytest.mark.skip("no chromium and chromedriver (Debian's chromium-driver) here"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In several processes, the tests of a file stay together, and those that share the exported graphs."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/export" if file.startswith("tests/export/") else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command says must not depend on how long it takes here."""
    monkeypatch.setattr("defocusctl.cli.bars.FIRST_LINE", inf)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working folder of a fresh machine without a network."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
