"""The page in a real browser: photos dropped, looked at, adjusted and downloaded as a visitor would."""

import io
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import assert_fits, browser_on, requested
from tests.cli.command import defocusctl
from tests.server.serving import OPTIONS, Server, half_blurred, serving, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    downloads = tmp_path_factory.mktemp("downloads")
    with browser_on(running.address, downloads=downloads) as browser:
        browser.downloads = downloads
        yield browser


@pytest.fixture
def fresh(page: Any, server: Server) -> Iterator[Any]:
    """The page as it is for a new visitor; afterwards, it has logged no error and asked nobody else."""
    page.switch_to.new_window("tab")
    requested(page), page.get_log("browser")
    page.get(server.address)
    yield page
    assert page.get_log("browser") == []
    addresses = [address for address in requested(page) if not address.startswith(("data:", "blob:"))]
    assert all(address.startswith(server.address) for address in addresses)
    for handle in page.window_handles[1:]:
        page.switch_to.window(handle)
        for button in page.find_elements("css selector", "#photos .remove"):
            page.execute_script("arguments[0].click()", button)
        wait_until(lambda: page.find_elements("css selector", "#photos li") == [])
        page.close()
    page.switch_to.window(page.window_handles[0])


def drop(page: Any, *photos: Path) -> None:
    """Drop files on the page as from a file manager."""
    files = {"items": [], "files": [str(photo) for photo in photos], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 250, "data": files})


def states(page: Any) -> dict[str, str]:
    """The names of the photos in the list with the class of their rows."""
    script = (
        "return [...document.querySelectorAll('#photos li')]"
        ".map((row) => [row.querySelector('.pick').textContent, row.className.split(' ')[0]])"
    )
    return dict(page.execute_script(script))


def wait_for(page: Any, *names: str, state: str = "done") -> None:
    wait_until(lambda: all(states(page).get(name) == state for name in names))


def press(page: Any, name: str) -> None:
    button = page.find_element("id", name)
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()


def set_slider(page: Any, name: str, value: float) -> None:
    script = (
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.execute_script(script, page.find_element("id", name), value)


def shown(page: Any) -> np.ndarray:
    """The pixels of the photo on the screen at 1 : 1, (64, 96, 3)."""
    loaded = "return [...document.querySelectorAll('.stage img')].every((image) => image.complete)"
    wait_until(lambda: page.execute_script(loaded))
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    left, top = page.execute_script(
        "const stage = document.querySelector('.stage');"
        "stage.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const box = stage.getBoundingClientRect(); return [box.x, box.y]"
    )
    assert (left, top) == (round(left), round(top))
    return pixels(page.get_screenshot_as_png())[round(top) : round(top) + 64, round(left) : round(left) + 96]


def by_command(photo: Path, *options: str) -> bytes:
    """The result of ``defocusctl deblur`` with these options."""
    target = photo.with_stem(f"by-command-{'-'.join(options)}".replace(".", "_"))
    answer = defocusctl("deblur", photo, "-o", target, "--force", *OPTIONS, *options)
    assert answer.code == 0, answer.err
    return target.read_bytes()


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_photo_is_dropped_looked_at_adjusted_and_downloaded(fresh: Any, tmp_path: Path) -> None:
    photo = half_blurred(tmp_path / "photo.png")
    fresh.execute_script(
        "window.seen = new Set();"
        "new MutationObserver(() => document.querySelectorAll('#photos li').forEach((row) =>"
        " seen.add(row.className.split(' ')[0]"
        " + (row.querySelector('progress:not([hidden])') ? ' with bar' : ''))))"
        ".observe(document.getElementById('photos'), {subtree: true, childList: true, attributes: true})"
    )
    drop(fresh, photo)
    wait_for(fresh, "photo.png")
    seen = set(fresh.execute_script("return [...seen]"))
    assert {"uploading with bar", "computing with bar", "done"} <= seen
    said = fresh.find_element("id", "said").get_attribute("textContent")
    assert said.startswith("photo.png: done in")

    press(fresh, "full")
    assert fresh.find_element("id", "zoom").text == "100 %"
    before, after = pixels(photo.read_bytes()), pixels(by_command(photo))
    assert np.abs(after - before).max() > 10
    divider = fresh.find_element("css selector", "#viewer .slider input")
    for value, expected in ((0, after), (100, before)):
        fresh.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
            divider,
            value,
        )
        assert np.abs(shown(fresh) - expected)[:, 2:94].max() <= 1  # without the line of the divider
    divider.send_keys("\ue011")  # Home
    assert fresh.execute_script("return arguments[0].value", divider) == "0"

    set_slider(fresh, "strength", 0.4)
    weaker = pixels(by_command(photo, "--strength", "0.4"))
    assert np.abs(shown(fresh) - weaker)[:, 2:94].max() <= 2
    radius = float(fresh.execute_script("return document.getElementById('max-blur').max")) - 1
    limit = round(2 * radius) / 4
    set_slider(fresh, "max-blur", limit)
    partial = pixels(by_command(photo, "--strength", "0.4", "--max-blur", str(limit)))
    assert np.abs(partial - weaker).max() > 3
    difference = np.abs(shown(fresh) - partial)[:, 2:94]
    assert difference.mean() < 0.5
    assert difference.max() <= 6

    press(fresh, "download")
    target = fresh.downloads / "photo_deblurred.png"
    wait_until(target.exists)
    assert target.read_bytes() == by_command(photo, "--strength", "0.4", "--max-blur", str(limit))


def settled(value: Callable[[], float]) -> float:
    """The value once it stays: scrolling is smooth."""
    last = inf
    while (now := value()) != last:
        last = now
        time.sleep(0.3)
    return last


