"""Classical sharpening: each method undoes what it is meant for."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from defocusctl.cli.eval_options import Baseline
from defocusctl.evaluation.methods import CLASSICAL, disc
from tests.cli.command import textured


def sharp() -> NDArray[np.float32]:
    return cv2.GaussianBlur(textured(72, 80).astype(np.float32) / 255, (0, 0), 1.0)


def error(image: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    return float(np.mean((np.clip(image, 0, 1) - reference) ** 2))


def test_the_command_line_names_them_all() -> None:
    assert {baseline.value for baseline in Baseline} == set(CLASSICAL)


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0, 3.7])
def test_a_disc_has_the_area_of_its_radius(radius: float) -> None:
    kernel = disc(radius)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    if radius >= 1:
        assert 1 / kernel.max() == pytest.approx(np.pi * radius**2, rel=0.12)


@pytest.mark.parametrize("name", sorted(CLASSICAL))
def test_a_disc_blur_is_reduced(name: str) -> None:
    reference = sharp()
    blurred = cv2.filter2D(reference, -1, disc(2.0), borderType=cv2.BORDER_REFLECT)
    restored = CLASSICAL[name](blurred, 2.0)
    assert restored.shape == blurred.shape
    assert restored.dtype == np.float32
    assert error(restored, reference) < 0.8 * error(blurred, reference)
    flat = np.full((40, 48, 3), 0.4, dtype=np.float32)
    np.testing.assert_allclose(CLASSICAL[name](flat, 2.0), flat, atol=0.01)
