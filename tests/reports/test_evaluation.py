"""The HTML report: what it says, that it is safe and complete in itself, and that it works in a browser."""

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from defocusctl.evaluation.results import Comparison, Evaluation, Interval, Method, PublishedRow, Row
from defocusctl.reports.evaluation import distribution, write_report
from defocusctl.reports.evaluation_pictures import ReportPicture, choose_pictures
from tests.browser import assert_silent, browser_on, column, press, touch

MARKUP = "<img src=x onerror=\"alert(1)\"> & 'it'.png"
IMAGES = ("img2.png", "img10.png", "img1.png", MARKUP)
INPUT = Method("input", "input")
NETWORK = Method(
    "iniknet", "model", "iniknet", "bundled", "bundled", "sha256:12c5", "cpu", "float32", 991_234, 181_234.0
)
GAINS = dict(zip(IMAGES, (0.5, -1.25, 2.0, inf), strict=True))
BEFORE = dict(zip(IMAGES, (9.5, 20.25, 30.0, 25.0), strict=True))
BEFORE_MEAN = (9.5 + 20.25 + 30.0) / 3  # of those with a finite gain
RED, BLUE, GREEN = (220, 20, 20), (20, 20, 220), (20, 200, 20)


def rows(protocol: str, shift: float = 0.0) -> list[Row]:
    """Both methods on all images; ``shift`` moves every PSNR."""
    before = [
        Row(image, "input", protocol, psnr + shift, 0.6, 0.05, nan, nan, 0.5)
        for image, psnr in BEFORE.items()
    ]
    after = [
        Row(image, "iniknet", protocol, BEFORE[image] + shift + gain, 0.7, 0.04, nan, 1.0, 0.5)
        for image, gain in GAINS.items()
    ]
    return before + after


EVALUATION = Evaluation(
    dataset="realdof",
    title="RealDOF </title><script>alert(2)</script>",
    images=IMAGES,
    methods=(INPUT, NETWORK),
    protocols=("iniknet", "nrknet"),
    rows=(*rows("iniknet"), *rows("nrknet", shift=1.0)),
    comparisons=(
        Comparison("iniknet", "input", "iniknet", "psnr", Interval(0.417, -1.25, 2.0)),
        Comparison("iniknet", "input", "iniknet", "mae", Interval(-0.01, -0.02, -0.005)),
    ),
    published=(PublishedRow("INIKNet", "DPDD", "Table 1 <b>", "iniknet", psnr=25.231, ssim=0.765),),
    problems=("'a<b>.png' cannot be read",),
    lpips_variant=None,
    versions=(("defocusctl", "1.2.3"),),
)


