"""The published protocols against scores that other code computed, and what their loaders do to files."""

import json
from dataclasses import replace
from io import BytesIO
from math import inf, isnan
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from defocusctl.errors import DataError
from defocusctl.evaluation.metrics import Lpips, perceptual_distance
from defocusctl.evaluation.protocols import PROTOCOLS, Protocol, Resize
from tests.evaluation.alexnet import recipe_alexnet
from tests.evaluation.images import pair

GOLDEN = json.loads(Path(__file__).with_name("golden_scores.json").read_text())
NAMES = ["nrknet", "iniknet", "restormer", "ifan", "drbnet", "dpdnet", "gkmnet"]


def protocol(name: str) -> Protocol:
    """The protocol; dpdnet's size is a hundredth of its own."""
    return replace(PROTOCOLS[name], sizing=Resize(60, 90)) if name == "dpdnet" else PROTOCOLS[name]


def test_all_are_there_and_tell_themselves_apart() -> None:
    assert list(PROTOCOLS) == NAMES
    assert [each.name for each in PROTOCOLS.values()] == NAMES
    assert len({each.summary for each in PROTOCOLS.values()}) == len(NAMES)
    assert {line.split()[0] for line in GOLDEN} == set(NAMES)


@pytest.mark.parametrize("line", GOLDEN)
def test_scores_are_the_golden_ones(line: str) -> None:
    name, dataset, height, width = line.split()
    restored, reference = pair(int(height), int(width))
    scores = protocol(name).score(restored, reference, dataset, None)
    for metric, expected in GOLDEN[line].items():
        assert getattr(scores, metric) == pytest.approx(expected, rel=0, abs=1e-6), metric
    assert isnan(scores.lpips)


def shown(
    image: np.ndarray, *, bgr: bool = False, low: float = -1.0, clipped: bool = False, rounded: bool = False
) -> np.ndarray:
    """``image`` in the range that LPIPS is to be fed."""
    values = np.clip(image, 0, 1) if clipped else image
    values = np.round(values * 255) / 255 if rounded else values
    values = values * (1 - low) + low
    return (values[:, :, ::-1] if bgr else values).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("nrknet", {"bgr": True, "rounded": True}),
        ("iniknet", {"bgr": True}),
        ("restormer", {"clipped": True}),
        ("ifan", {}),
        ("drbnet", {}),
        ("dpdnet", {}),
        ("gkmnet", {"low": 0.0}),
    ],
)
def test_lpips_is_fed_as_the_protocol_says(name: str, how: dict[str, bool | float]) -> None:
    chosen, lpips = protocol(name), Lpips(recipe_alexnet())
    restored, reference = (chosen.fit(image, "dpdd") for image in pair(64, 96))
    expected = perceptual_distance(lpips, shown(restored, **how), shown(reference, **how))
    found = chosen.score(restored, reference, "dpdd", lpips).lpips
    assert found == pytest.approx(expected, rel=1e-5)
    for key in ("bgr", "clipped", "rounded"):
        wrong = {**how, key: not how.get(key, False)}
        other = perceptual_distance(lpips, shown(restored, **wrong), shown(reference, **wrong))
        assert found != pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "dataset", "size", "expected"),
    [
        ("nrknet", "dpdd", (70, 50), (80, 64)),
        ("nrknet", "rtf", (360, 360), (368, 368)),
        ("iniknet", "dpdd", (70, 50), (64, 32)),
        ("iniknet", "rtf", (70, 50), (64, 48)),
        ("iniknet", "cuhk", (70, 50), (64, 48)),
        ("restormer", "dpdd", (70, 50), (70, 50)),
        ("ifan", "dpdd", (70, 50), (64, 48)),
        ("drbnet", "dpdd", (70, 51), (64, 48)),
        ("dpdnet", "dpdd", (70, 50), (1120, 1680)),
        ("gkmnet", "dpdd", (70, 50), (80, 64)),
    ],
)
def test_sizes(name: str, dataset: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (*size, 3), dtype=np.uint16)
    prepared = PROTOCOLS[name].prepare(pixels, dataset)
    assert prepared.shape == (*expected, 3)
    assert prepared.dtype == (np.uint16 if name == "dpdnet" else np.uint8)
    fitted = PROTOCOLS[name].fit(pixels.astype(np.float32) / 65535, dataset)
    assert fitted.shape == prepared.shape
    assert fitted.dtype == np.float32
    assert np.array_equal(PROTOCOLS[name].fit(fitted, dataset), fitted)
    assert np.abs(fitted - prepared / np.iinfo(prepared.dtype).max).max() < 1 / 255


