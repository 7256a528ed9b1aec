"""A kept change: another strength or max_blur without the network, exactly what deblurring again gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import uniform_filter

from defocusctl import Deblurrer, InputError, UsageError
from tests.cli.command import small_weights, textured


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_weights(tmp_path_factory.mktemp("weights"), "iniknet")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Sharp on the left, blurred on the right, with alpha that hides a corner."""
    sharp = textured(96, 144)
    sharp[:, 72:] = uniform_filter(sharp[:, 72:].astype(np.float32), (15, 15, 0)).astype(np.uint8)
    alpha = np.full((96, 144, 1), 255, np.uint8)
    alpha[:20, :20] = 0
    path = tmp_path / "photo.png"
    Image.fromarray(np.concatenate([sharp, alpha], axis=2)).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "limits"),
    [("auto", {}), ("1", {}), ("1/2", {}), ("auto", {"region": "64x48+40+24"}), ("auto", {"mask": "mask"})],
)
def test_it_gives_the_bytes_of_deblurring_again(
    photo: Path, weights: Path, tmp_path: Path, scale: str, limits: dict[str, str]
) -> None:
    if "mask" in limits:
        mask = np.zeros((48, 72), np.uint8)
        mask[10:40, 20:60] = 200
        Image.fromarray(mask).save(tmp_path / "mask.png")
        limits = {"mask": str(tmp_path / "mask.png")}
    tiles = {"tile": 64, "overlap": 8, "precision": "fp32", "device": "cpu", "scale": scale}
    whole = Deblurrer.from_pretrained("iniknet", weights, **tiles)
    kept = whole.deblur(photo, keep_change=True, **limits)
    radius = kept.parts[0].blur_radius
    assert radius is not None and radius.max() > 1.2 * radius.min()
    between = float(np.quantile(radius, 0.6))
    results = {(1.0, None): whole.apply_change(kept.change, photo).image}
    for strength, max_blur in ((0.37, None), (0.5, between), (1.0, 0.1)):
        again = Deblurrer.from_pretrained("iniknet", weights, **tiles, strength=strength, max_blur=max_blur)
        expected = again.deblur(photo, **limits)
        expected.save(tmp_path / "expected.png", force=True)
        applied = whole.apply_change(kept.change, photo, strength=strength, max_blur=max_blur)
        applied.save(tmp_path / "applied.png", force=True)
        assert (tmp_path / "applied.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
        assert applied.report.levels == expected.report.levels
        results[strength, max_blur] = applied.image
    assert np.array_equal(results[1.0, None], kept.image)
    assert len({image.tobytes() for image in results.values()}) == 4


def test_it_does_without_the_network(photo: Path, weights: Path) -> None:
    deblurrer = Deblurrer.from_pretrained("iniknet", weights)
    result = deblurrer.deblur(photo, keep_change=True)
    with torch.no_grad():
        for parameter in deblurrer.network.parameters():
            parameter.zero_()
    assert np.array_equal(deblurrer.apply_change(result.change, photo).image, result.image)


def test_what_it_cannot_do_is_said(photo: Path, weights: Path) -> None:
    deblurrer = Deblurrer.from_pretrained("iniknet", weights, max_blur=3)
    with pytest.raises(UsageError, match="not kept"):
        _ = deblurrer.deblur(photo).change
    change = deblurrer.deblur(photo, keep_change=True).change
    for values in ({"max_blur": 4}, {}):
        with pytest.raises(UsageError, match="up to 3 pixels only"):
            deblurrer.apply_change(change, photo, **values)
    with pytest.raises(UsageError, match="a strength of 2"):
        deblurrer.apply_change(change, photo, strength=2, max_blur=3)
    with pytest.raises(UsageError, match="144x96"):
        deblurrer.apply_change(change, textured(32, 48), max_blur=3)
    with pytest.raises(UsageError, match="3 channels without alpha: this one has 1"):
        deblurrer.apply_change(change, textured(96, 144)[:, :, 0], max_blur=3)
    with pytest.raises(InputError, match="not numbers"):
        deblurrer.apply_change(change, np.full((96, 144, 3), np.nan), max_blur=3)
    grey = deblurrer.deblur(textured(96, 144)[:, :, 0], keep_change=True).change
    with pytest.raises(UsageError, match="1 channels"):
        deblurrer.apply_change(grey, photo, max_blur=3)
