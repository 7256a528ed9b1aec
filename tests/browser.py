"""A real browser for the tests of the HTML pages, and what it tells afterwards."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs a browser: chromium and chromedriver (Debian's chromium-driver) are not installed",
)


@contextmanager
def browser_at(page: Path, folder: Path) -> Iterator[Any]:
    """A browser with the page open in it and its pictures loaded; ``folder`` is for its own files."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,900",
        f"--user-data-dir={folder / 'profile'}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, Service(str(DRIVER)))
    try:
        browser.get(page.as_uri())
        pictures = "[...document.images].filter(image => image.loading !== 'lazy')"
        complete = f"return {pictures}.every(image => image.complete)"
        WebDriverWait(browser, 60).until(lambda browser: browser.execute_script(complete))
        yield browser
    finally:
        browser.quit()


def requested(browser: Any) -> list[str]:
    """The addresses that were asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