def test_zoom_moves_and_keys(fresh: Any, tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains

    drop(fresh, half_blurred(tmp_path / "photo.tif"))
    wait_for(fresh, "photo.tif")
    zoom, pan = fresh.find_element("id", "zoom"), fresh.find_element("id", "pan")
    body = fresh.find_element("tag name", "body")
    body.send_keys("1")
    assert zoom.text == "100 %"
    for _ in range(5):
        body.send_keys("+")
    assert zoom.text == "1600 %"  # the largest
    assert pan.is_displayed()
    left = "return parseFloat(document.querySelector('.after .stage').style.left)"
    start = fresh.execute_script(left)
    pan.send_keys("\ue014" * 3)  # to the right
    wait_until(lambda: fresh.execute_script(left) < start)
    start, divider = (
        settled(lambda: fresh.execute_script(left)),
        fresh.find_element("css selector", "#viewer .slider input"),
    )
    assert fresh.execute_script("return arguments[0].value", divider) == "50"
    mouse = ActionChains(fresh, duration=50)
    mouse.move_to_element(pan).click_and_hold().move_by_offset(
        -100, 0
    ).release().perform()  # the divider's handle
    assert 20 < float(fresh.execute_script("return arguments[0].value", divider)) < 45
    assert fresh.execute_script(left) == start
    mouse.move_to_element_with_offset(pan, 150, 100).click_and_hold().move_by_offset(
        60, 0
    ).release().perform()
    wait_until(lambda: fresh.execute_script(left) > start)  # the picture
    body.send_keys("0")
    assert not pan.is_displayed()
    body.send_keys("v")
    wait_until(lambda: fresh.execute_script("return document.querySelector('#map img').naturalWidth") > 500)
    assert fresh.find_element("id", "show-map").get_attribute("aria-pressed") == "true"
    for element in fresh.find_elements("css selector", "main button, main input, main select, main progress"):
        assert element.accessible_name or not element.is_displayed(), element.get_attribute("outerHTML")
    press(fresh, "show-pair")
    assert_fits(fresh, 360)


def test_several_come_as_a_zip_and_survive_reloading(fresh: Any, tmp_path: Path) -> None:
    photos = [half_blurred(tmp_path / name) for name in ("one.jpg", "two.webp")]
    fresh.find_element("id", "files").send_keys("\n".join(map(str, photos)))
    wait_for(fresh, "one.jpg", "two.webp")
    fresh.refresh()
    wait_for(fresh, "one.jpg", "two.webp")
    press(fresh, "download-all")
    wait_until((fresh.downloads / "deblurred.zip").exists)
    remove = fresh.find_elements("css selector", "#photos .remove")[0]
    assert remove.accessible_name == "Remove one.jpg"
    remove.click()
    wait_until(lambda: list(states(fresh)) == ["two.webp"])
    assert fresh.switch_to.active_element.accessible_name == "Remove two.webp"


def test_a_photo_is_deblurred_again_at_another_scale(fresh: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import Select

    drop(fresh, half_blurred(tmp_path / "photo.png"))
    wait_for(fresh, "photo.png")
    assert not fresh.find_element("id", "again").is_displayed()
    Select(fresh.find_element("id", "scale")).select_by_value("1/2")
    assert fresh.find_element("id", "again").text == "Deblur again with iniknet, scale 1/2"
    press(fresh, "again")
    facts = fresh.find_element("id", "facts")
    wait_until(lambda: "1/2" in facts.text and states(fresh) == {"photo.png": "done"})
    assert not fresh.find_element("id", "again").is_displayed()


def test_two_tabs_at_once_have_their_own_photos(fresh: Any, server: Server, tmp_path: Path) -> None:
    first = fresh.current_window_handle
    drop(fresh, half_blurred(tmp_path / "one.png"), half_blurred(tmp_path / "two.png"))
    fresh.switch_to.new_window("tab")
    fresh.get(server.address)
    drop(fresh, half_blurred(tmp_path / "other.png"))
    wait_for(fresh, "other.png")
    assert states(fresh) == {"other.png": "done"}
    fresh.switch_to.window(first)
    wait_for(fresh, "one.png", "two.png")
    assert list(states(fresh)) == ["one.png", "two.png"]


def test_hostile_files_are_said_in_one_line(fresh: Any, tmp_path: Path) -> None:
    hostile = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    hostile.write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 500)
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8" * 150_000)
    drop(fresh, hostile, large)
    wait_for(fresh, hostile.name, large.name, state="failed")
    lines = [row.text for row in fresh.find_elements("css selector", "#photos .state")]
    assert len(lines) == 2
    assert any(line.startswith(f"cannot use '{hostile.name}': it is damaged") for line in lines)
    assert any(line.startswith("the file is larger than 0.2 MB") for line in lines)
    assert not fresh.find_element("id", "viewer").is_displayed()


def test_closing_the_page_in_the_middle_leaves_no_files(tmp_path: Path) -> None:
    with serving(tmp_path, "--forget-after", "0.001") as server:
        with browser_on(server.address) as page:
            drop(page, *(half_blurred(tmp_path / f"{number}.png") for number in range(4)))
            wait_for(page, "0.png", state="computing")
            assert server.files() != []
        wait_until(lambda: server.files() == [])


def test_a_server_that_has_ended_is_said(tmp_path: Path) -> None:
    with serving(tmp_path) as server, browser_on(server.address) as page:
        assert not page.find_element("id", "offline").is_displayed()
        assert server.stop()[0] == 0
        wait_until(page.find_element("id", "offline").is_displayed)
