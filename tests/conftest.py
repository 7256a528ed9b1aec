"""What holds for all tests."""

import signal
from pathlib import Path

import pytest

from tests.machine import make_fresh_machine

# A shell ignores Ctrl-C on behalf of what it runs in the background, perhaps these tests and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes, the tests of a file stay together; so do all that need the exported graphs."""
    for item in items:
        together = (
            "graphs" if "graphs" in getattr(item, "fixturenames", ()) else item.nodeid.partition("::")[0]
        )
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working folder of a fresh machine without a network."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
