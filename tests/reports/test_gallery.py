"""The gallery of a batch: what it shows, that it can be renewed, and that it works in a browser."""

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from defocusctl.batch.manifest import REPORT
from defocusctl.errors import OutputError
from defocusctl.photo import read_photo
from defocusctl.reports.gallery import write_gallery
from defocusctl.reports.gallery_pictures import screen_picture
from tests.batch.recorded import done, failed, photo, record
from tests.browser import assert_fits, browser_on, requested

MARKUP = "<img src=x onerror=\"alert(1)\"> & 'it' é.png"
RED, BLUE = (220, 20, 20), (20, 20, 220)
MANY = 300


def plain(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> np.ndarray[Any, Any]:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3)).copy()


def textured(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rows(page: Path) -> dict[str, dict[str, Any]]:
    """What the page's script is given, by name."""
    text = page.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    return {row["name"]: row for row in data["photos"]}


def picture(out: Path, row: dict[str, Any], name: str) -> Image.Image:
    with Image.open(out / REPORT / "pictures" / row["key"] / f"{name}.webp") as image:
        return image.copy()


def test_pages_and_folders_of_the_user_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    record(out, photo(tmp_path / "in", out, "a.png", plain(RED), plain(BLUE)))
    page, own = out / REPORT / "index.html", out / REPORT / "pictures" / "2024" / "summer" / "a.jpg"
    for path in (page, own):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<title>my photos</title>")
    with pytest.raises(OutputError, match="would be replaced, but is not from a run"):
        write_gallery(out)
    assert page.read_text() == own.read_text() == "<title>my photos</title>"
    page.unlink()
    write_gallery(out)
    assert write_gallery(out) == page and own.exists()


def near(image: Image.Image, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return bool(np.abs(np.asarray(image.convert("RGB")).mean(axis=(0, 1)) - colour).max() < tolerance)


def test_before_and_after_of_small_photos(tmp_path: Path) -> None:
    out = tmp_path / "out"
    record(out, photo(tmp_path / "in", out, "a/b.png", plain(RED), plain(BLUE)))
    told: list[tuple[int, int]] = []
    page = write_gallery(out, lambda made, total: told.append((made, total)))
    row = rows(page)["a/b.png"]
    assert page == out / REPORT / "index.html"
    assert told == [(1, 1)]
    assert row["change"] == pytest.approx(400 / 3, abs=0.001)
    assert (row["size"], row["before"], row["detail"], row["radius"]) == ([64, 48], True, None, None)
    assert near(picture(out, row, "before"), RED)
    assert near(picture(out, row, "after"), BLUE)
    assert near(picture(out, row, "thumbnail"), BLUE)
    assert (page.parent / row["files"][0][1]).resolve() == (out / "a/b.png").resolve()


@pytest.mark.slow
def test_large_photos_are_scaled_down_with_a_detail_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = plain((90, 90, 90), 1000, 1500)
    after = before.copy()
    after[300:700, 700:1100] = textured(400, 400)
    record(out, photo(tmp_path / "in", out, "large.png", before, after))
    row = rows(write_gallery(out))["large.png"]
    assert row["size"] == [1280, 853]
    assert picture(out, row, "thumbnail").size == (400, 267)
    left, top, side = row["detail"]
    assert left <= 760 and left + side >= 1040 and top <= 360 and top + side >= 640
    detail = np.asarray(picture(out, row, "detail-after").convert("L"), float)
    wanted = np.asarray(Image.fromarray(after[top : top + side, left : left + side]).convert("L"), float)
    assert detail.shape == wanted.shape == (side, side)
    assert np.corrcoef(detail.ravel(), wanted.ravel())[0, 1] > 0.95  # pixel for pixel


def test_profiles_depth_and_orientation_are_heeded(tmp_path: Path) -> None:
    wide = wide_gamut()
    green = Image.new("RGB", (40, 20), (60, 200, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    content = io.BytesIO()
    green.save(content, "PNG", icc_profile=wide, exif=exif)
    shown = screen_picture(read_photo(content.getvalue()), 100)
    assert shown.size == (20, 40)
    reference = ImageCms.profileToProfile(
        green, ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert reference is not None
    wanted = reference.getpixel((0, 0))
    assert np.abs(np.subtract(wanted, (60, 200, 60))).max() > 20
    assert near(shown, wanted, tolerance=3)

    sixteen = (np.arange(40 * 50, dtype=np.uint16) * 30).reshape(40, 50)
    grey = tmp_path / "grey.png"
    Image.fromarray(sixteen).save(grey)
    shown = screen_picture(read_photo(grey), 100)
    assert np.abs(np.asarray(shown.convert("RGB"), float)[..., 0] - sixteen / 257).max() < 1


def wide_gamut() -> bytes:
    """The profile of sRGB with its red and green primaries exchanged for those of a wider space."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    for name, xyz in ((b"rXYZ", (0.6097, 0.3111, 0.0195)), (b"gXYZ", (0.2053, 0.6257, 0.0609))):
        at = int.from_bytes(profile[tags[name] + 4 : tags[name] + 8], "big") + 8
        profile[at : at + 12] = b"".join(round(value * 65536).to_bytes(4, "big") for value in xyz)
    return bytes(profile)


def test_an_unusable_profile_is_left_out(tmp_path: Path) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[132:] = b"\0" * len(profile[132:])
    content = io.BytesIO()
    Image.new("RGB", (8, 8), BLUE).save(content, "PNG", icc_profile=bytes(profile))
    assert near(screen_picture(read_photo(content.getvalue()), 10), BLUE, 1)


def test_transparency_is_kept(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGBA", (8, 8), (10, 20, 30, 128)).save(content, "PNG")
    assert screen_picture(read_photo(content.getvalue()), 10).getpixel((4, 4)) == (10, 20, 30, 128)


def test_a_photo_that_is_gone_or_replaced_says_so(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    names = ("kept.png", "moved.png", "replaced.png", "lost.png")
    record(
        out,
        *(photo(folder, out, name, plain(RED), plain((i, 20, 220))) for i, name in enumerate(names)),
    )
    (folder / "moved.png").unlink()
    Image.fromarray(plain(BLUE)).save(folder / "replaced.png")
    (out / "lost.png").unlink()
    found = rows(write_gallery(out))
    assert [found[name]["before"] for name in names] == [True, False, False, False]
    assert [bool(found[name]["size"]) for name in names] == [True, True, True, False]
    assert "there is no such file" in found["moved.png"]["notes"][0]
    assert "has changed since the batch" in found["replaced.png"]["notes"][0]
    assert str(out / "lost.png") in found["lost.png"]["notes"][0]
    Image.fromarray(plain(RED)).save(folder / "replaced.png")
    assert rows(write_gallery(out))["replaced.png"]["before"]  # it is there again


def test_only_the_last_line_of_an_input_counts(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    record(out, failed("a.png", "cannot use it"), photo(folder, out, "b.png", plain(RED), plain(BLUE)))
    assert rows(write_gallery(out))["a.png"]["status"] == "failed"
    record(out, photo(folder, out, "a.png", plain(BLUE), plain(RED)))
    page = write_gallery(out)
    assert rows(page)["a.png"]["status"] == "done"
    assert "1 failed" not in page.read_text()


def test_renewing_makes_only_what_is_new_and_removes_what_is_not_shown(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    record(out, photo(folder, out, "a.png", plain(RED), plain(BLUE)))
    first = rows(write_gallery(out))["a.png"]
    kept = out / REPORT / "pictures" / first["key"]
    stamp = (kept / "after.webp").stat().st_mtime_ns
    record(out, photo(folder, out, "b.png", plain(BLUE), plain(RED)))
    found = rows(write_gallery(out))
    assert found["a.png"]["key"] == first["key"]
    assert (kept / "after.webp").stat().st_mtime_ns == stamp
    record(out, photo(folder, out, "a.png", plain(RED), plain(RED)))
    found = rows(write_gallery(out))
    assert found["a.png"]["change"] == 0
    assert not kept.exists()
    (out / REPORT / "pictures" / found["a.png"]["key"] / "facts.json").write_text("{")  # as if it was killed
    assert rows(write_gallery(out)) == found


@pytest.mark.slow
def test_the_blur_radius_is_shown_where_maps_were_made(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    entries = [photo(folder, out, f"{i}.png", plain(RED), textured(48, 64, i)) for i in range(4)]
    drawing, arrays = out / "0_blur_radius.png", out / "1_maps.npz"
    Image.fromarray(plain(BLUE, 300, 700)).save(drawing)
    radius = np.linspace(1, 9, 48 * 64, dtype=np.float32).reshape(48, 64)
    np.savez(arrays, blur_radius=radius, level_shares=np.full((4, 6, 8), 0.25, np.float32))
    (out / "2_maps.npz").write_bytes(b"broken")
    made = [{drawing.name: drawing}, {arrays.name: arrays}, {"2_maps.npz": out / "2_maps.npz"}, {}]
    record(
        out,
        *(
            done(out, entry.input, folder / entry.input, {entry.input: out / entry.input, **more})
            for entry, more in zip(entries, made, strict=True)
        ),
    )
    found = rows(write_gallery(out))
    assert found["0.png"]["radius"] == [700, 300]
    assert near(picture(out, found["0.png"], "radius"), BLUE)
    drawn = picture(out, found["1.png"], "radius")
    assert found["1.png"]["radius"] == list(drawn.size)
    assert min(drawn.size) > 400
    assert found["2.png"]["radius"] is found["3.png"]["radius"] is None
    assert found["2.png"]["before"]


def test_without_a_manifest_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no manifest"):
        write_gallery(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 #1?.png")
    out = tmp_path / "out"
    record(out, photo(tmp_path / "in", out, name, plain(RED), plain(BLUE)))
    row = rows(write_gallery(out))[name]
    assert row["files"][0][1] == "../caf%E9%20%231%3F.png"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of some hundred photos, each of its own colour, and one of every kind of trouble."""
    folder = tmp_path_factory.mktemp("gallery")
    out = folder / "out"
    first = photo(folder / "in", out, MARKUP, plain(RED, 200, 300), plain(BLUE, 200, 300))
    record(out, replace(first, warnings=("its name <b>is</b> odd",)))
    for i in range(MANY):
        before = plain((i % 250, 100, 50), 12, 16)
        after = before + np.uint8([0, i // 2, i - i // 2])
        record(out, photo(folder / "in", out, f"series/{i}.png", before, after))
    record(out, failed("broken.jpg", "cannot use 'broken.jpg': it is <i>damaged</i>: copy it again"))
    lost = photo(folder / "in", out, "lost.png", plain(RED), plain(BLUE))
    (folder / "in/lost.png").unlink()
    record(out, lost)
    return write_gallery(out)


@pytest.fixture(scope="module")
def opened(gallery: Path) -> Iterator[Any]:
    """A browser with the gallery open; the last test reads its logs, after all the others."""
    with browser_on(gallery) as browser:
        yield browser


def wait(browser: Any, script: str, *arguments: Any) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60, poll_frequency=0.05).until(
        lambda browser: browser.execute_script(f"return {script}", *arguments)
    )


def names(browser: Any) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('.card .name')].map(name => name.textContent)"
    )
    return found


def choose(browser: Any, control: str, text: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", control)).select_by_visible_text(text)


def in_place(browser: Any) -> Any:
    return browser.switch_to.active_element


def edge(stage: Any) -> float:
    """Where red ends and blue begins in a screenshot of the stage, as a share of its width."""
    pixels = np.asarray(Image.open(io.BytesIO(stage.screenshot_as_png)).convert("RGB")).astype(int)
    row = pixels[round(0.8 * len(pixels))]
    red, blue = (np.abs(row - colour).max(axis=1) < 40 for colour in (RED, BLUE))
    assert red.sum() + blue.sum() >= len(row) - 8
    return float(red.sum() / len(row))


@pytest.mark.browser
def test_pictures_are_loaded_as_one_scrolls(opened: Any) -> None:
    def thumbnails() -> set[str]:
        asked = [address for address in requested(opened) if address.endswith("thumbnail.webp")]
        assert len(asked) == len(set(asked))
        return set(asked)

    wait(opened, "[...document.querySelectorAll('.thumbnail')].some(image => image.naturalWidth)")
    width, height = opened.find_element("css selector", "img.thumbnail").size.values()
    assert {round(width / height, 1), round(height / width, 1)} == {1.3, 0.8}  # all alike, 4 : 3
    loaded = thumbnails()
    assert 5 < len(loaded) < MANY / 2
    assert len(names(opened)) < MANY
    assert opened.find_element("id", "count").text == f"{MANY + 3} of {MANY + 3} photos"
    assert opened.execute_script("return document.querySelector('.slider img').hasAttribute('src')") is False
    for _ in range(200):
        opened.execute_script("window.scrollBy({top: 600, behavior: 'instant'})")
        wait(
            opened,
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))",
        )
        loaded |= thumbnails()
        if len(loaded) == MANY + 2:
            break
    assert len(loaded) == MANY + 2  # all but the broken one's
    assert len(names(opened)) == MANY + 3
    opened.execute_script("window.scrollTo({top: 0, behavior: 'instant'})")


@pytest.mark.browser
def test_choosing_and_ordering(opened: Any) -> None:
    choices = [option.text for option in opened.find_elements("css selector", "#status option")]
    assert choices == ["all", "deblurred", "failed", "with warnings", "without pictures"]
    choose(opened, "status", "failed")
    assert names(opened) == ["broken.jpg"]
    missing = opened.find_element("css selector", ".card .missing")
    assert missing.text == "cannot use 'broken.jpg': it is <i>damaged</i>: copy it again"
    choose(opened, "status", "with warnings")
    assert names(opened) == [MARKUP]
    choose(opened, "status", "without pictures")
    assert names(opened) == ["lost.png"]
    choose(opened, "status", "all")
    choose(opened, "order", "largest change")
    assert names(opened)[:3] == [MARKUP, "series/299.png", "series/298.png"]
    choose(opened, "order", "smallest change")
    assert names(opened)[0] == "series/0.png"
    choose(opened, "order", "name")
    assert [name for name in names(opened) if "/" in name][:3] == [
        "series/0.png",
        "series/1.png",
        "series/2.png",
    ]
    field = opened.find_element("id", "filter")
    field.send_keys("ERIES 29")
    assert names(opened) == [f"series/{i}.png" for i in (29, 129, 229, *range(290, 300))]
    assert opened.find_element("id", "count").text == f"13 of {MANY + 3} photos"
    field.clear()
    field.send_keys(" ")


@pytest.mark.browser
def test_before_and_after_with_the_divider(opened: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    choose(opened, "status", "with warnings")
    card = opened.find_element("css selector", ".card")
    assert card.get_attribute("aria-label") == f"{MARKUP}, changed by 133.33, 1 warning"
    assert card.find_element("tag name", "img").get_attribute("alt") == f"{MARKUP}, deblurred"
    card.click()
    stage = opened.find_element("css selector", "#viewer .slider")
    wait(opened, "[...document.querySelectorAll('.slider img')].every(i => i.complete && i.naturalWidth)")
    assert opened.find_element("id", "viewer-name").text == MARKUP
    assert edge(stage) == pytest.approx(0.5, abs=0.01)
    divider = stage.find_element("css selector", "input")
    actions = ActionChains(opened).move_to_element(divider).click_and_hold()
    actions.move_by_offset(round(-0.3 * stage.size["width"]), 0).release().perform()
    assert edge(stage) == pytest.approx(0.2, abs=0.01)
    divider.send_keys(Keys.END)
    assert edge(stage) > 0.99
    alts = [image.get_attribute("alt") for image in stage.find_elements("css selector", "img")]
    assert alts == [f"{MARKUP} after deblurring", f"{MARKUP} before deblurring"]
    assert [line.text for line in opened.find_elements("css selector", "#warnings li")] == [
        "its name <b>is</b> odd"
    ]
    told = opened.find_element("id", "facts").text
    assert "bundled · bundled · sha256:12c5" in told
    assert "133.333 grey levels" in told
    assert opened.find_element("css selector", "#facts a").get_attribute("href").startswith("file:")
    in_place(opened).send_keys(Keys.ESCAPE)
    assert not opened.find_element("id", "viewer").is_displayed()
    choose(opened, "status", "all")


@pytest.mark.browser
def test_all_of_it_with_the_keyboard(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    field = opened.find_element("id", "filter")
    field.send_keys("series")
    field.send_keys(Keys.TAB, Keys.NULL)
    opened.find_element("id", "order").send_keys(Keys.TAB)
    assert in_place(opened).get_attribute("aria-label").startswith("series/0.png")
    in_place(opened).send_keys(Keys.ARROW_RIGHT)
    in_place(opened).send_keys(Keys.ARROW_DOWN)
    columns = opened.execute_script(
        "return getComputedStyle(document.getElementById('photos')).gridTemplateColumns.split(' ').length"
    )
    assert in_place(opened).get_attribute("aria-label").startswith(f"series/{1 + columns}.png")
    in_place(opened).send_keys(Keys.ENTER)
    name = opened.find_element("id", "viewer-name")
    assert name.text == f"series/{1 + columns}.png"
    assert in_place(opened).get_attribute("type") == "range"
    before = float(in_place(opened).get_property("value"))
    in_place(opened).send_keys(Keys.ARROW_LEFT)
    assert float(in_place(opened).get_property("value")) < before
    in_place(opened).send_keys("n")
    assert name.text == f"series/{2 + columns}.png"
    assert float(in_place(opened).get_property("value")) == 50
    in_place(opened).send_keys("pp")
    assert name.text == f"series/{columns}.png"
    opened.find_element("id", "close").send_keys(Keys.ARROW_RIGHT)
    assert name.text == f"series/{1 + columns}.png"
    in_place(opened).send_keys(Keys.ESCAPE)
    assert in_place(opened).get_attribute("aria-label").startswith(f"series/{1 + columns}.png")
    field.clear()
    field.send_keys(" ")


@pytest.mark.browser
def test_what_cannot_be_compared_is_shown_as_far_as_it_is_there(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    choose(opened, "status", "without pictures")
    opened.find_element("css selector", ".card").click()
    single = opened.find_element("id", "single")
    wait(opened, "document.getElementById('single').naturalWidth")
    assert single.get_attribute("alt") == "lost.png after deblurring"
    assert not opened.find_element("css selector", "#viewer .slider").is_displayed()
    assert "there is no such file" in opened.find_element("id", "warnings").text
    in_place(opened).send_keys(Keys.ESCAPE)
    choose(opened, "status", "failed")
    opened.find_element("css selector", ".card").click()
    assert opened.find_element("id", "error").text.startswith("cannot use 'broken.jpg': it is <i>damaged</i>")
    assert not single.is_displayed()
    in_place(opened).send_keys(Keys.ESCAPE)
    choose(opened, "status", "all")


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_its_window(opened: Any, width: int) -> None:
    assert_fits(opened, width)


@pytest.mark.browser
def test_nothing_was_asked_of_others_and_nothing_went_wrong(opened: Any, gallery: Path) -> None:
    assert opened.get_log("browser") == []
    opened.refresh()
    wait(opened, "[...document.querySelectorAll('.thumbnail')].some(image => image.naturalWidth)")
    addresses = [one for one in requested(opened) if not one.startswith(("data:", "chrome:"))]
    assert addresses
    assert all(address.startswith(gallery.parent.as_uri()) for address in addresses)
    assert opened.get_log("browser") == []
