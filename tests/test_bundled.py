"""The weights that come with the package: whole, of the right networks, and better than nothing."""

from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from PIL import Image

from defocusctl.data.apertures import ApertureShapes, point_spread
from defocusctl.data.camera import to_light, to_pixels
from defocusctl.download import bundled_file, is_intact
from defocusctl.metrics import quality
from defocusctl.models.catalogue import NETWORKS
from defocusctl.pipeline import LoadedModel, load_model
from defocusctl.registry import load_registry
from defocusctl.restore import RestoreSettings

MODELS = list(NETWORKS)
SAMPLE = Path(__file__).parents[1] / "samples" / "circuit-board.png"


@pytest.fixture(scope="module", params=MODELS)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param, "bundled", RestoreSettings(), offline=True)


def sample(height: int, width: int) -> np.ndarray:
    """The part of the sample photo that is in focus."""
    with Image.open(SAMPLE) as photo:
        return np.asarray(photo)[300 : 300 + height, 150 : 150 + width]


@pytest.mark.parametrize("model", MODELS)
def test_the_file_is_the_registered_one_in_half_precision(model: str) -> None:
    entry = load_registry().find(model, "bundled")
    path = bundled_file(entry)
    assert is_intact(entry, path)
    assert path.stat().st_size == entry.size
    with safetensors.safe_open(path, "pt") as tensors:
        kinds = {tensors.get_tensor(key).dtype for key in tensors.keys()}  # noqa: SIM118
    assert kinds <= {torch.float16, torch.int64}


def test_it_is_the_released_architecture(loaded: LoadedModel) -> None:
    assert loaded.network.config == NETWORKS[loaded.network.name]().config


def test_a_photo_blurred_by_a_disc_gets_closer_to_the_original(loaded: LoadedModel) -> None:
    sharp = sample(160, 224)
    light = to_light(torch.from_numpy(sharp.copy()).permute(2, 0, 1).float() / 255)
    lens = ApertureShapes(*(torch.zeros(1, 1, 1, 1) for _ in range(5)))
    kernel = point_spread(lens, torch.tensor([[2.5]]), 160, 224)[0]
    spread = torch.fft.irfft2(torch.fft.rfft2(light) * torch.fft.rfft2(kernel), s=(160, 224))
    blurred = (to_pixels(spread) * 255).round().byte().permute(1, 2, 0).numpy()
    restored = loaded.restorer.restore(blurred, full_scale=255).pixels
    inner = slice(16, -16), slice(16, -16)
    reference, before, after = (
        (image[inner] / np.float32(255)).astype(np.float32) for image in (sharp, blurred, restored)
    )
    gain = quality(after, reference).psnr - quality(before, reference).psnr
    assert gain > 0.5


def test_a_flat_photo_stays_as_it_is(loaded: LoadedModel) -> None:
    flat = np.full((64, 96, 3), 140, np.uint8)
    restored = loaded.restorer.restore(flat, full_scale=255).pixels
    assert np.abs(restored.astype(int) - 140).max() <= 2
