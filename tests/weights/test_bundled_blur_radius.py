"""The bundled blur radius network: small, whole, and right about blur that is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from defocusctl.data.defocus import to_light, to_pixels
from defocusctl.data.scenes import ApertureShapes, point_spread
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.weights.cache import bundled_file, is_intact
from defocusctl.weights.checkpoint import load_model
from defocusctl.weights.registry import load_registry
from defocusctl.weights.resolve import resolve_weights

SHARP = Path(__file__).parents[2] / "samples" / "sharp" / "176.jpg"


@pytest.fixture(scope="module")
def network() -> BlurRadius:
    resolved = resolve_weights("blur-radius", None, offline=True)
    return load_model(resolved.path, BlurRadius)


@pytest.fixture(scope="module")
def sharp() -> Tensor:
    with Image.open(SHARP) as photo:
        pixels = np.asarray(photo.convert("RGB"))[:384, :384]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).unsqueeze(0) / 255


def blurred(photo: Tensor, radius: float) -> Tensor:
    lens = ApertureShapes(*(torch.zeros(1, 1, 1, 1) for _ in range(5)))
    size = photo.shape[-2:]
    kernel = point_spread(lens, torch.tensor([[radius]]), *size)
    spread = torch.fft.irfft2(torch.fft.rfft2(to_light(photo)) * torch.fft.rfft2(kernel), s=size)
    return (to_pixels(spread) * 255).round() / 255


def median(network: BlurRadius, photo: Tensor) -> float:
    """Of the inner cells."""
    return float(network(photo).radius[..., 4:-4, 4:-4].median())


def test_the_file_is_the_registered_one_and_small() -> None:
    entry = load_registry().find("blur-radius", "bundled")
    path = bundled_file(entry)
    assert is_intact(entry, path)
    assert path.stat().st_size == entry.size
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("radius", [2.0, 4.0, 8.0, 16.0])
def test_a_known_radius_is_found_within_a_third(network: BlurRadius, sharp: Tensor, radius: float) -> None:
    assert median(network, blurred(sharp, radius)) == pytest.approx(radius, rel=0.35)


def test_what_is_in_focus_is_told_from_slight_blur(network: BlurRadius, sharp: Tensor) -> None:
    assert median(network, sharp) < 0.5
    assert median(network, blurred(sharp, 1.5)) > 2 * median(network, sharp)


@pytest.mark.slow
def test_an_enlarged_photo_is_as_much_more_blurred(network: BlurRadius, sharp: Tensor) -> None:
    small = blurred(sharp, 3.0)
    large = interpolate(small, scale_factor=4, mode="bicubic").clamp(0, 1)
    assert median(network, large) == pytest.approx(4 * median(network, small), rel=0.25)
