"""Uncommon reports in a browser: one image, no references, several networks with long names."""

from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from defocusctl.evaluation.results import Comparison, Evaluation, Interval, Method, PublishedRow, Row
from defocusctl.reports.evaluation import write_report
from defocusctl.reports.evaluation_pictures import ReportPicture
from tests.browser import assert_fits, assert_silent, browser_on, column, open_file, press, touch

pytestmark = pytest.mark.browser

LONG = "runs/2024-08-17_a-very-long-name-of-an-experiment_with_every_parameter_in_it/weights.safetensors"
INPUT = Method("input", "input")
NETWORKS = tuple(
    Method(f"{model}/{source}", "model", model, "file", source, "sha256:12c5", "cpu", "bf16", 9, 9.0)
    for model, source in (("iniknet", LONG), ("nrknet", LONG), ("nrknet", "bundled"))
)  # fmt: skip
PAGE_WIDTHS = (400, 1100)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("empty") / "empty.html"
    path.write_text("<!DOCTYPE html><title>nothing yet</title><link rel=icon href=data:,>")
    with browser_on(path) as browser:
        yield browser


def evaluation(images: tuple[str, ...], methods: tuple[Method, ...], **changes: Any) -> Evaluation:
    """Every method on every image; each is half a dB better than the one before."""
    rows = tuple(
        Row(image, method.label, "iniknet", 25 + 0.5 * place, 0.8, 0.02, nan, 1.5, 0.5)
        for image in images
        for place, method in enumerate(methods)
    )
    made = Evaluation(
        dataset="pairs",
        title="pairs of photos",
        images=images,
        methods=methods,
        protocols=("iniknet",),
        rows=rows,
        comparisons=(),
        published=(),
        problems=(),
        lpips_variant=None,
        versions=(("defocusctl", "1.2.3"),),
    )
    return replace(made, **changes)


def picture(image: str, method: str, **changes: Any) -> ReportPicture:
    made = {
        name: np.full((60, 90, 3), value, np.uint8)
        for name, value in (("before", 80), ("after", 120), ("reference", 160))
    }
    return ReportPicture.of(image, method, **{"rank": "best", "gain": 0.5, **made, **changes})


def shown(browser: Any, path: Path, evaluation: Evaluation, *pictures: ReportPicture) -> None:
    """Open the report, and see that it fits narrow and wide windows."""
    from selenium.webdriver.support.wait import WebDriverWait

    write_report(path, evaluation, pictures)
    open_file(browser, path)
    usual = browser.execute_script("return innerWidth")
    for width in PAGE_WIDTHS:
        assert_fits(browser, width)
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth)")
    WebDriverWait(browser, 60).until(lambda browser: browser.execute_script("return innerWidth") == usual)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def split(stage: Any) -> float:
    """Where the divider is, as a share."""
    style = stage.get_attribute("style")
    return float(style.split("--split:")[1].split("%")[0]) / 100


def use_slider(browser: Any, stage: Any) -> None:
    """By mouse, keys and touch."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", stage)
    divider = stage.find_element("css selector", "input")
    offset = round(-0.3 * stage.size["width"])
    ActionChains(browser).move_to_element(divider).click_and_hold().move_by_offset(
        offset, 0
    ).release().perform()
    assert split(stage) == pytest.approx(0.2, abs=0.03)
    divider.send_keys(Keys.END)
    assert split(stage) == 1
    divider.send_keys(Keys.ARROW_LEFT)
    assert 0.9 < split(stage) < 1
    touch(browser, stage, 0.7)
    assert split(stage) == pytest.approx(0.7, abs=0.03)


def sort_by(browser: Any, title: str) -> None:
    heads = browser.find_elements("css selector", "#rows th button")
    press(browser, next(head for head in heads if head.text.startswith(title)))


def test_a_single_image(browser: Any, tmp_path: Path) -> None:
    network = NETWORKS[2]
    single = Comparison(network.label, "input", "iniknet", "psnr", Interval(0.5, nan, nan))
    one = evaluation(("only",), (INPUT, network), comparisons=(single,))
    shown(browser, tmp_path / "one.html", one, picture("only", network.label))
    assert len(browser.find_elements("css selector", ".picture")) == 1
    use_slider(browser, browser.find_element("css selector", ".slider"))
    sort_by(browser, "PSNR")
    assert column(browser, 2) == ["25.000", "25.500"]
    sort_by(browser, "PSNR")
    assert column(browser, 2) == ["25.500", "25.000"]
    assert_silent(browser)


def test_photos_without_references(browser: Any, tmp_path: Path) -> None:
    names = ("out_of_focus0001", "out_of_focus0002", "out_of_focus0010")
    methods = (INPUT, NETWORKS[2])
    bare = evaluation(names, methods)
    bare = replace(bare, rows=tuple(row._replace(psnr=nan, ssim=nan, mae=nan) for row in bare.rows))
    pictures = [picture(name, NETWORKS[2].label, rank="example", gain=nan, reference=None) for name in names]
    shown(browser, tmp_path / "photos.html", bare, *pictures)
    assert browser.find_elements("css selector", ".aside") == []
    assert [head.text for head in browser.find_elements("css selector", "table.summary th[scope=col]")] == [
        "Method",
        "Images",
    ]
    for stage in browser.find_elements("css selector", ".slider"):
        use_slider(browser, stage)
    sort_by(browser, "Image")
    sort_by(browser, "Image")
    assert column(browser, 0) == [name for name in reversed(names) for _ in methods]
    assert_silent(browser)


def test_three_networks_with_long_names_and_labels(browser: Any, tmp_path: Path) -> None:
    names = tuple(f"IMG_{place:04}_{'x' * 60}" for place in range(4))
    many = evaluation(
        names,
        (INPUT, *NETWORKS),
        published=(PublishedRow("NRKNet", "DPDD", "a paper", "nrknet", psnr=26.0, ssim=0.8),),
        problems=(f"{'y' * 200}.png: cannot be read",),
    )
    labels = dict(zip(names, ("indoor", "outdoor", "indoor", "outdoor"), strict=True))
    many = replace(many, rows=tuple(row._replace(labels=(labels[row.image],)) for row in many.rows))
    pictures = [picture(name, method.label) for method in NETWORKS for name in names[:3]]
    shown(browser, tmp_path / "many.html", many, *pictures)
    assert [group.text for group in browser.find_elements("css selector", "tr.group")] == [
        "indoor",
        "outdoor",
    ]
    differences = browser.find_elements("css selector", ".published .difference")
    assert [part.text for part in differences[:2]] == [f"nrknet/{LONG} 0.000", "nrknet/bundled +0.500"]
    stages = browser.find_elements("css selector", ".slider")
    assert len(stages) == 9
    use_slider(browser, stages[4])
    assert split(stages[0]) == 0.5  # each has its own
    sort_by(browser, "Label")
    assert column(browser, 1) == ["indoor"] * 8 + ["outdoor"] * 8
    browser.find_element("id", "filter").send_keys("outdoor 0003")
    assert column(browser, 0) == [names[3]] * 4
    assert_silent(browser)
