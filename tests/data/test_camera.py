"""Noise has the sigma that the recipe asks for, and JPEG does what libjpeg does."""

from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from defocusctl.data.defocus import jpeg, lift_highlights, photograph, to_light, to_pixels
from defocusctl.data.settings import Camera


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def natural_picture(size: int = 128) -> np.ndarray:
    """Smooth colours, edges and a little grain, (H, W, 3) uint8."""
    random = np.random.default_rng(3)
    smooth = cv2.resize(random.random((6, 6, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    smooth[30:70, 20:90] *= [0.5, 1.1, 0.7]
    cv2.circle(smooth, (90, 90), 22, (0.9, 0.2, 0.3), -1, lineType=cv2.LINE_AA)
    grain = cv2.GaussianBlur(random.normal(0, 0.05, smooth.shape), (0, 0), 1)
    return (np.clip(smooth + grain, 0, 1) * 255).round().astype(np.uint8)


@pytest.mark.parametrize("quality", [30, 75, 90, 96])
@pytest.mark.parametrize("subsampled", [False, True])
def test_jpeg_does_what_pillow_does(quality: int, subsampled: bool) -> None:
    picture = natural_picture()
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    real = np.asarray(Image.open(file))
    pixels = torch.from_numpy(picture).permute(2, 0, 1) / 255
    ours = (jpeg(pixels, quality, subsampled=subsampled).permute(1, 2, 0) * 255).round().numpy()
    assert np.abs(ours - real).max() <= 2  # versions of libjpeg may round differently


def test_a_share_of_the_scenes_is_compressed() -> None:
    light = to_light(torch.from_numpy(natural_picture()).permute(2, 0, 1)[None].expand(64, -1, -1, -1) / 255)
    plain, compressed = (
        photograph(Camera(highlights=0, noise=0, jpeg=share), light, generator()) for share in (0, 0.25)
    )
    changed = (plain != compressed).flatten(1).any(dim=1)
    assert 8 <= int(changed.sum()) <= 24
    again = photograph(Camera(highlights=0, noise=0, jpeg=0.25), light, generator())
    assert torch.equal(again, compressed)


def test_noise_has_the_sigma_of_the_recipe() -> None:
    camera = Camera(highlights=0, noise=1, noise_sigma=0.02, correlated_noise=0, jpeg=0)
    light = torch.full((256, 3, 16, 16), 0.5)
    noisy = to_light(photograph(camera, light, generator()))
    sigmas = (noisy - light).std(dim=(1, 2, 3))
    # Shot noise of share 1 - s and read noise of share s, times a uniform strength (see the docstring).
    largest = 0.02 * np.sqrt(0.5)
    assert 0.75 * largest < sigmas.max() < 1.05 * largest
    assert sigmas.min() < 0.2 * largest
    assert float((noisy - light).mean()) == pytest.approx(0, abs=5e-4)


def test_correlated_noise_keeps_sigma_and_is_correlated() -> None:
    light = torch.full((128, 3, 32, 32), 0.5)

    def noise(share: float) -> torch.Tensor:
        camera = Camera(highlights=0, noise=1, noise_sigma=0.05, correlated_noise=share, jpeg=0)
        return (to_light(photograph(camera, light, generator())) - light)[..., 2:-2, 2:-2]

    white, smooth = noise(0), noise(1)
    assert float(smooth.std()) == pytest.approx(float(white.std()), rel=0.05)
    neighbours = (smooth[..., 1:] * smooth[..., :-1]).mean() / smooth.var()
    assert 0.5 < neighbours < 0.8  # [1 2 1] with itself: 4 / 6
    assert abs((white[..., 1:] * white[..., :-1]).mean() / white.var()) < 0.02


def test_highlights_are_lifted_only_near_white() -> None:
    light = torch.tensor([0.3, 0.84, 0.93, 1.0]).view(1, 1, 1, 4).expand(64, 3, 1, 4)
    lifted = lift_highlights(Camera(highlights=1, highlight_gain=5), light, generator())
    assert torch.equal(lifted[..., :2], light[..., :2])
    assert lifted[..., 3].max() > 4
    assert lifted[..., 3].max() <= 5
    assert torch.equal(lift_highlights(Camera(highlights=0), light, generator()), light)


def test_gamma_goes_there_and_back_and_files_have_eight_bits() -> None:
    pixels = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    assert torch.allclose(to_pixels(to_light(pixels)), pixels, atol=1e-6)
    camera = Camera(highlights=0, noise=0, jpeg=0)
    shot = photograph(camera, to_light(pixels * 0.999), generator())
    assert torch.equal((shot * 255).round() / 255, shot)
