"""The machine that the tests of batches run on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.machine import make_fresh_machine


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working folder of a fresh machine without a network."""
    make_fresh_machine(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For networks this small, more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_root() -> None:
    """For what the system forbids to all but one."""
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("permissions do not stop this user")