def plain_picture(colour: tuple[int, int, int], size: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.broadcast_to(np.array(colour, np.uint8), (*size, 3)).copy()


def picture(size: tuple[int, int] = (200, 300), **changes: Any) -> ReportPicture:
    """Red before, blue after, green as it should be."""
    made = {
        name: plain_picture(colour, size)
        for name, colour in (("before", RED), ("after", BLUE), ("reference", GREEN))
    }
    return ReportPicture.of(MARKUP, "iniknet", **{"rank": "best", "gain": 2.0, **made, **changes})


def written(tmp_path: Path, evaluation: Evaluation = EVALUATION, *pictures: ReportPicture) -> str:
    path = tmp_path / "report.html"
    write_report(path, evaluation, pictures)
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Tags with their attributes, and the text by table row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self.lines.append("")  # for what follows the row

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.lines and data.strip():
            self.lines[-1] += f" {data.strip()}"


def test_best_median_and_worst_are_chosen_by_gain() -> None:
    assert choose_pictures(EVALUATION, "iniknet", "iniknet") == [
        ("best", MARKUP),
        ("median", "img2.png"),  # the lower of the two in the middle
        ("worst", "img10.png"),
    ]
    fewer = replace(EVALUATION, rows=tuple(row for row in EVALUATION.rows if row.image in IMAGES[:2]))
    assert choose_pictures(fewer, "iniknet", "iniknet") == [("best", "img2.png"), ("worst", "img10.png")]
    only = replace(EVALUATION, rows=tuple(row for row in EVALUATION.rows if row.image == "img1.png"))
    assert choose_pictures(only, "iniknet", "iniknet") == [("best", "img1.png")]
    assert choose_pictures(EVALUATION, "absent", "iniknet") == []


def test_images_without_a_gain_are_not_ranked() -> None:
    equal = [row._replace(psnr=inf) if row.image == "img10.png" else row for row in EVALUATION.rows]
    chosen = choose_pictures(replace(EVALUATION, rows=tuple(equal)), "iniknet", "iniknet")
    assert chosen == [("best", MARKUP), ("median", "img1.png"), ("worst", "img2.png")]
    unknown = tuple(row._replace(psnr=nan) for row in EVALUATION.rows)
    chosen = choose_pictures(replace(EVALUATION, rows=unknown), "iniknet", "iniknet")
    assert chosen == [("example", "img2.png"), ("example", "img1.png"), ("example", MARKUP)]


def test_the_page_is_complete_in_itself(tmp_path: Path) -> None:
    text = written(tmp_path, EVALUATION, picture())
    page = Page(text)
    addresses = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert len(addresses) > 6
    assert all(value and value.startswith(("data:", "#")) for value in addresses)
    assert not re.search(r"@import|url\(|https?:", text)
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    undecodable = os.fsdecode(b"caf\xe9.png")
    renamed = tuple(
        row._replace(image=undecodable) if row.image == "img1.png" else row for row in rows("iniknet")
    )
    text = written(tmp_path, replace(EVALUATION, rows=renamed), picture())
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert any(attributes.get("alt") == f"{MARKUP} before" for _, attributes in page.tags)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    assert data["images"] == ["img2.png", "img10.png", undecodable, MARKUP]


def test_the_summary_marks_the_best_and_what_is_published(tmp_path: Path) -> None:
    text = written(
        tmp_path, replace(EVALUATION, rows=tuple(row for row in EVALUATION.rows if row.image != MARKUP))
    )
    lines = Page(text).lines
    mean, published = BEFORE_MEAN + 1.25 / 3, 25.231
    assert f" iniknet {mean:.3f} 0.7000 0.0400 +0.42 [−1.25, +2.00] 3" in lines
    ours = f"iniknet −{published - mean:.3f}"
    assert any(
        line.startswith(
            f" INIKNet published trained on DPDD; Table 1 <b>, protocol iniknet 25.231 {ours} 0.765"
        )
        for line in lines
    )
    assert " iniknet input MAE −0.0100 [−0.0200, −0.0050] better" in lines
    assert " iniknet input PSNR (dB) +0.417 [−1.250, +2.000] not separated" in lines
    assert f'<td class="number best">{mean:.3f}</td>' in text
    assert f'<td class="number">{BEFORE_MEAN:.3f}</td>' in text
    assert any("sha256:12c5" in line and "991,234 181,234 2.00" in line for line in lines)


def test_data_without_a_reference(tmp_path: Path) -> None:
    unscored = tuple(row._replace(psnr=nan, ssim=nan, mae=nan) for row in EVALUATION.rows)
    bare = replace(EVALUATION, rows=unscored, comparisons=(), published=(), problems=())
    page = Page(written(tmp_path, bare, picture(reference=None, gain=nan, rank="example")))
    assert not any(tag == "svg" for tag, _ in page.tags)
    assert "PSNR" not in "".join(page.lines)
    assert [attributes["class"] for tag, attributes in page.tags if tag == "article"] == ["picture alone"]


def test_large_pictures_are_scaled_down_and_say_so(tmp_path: Path) -> None:
    page = Page(written(tmp_path, EVALUATION, picture(size=(10, 1700))))
    assert "Scaled down from 1700 × 10 to 1600 × 9 pixels for this page." in page.words
    sizes = {
        Image.open(io.BytesIO(_content(attributes["src"]))).size
        for tag, attributes in page.tags
        if tag == "img" and attributes.get("class") in ("before", "after")
    }
    assert sizes == {(1600, 9)}
    assert "error in grey levels of 255, means of 2 × 2 pixels" in page.words


def test_error_maps_share_one_scale(tmp_path: Path) -> None:
    reference = np.zeros((20, 30, 3), np.uint8)
    before, after = reference + 100, reference + 50
    page = Page(written(tmp_path, EVALUATION, picture(before=before, after=after, reference=reference)))
    maps = {
        attributes["alt"]: np.asarray(Image.open(io.BytesIO(_content(attributes["src"]))))
        for tag, attributes in page.tags
        if tag == "img" and "error" in str(attributes["alt"])
    }
    assert np.all(maps[f"{MARKUP}, error before"] == 255)
    assert np.all(maps[f"{MARKUP}, error after"] == 128)
    assert [word for word in page.words if word in ("0", "50", "100")] == ["0", "50", "100"]


def _content(address: str | None) -> bytes:
    assert address is not None
    return base64.b64decode(address.partition(",")[2])


def test_the_gains_are_drawn_one_dot_each() -> None:
    (strip,) = distribution(EVALUATION, "iniknet")
    assert strip.label == "iniknet"
    assert strip.note == "median +0.50 dB, 2 of 3 better; 1 not drawn: infinite gain"
    (dots,) = re.findall(r'<path id="(m\w+)"[^>]*accent', strip.svg) or re.findall(
        r'<path id="(m\w+)"', strip.svg
    )
    assert strip.svg.count(f'"#{dots}"') == 3
    assert ">+0<" in strip.svg


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with the report open in it; the last test reads its logs, after all the others."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, EVALUATION, [picture()])
    with browser_on(path) as browser:
        yield browser


def choose(browser: Any, control: str, text: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", control)).select_by_visible_text(text)


def heads(browser: Any) -> dict[str, Any]:
    return {head.text.split(" (")[0]: head for head in browser.find_elements("css selector", "#rows th")}


@pytest.mark.browser
def test_sorting_both_ways_on_numbers_and_text(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    choose(opened, "method", "iniknet")
    assert column(opened, 0) == list(IMAGES)
    found = heads(opened)
    assert list(found) == ["Image", "Method", "PSNR", "SSIM", "MAE", "Gain", "Seconds", "Megapixels"]
    assert found["Gain"].get_attribute("aria-sort") == "none"
    press(opened, found["Gain"].find_element("tag name", "button"))
    assert column(opened, 5) == ["−1.250", "+0.500", "+2.000", "+∞"]
    assert column(opened, 0) == ["img10.png", "img2.png", "img1.png", MARKUP]
    assert found["Gain"].get_attribute("aria-sort") == "ascending"
    found["Gain"].find_element("tag name", "button").send_keys(Keys.ENTER)
    assert column(opened, 5) == ["+∞", "+2.000", "+0.500", "−1.250"]
    assert found["Gain"].get_attribute("aria-sort") == "descending"
    press(opened, found["PSNR"].find_element("tag name", "button"))
    assert column(opened, 2) == ["10.000", "19.000", "32.000", "∞"]  # not as text
    assert found["Gain"].get_attribute("aria-sort") == "none"
    press(opened, found["Image"].find_element("tag name", "button"))
    assert column(opened, 0) == [MARKUP, "img1.png", "img2.png", "img10.png"]
    press(opened, found["Image"].find_element("tag name", "button"))
    assert column(opened, 0) == ["img10.png", "img2.png", "img1.png", MARKUP]


@pytest.mark.browser
def test_what_is_missing_is_sorted_last_either_way(opened: Any) -> None:
    choose(opened, "method", "all")
    button = heads(opened)["Seconds"].find_element("tag name", "button")
    for _ in range(2):
        press(opened, button)
        assert column(opened, 6) == ["1.00"] * 4 + ["–"] * 4


@pytest.mark.browser
def test_filter_and_choices(opened: Any) -> None:
    choose(opened, "method", "all")
    field = opened.find_element("id", "filter")
    field.send_keys("IMG1")
    assert set(column(opened, 0)) == {"img10.png", "img1.png"}
    assert opened.find_element("id", "count").text == "4 of 8 rows"
    field.clear()
    field.send_keys('<img "alert')
    assert set(column(opened, 0)) == {MARKUP}
    field.clear()
    field.send_keys("img2")
    choose(opened, "method", "input")
    choose(opened, "protocol", "nrknet")
    assert column(opened, 2) == ["10.500"]
    choose(opened, "protocol", "iniknet")
    assert column(opened, 2) == ["9.500"]
    field.clear()
    field.send_keys(" ")
    assert len(column(opened, 0)) == 4


@pytest.mark.browser
def test_the_divider_uncovers_the_other_picture(opened: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    stage = opened.find_element("css selector", ".slider")
    divider = stage.find_element("css selector", "input")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", stage)
    assert edge(stage) == pytest.approx(0.5, abs=0.01)
    width = stage.size["width"]
    actions = ActionChains(opened).move_to_element(divider).click_and_hold()
    actions.move_by_offset(round(-0.3 * width), 0).release().perform()
    assert edge(stage) == pytest.approx(0.2, abs=0.01)
    assert "inset" in stage.find_element("css selector", ".before").value_of_css_property("clip-path")
    before = edge(stage)
    divider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert edge(stage) > before
    divider.send_keys(Keys.END)
    assert edge(stage) > 0.99
    divider.send_keys(Keys.HOME)
    assert edge(stage) < 0.01
    touch(opened, stage, 0.7)
    assert edge(stage) == pytest.approx(0.7, abs=0.02)


def edge(stage: Any) -> float:
    """Where red ends and blue begins in a screenshot of the stage, as a share of its width."""
    pixels = np.asarray(Image.open(io.BytesIO(stage.screenshot_as_png)).convert("RGB")).astype(int)
    row = pixels[round(0.8 * len(pixels))]  # below the tags and the grip
    red, blue = (np.abs(row - colour).max(axis=1) < 40 for colour in (RED, BLUE))
    assert red.sum() + blue.sum() >= len(row) - 8  # the rest is the line and the page's round corners
    return float(red.sum() / len(row))


@pytest.mark.browser
def test_names_with_markup_are_shown_literally(opened: Any) -> None:
    assert opened.find_element("css selector", ".picture .name").text == MARKUP
    assert opened.find_element("css selector", ".problems li").text == "'a<b>.png' cannot be read"
    assert opened.find_element("tag name", "h1").text == EVALUATION.title
    assert MARKUP in column(opened, 0)
    assert opened.find_elements("css selector", "[onerror]") == []


@pytest.mark.browser
def test_thousands_of_rows_appear_as_one_scrolls(opened: Any, tmp_path: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    many = tuple(
        Row(f"{i:04}.png", "input", "iniknet", 20.0 + i / 100, 0.5, 0.1, nan, nan, 0.5) for i in range(2000)
    )
    large = replace(EVALUATION, methods=(INPUT,), protocols=("iniknet",), rows=many)
    write_report(tmp_path / "large.html", large, ())
    here = opened.current_url
    opened.get((tmp_path / "large.html").as_uri())
    assert 100 < len(column(opened, 0)) < 1000

    def at_the_end(browser: Any) -> bool:
        browser.execute_script("document.querySelector('.tall').scrollTop = 1e9")
        return len(column(browser, 0)) == len(many)

    WebDriverWait(opened, 120, poll_frequency=0.05).until(at_the_end)
    assert column(opened, 0) == [row.image for row in many]
    assert [control.is_displayed() for control in opened.find_elements("css selector", "select")] == [
        False
    ] * 2
    opened.get(here)


@pytest.mark.browser
def test_nothing_was_asked_for_and_nothing_went_wrong(opened: Any) -> None:
    assert_silent(opened)
