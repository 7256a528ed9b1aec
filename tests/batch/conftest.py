"""The machine that the tests of batches run on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test here runs in a fresh home."""


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
