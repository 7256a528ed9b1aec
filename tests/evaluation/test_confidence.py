"""Bootstrap intervals of paired differences."""

from math import inf, isnan, nan

import numpy as np
import pytest

from defocusctl.evaluation.results import Method, Row, compare, interval


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        found = interval(list(random.normal(0.5, 1.0, 40)))
        assert found.low < found.mean < found.high
        covered += found.low <= 0.5 <= found.high
    assert covered >= 51


def test_few_values_have_no_interval() -> None:
    assert isnan(interval([]).mean)
    single = interval([1.5])
    assert single.mean == 1.5
    assert isnan(single.low)


def row(image: str, method: str, psnr: float) -> Row:
    return Row(image, method, "iniknet", psnr, 0.5, 0.1, nan, 1.0, 0.1)


def test_methods_are_compared_on_the_images_both_have() -> None:
    rows = [
        row("a", "input", 20.0), row("a", "m/one", 21.0), row("a", "m/two", 23.0),
        row("b", "input", inf), row("b", "m/one", 30.0), row("b", "m/two", 32.0),
        row("c", "input", 24.0), row("c", "m/one", 27.0), row("c", "m/two", 25.0),
    ]  # fmt: skip
    methods = [Method("input", "input"), Method("m/one", "model"), Method("m/two", "model")]
    found = {
        (comparison.method, comparison.against): comparison.difference
        for comparison in compare(rows, methods, ["iniknet"])
        if comparison.metric == "psnr"
    }
    assert found["m/one", "input"].mean == pytest.approx(2.0)
    assert found["m/two", "input"].mean == pytest.approx(2.0)
    assert found["m/two", "m/one"].mean == pytest.approx(2 / 3)
    assert len(found) == 3
    lpips = [c for c in compare(rows, methods, ["iniknet"]) if c.metric == "lpips"]
    assert all(isnan(comparison.difference.mean) for comparison in lpips)
