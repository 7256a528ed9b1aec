"""A fresh user's machine: an empty cache and configuration of its own, no proxy, and the network allowed."""

from pathlib import Path

import pytest

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def make_fresh_machine(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Point this process and its children at a cache and a configuration below ``home``."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("DEFOCUSCTL_DATA", "DEFOCUSCTL_WEIGHTS", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("HF_HOME", str(home / "hugging-face"))
    monkeypatch.setenv("DEFOCUSCTL_CACHE", str(home / "cache"))