def test_dpdnet_turns_upright_photos_counter_clockwise() -> None:
    upright = np.zeros((90, 60, 3), np.float32)
    upright[:10, 50:] = 1  # top right
    turned = protocol("dpdnet").fit(upright, "dpdd")
    assert turned.shape == (60, 90, 3)
    assert np.array_equal(turned[:10, :10], np.ones((10, 10, 3)))  # top left
    assert turned.sum() == upright.sum()


def test_padding_is_centred_and_of_the_right_kind() -> None:
    pixels = np.arange(1, 13 * 14 * 3 + 1).reshape(13, 14, 3).astype(np.uint8) | 1
    for name, edge in (("nrknet", pixels[1:2, 1:2]), ("gkmnet", 0)):
        padded = PROTOCOLS[name].prepare(pixels, "dpdd")
        assert np.array_equal(padded[1:14, 1:15], pixels)
        assert np.array_equal(padded[:1, :1], np.broadcast_to(edge, (1, 1, 3)))


def test_the_padding_is_scored_except_in_rtf() -> None:
    restored, reference = pair(360, 360)
    scorer = PROTOCOLS["nrknet"]
    damaged = scorer.fit(restored, "rtf").copy()
    damaged[:4] = damaged[:, 364:] = 0
    clean = scorer.score(restored, reference, "rtf", None)
    assert scorer.score(damaged, reference, "rtf", None) == clean
    assert scorer.score(damaged, reference, "dpdd", None).psnr < clean.psnr - 0.01


def test_the_high_byte_is_what_opencv_and_pillow_read_of_a_16_bit_png() -> None:
    pixels = np.random.default_rng(2).integers(0, 65536, (16, 24, 3), dtype=np.uint16)
    file = cv2.imencode(".png", pixels[:, :, ::-1])[1]
    expected = PROTOCOLS["restormer"].prepare(pixels, "dpdd")
    assert np.array_equal(cv2.imdecode(file, cv2.IMREAD_COLOR)[:, :, ::-1], expected)
    assert np.array_equal(np.asarray(Image.open(BytesIO(file.tobytes())).convert("RGB")), expected)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_equal_to_its_reference_is_perfect(name: str) -> None:
    _, reference = pair(64, 96)
    scores = protocol(name).score(reference, reference.copy(), "dpdd", Lpips(recipe_alexnet()))
    assert scores == (inf, pytest.approx(1.0, abs=1e-12), 0.0, 0.0)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("iniknet", (31, 64), "64x31 pixels cannot be cropped to multiples of 32"),
        ("ifan", (7, 64), "64x7 pixels cannot be cropped to multiples of 8"),
        ("restormer", (6, 64), "64x6 pixels is smaller than SSIM's window of 7"),
    ],
)
def test_images_too_small_are_refused(name: str, size: tuple[int, int], expected: str) -> None:
    restored, reference = pair(*size)
    with pytest.raises(DataError, match=expected):
        PROTOCOLS[name].score(restored, reference, "dpdd", None)


def test_a_window_larger_than_the_scored_part_is_refused() -> None:
    small = replace(PROTOCOLS["nrknet"], scored={"rtf": slice(0, 10)})
    with pytest.raises(DataError, match="10x10 pixels is smaller than SSIM's window of 11"):
        small.score(*pair(16, 16), "rtf", None)


def test_a_pair_of_two_sizes_is_refused() -> None:
    with pytest.raises(DataError, match="the image is 40x32, its reference 32x40"):
        PROTOCOLS["restormer"].score(pair(32, 40)[0], pair(40, 32)[1], "dpdd", None)
