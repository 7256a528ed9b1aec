"""A real browser on a page of this machine, moved as a visitor would, and what it complained about."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@contextmanager
def browser_on(page: Path | str, *, downloads: Path | None = None) -> Iterator[Any]:
    """A browser with a file or an address open in it, its pictures drawn, that keeps a log of all it does.

    What it downloads goes to a folder, if one is given.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
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
            f"--user-data-dir={profile}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options, Service(str(DRIVER)))
        try:
            if downloads is not None:
                where = {"behavior": "allow", "downloadPath": str(downloads)}
                browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
            open_file(browser, page)
            yield browser
        finally:
            browser.quit()


def open_file(browser: Any, page: Path | str) -> None:
    """Go to another page and wait for its pictures, all but those that wait to be scrolled to."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(page if isinstance(page, str) else page.as_uri())
    pictures = "[...document.images].filter(image => image.loading !== 'lazy')"
    complete = f"return {pictures}.every(image => image.complete)"
    WebDriverWait(browser, 60).until(lambda browser: browser.execute_script(complete))


def assert_silent(browser: Any) -> None:
    """Nothing was logged and nothing but files was asked for since the browser, or this, was last asked."""
    assert browser.get_log("browser") == []
    kinds = {address.partition(":")[0] for address in requested(browser)}
    assert "file" in kinds
    assert kinds <= {"file", "data", "chrome"}  # chrome: is the browser's own empty page at its start


def requested(browser: Any) -> list[str]:
    """The addresses that were asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def column(browser: Any, place: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#rows tbody tr')].map(r => r.children[arguments[0]].innerText)"
    )
    found: list[str] = browser.execute_script(script, place)
    return found


def press(browser: Any, button: Any) -> None:
    """A real click, once the button is in the middle of the window and not under the page's edge."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()


def touch(browser: Any, stage: Any, share: float) -> None:
    """Put a finger on the middle of the stage and move it to a share of its width."""
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return b.toJSON()", stage)
    y = box["y"] + box["height"] / 2
    path = [box["x"] + box["width"] * at for at in (0.5, (0.5 + share) / 2, share)]
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, x in zip(("touchStart", "touchMove", "touchMove"), path, strict=True):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def assert_fits(page: Any, width: int) -> None:
    """The open page needs no scrolling across in a window of this width."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    across = page.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert across[0] == across[1] <= width
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
