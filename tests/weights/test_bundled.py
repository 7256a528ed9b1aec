"""The weights that come with the package: whole, of the right networks, and better than nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from benchmarks.receptive_field import receptive_radius
from PIL import Image

from defocusctl.data.defocus import to_light, to_pixels
from defocusctl.data.scenes import ApertureShapes, point_spread
from defocusctl.deblurrer import Deblurrer
from defocusctl.evaluation.metrics import quality
from defocusctl.models.catalogue import NETWORKS
from defocusctl.photo import Photo
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tiles import smallest_tile
from defocusctl.weights.cache import bundled_file, is_intact
from defocusctl.weights.checkpoint import load_checkpoint
from defocusctl.weights.registry import load_registry

pytestmark = pytest.mark.slow

BUNDLED = [
    (entry.model, entry.name)
    for entry in load_registry().entries
    if entry.is_bundled and entry.model in NETWORKS
]
SAMPLE = Path(__file__).parents[2] / "samples" / "circuit-board.png"


@pytest.fixture(scope="module", params=BUNDLED, ids="/".join)
def loaded(request: pytest.FixtureRequest) -> Deblurrer:
    return Deblurrer.load(*request.param, RestoreSettings(), offline=True)


def sample(height: int, width: int) -> np.ndarray:
    """The part of the sample photo that is in focus."""
    with Image.open(SAMPLE) as photo:
        return np.asarray(photo)[300 : 300 + height, 150 : 150 + width]


@pytest.mark.parametrize(("model", "name"), BUNDLED)
def test_the_file_is_the_registered_one_in_half_precision(model: str, name: str) -> None:
    entry = load_registry().find(model, name)
    path = bundled_file(entry)
    assert is_intact(entry, path)
    assert path.stat().st_size == entry.size
    with safetensors.safe_open(path, "pt") as tensors:
        kinds = {tensors.get_tensor(key).dtype for key in tensors.keys()}  # noqa: SIM118
    assert kinds <= {torch.float16, torch.int64}


def test_it_is_the_released_architecture(loaded: Deblurrer) -> None:
    released = NETWORKS[loaded.network.name]().config
    if loaded.weights.name == "fast":
        released = replace(released, feature_scale=2)
    assert loaded.network.config == released


def test_what_each_level_serves_best_was_measured(loaded: Deblurrer) -> None:
    assert load_checkpoint(loaded.weights.path).metadata.level_shares is not None


@pytest.mark.parametrize("colour", [(89, 89, 89), (204, 51, 128), (26, 230, 102)])
def test_a_constant_picture_stays_constant_at_its_borders(
    loaded: Deblurrer, colour: tuple[int, int, int]
) -> None:
    plain = np.broadcast_to(np.array(colour, np.float32), (75, 102, 3))
    restored = loaded.restorer.restore([Photo.of_pixels(plain, 255.0)])[0].pixels
    assert np.abs(restored - restored[37, 51]).max() <= 1
    assert np.abs(restored - plain).max() < 1.5


@pytest.mark.parametrize("colour", [(89, 89, 89), (0, 255, 0), (255, 0, 0)])
def test_a_constant_picture_comes_back_bit_for_bit(loaded: Deblurrer, colour: tuple[int, int, int]) -> None:
    plain = np.broadcast_to(np.array(colour, np.uint8), (150, 203, 3))
    network = loaded.network
    deblurrer = Deblurrer.load(network.name, loaded.weights.name, RestoreSettings(scale="auto"), offline=True)
    restored = deblurrer.restorer.restore([Photo.of_pixels(plain, 255.0)])[0]
    np.testing.assert_array_equal(restored.pixels, plain)


def test_a_photo_blurred_by_a_disc_gets_closer_to_the_original(loaded: Deblurrer) -> None:
    sharp = sample(160, 224)
    light = to_light(torch.from_numpy(sharp.copy()).permute(2, 0, 1).float() / 255)
    lens = ApertureShapes(*(torch.zeros(1, 1, 1, 1) for _ in range(5)))
    kernel = point_spread(lens, torch.tensor([[2.5]]), 160, 224)[0]
    spread = torch.fft.irfft2(torch.fft.rfft2(light) * torch.fft.rfft2(kernel), s=(160, 224))
    blurred = (to_pixels(spread) * 255).round().byte().permute(1, 2, 0).numpy()
    restored = loaded.restorer.restore([Photo.of_pixels(blurred, 255.0)])[0].pixels
    inner = slice(16, -16), slice(16, -16)
    reference, before, after = (
        (image[inner] / np.float32(255)).astype(np.float32) for image in (sharp, blurred, restored)
    )
    gain = quality(after, reference).psnr - quality(before, reference).psnr
    assert gain > 0.5


def test_a_flat_photo_stays_as_it_is(loaded: Deblurrer) -> None:
    flat = np.full((64, 96, 3), 140, np.uint8)
    restored = loaded.restorer.restore([Photo.of_pixels(flat, 255.0)])[0].pixels
    assert np.abs(restored.astype(int) - 140).max() <= 2


def fine(height: int, width: int) -> np.ndarray:
    """A strip of the sample photo in 16 bits, continued by its mirror image where it is too narrow."""
    with Image.open(SAMPLE) as photo:
        strip = np.asarray(photo)[260 : 260 + height]
    wide = np.concatenate([strip, strip[:, ::-1], strip], axis=1)[:, :width]
    return wide.astype(np.uint16) * 257


def largest_difference(
    model: str, name: str, pixels: np.ndarray, one: RestoreSettings, other: RestoreSettings
) -> float:
    """Of two ways to restore a photo, anywhere, in grey levels of 255."""
    results = [
        Deblurrer.load(model, name, settings, offline=True)
        .restorer.restore([Photo.of_pixels(pixels, 65535.0)])[0]
        .pixels
        for settings in (one, other)
    ]
    return float(np.abs(results[0].astype(np.int64) - results[1]).max()) / 257


@pytest.mark.parametrize(("model", "name"), BUNDLED)
def test_tiles_with_the_reach_as_overlap_equal_the_whole(model: str, name: str) -> None:
    network = Deblurrer.load(model, name, RestoreSettings(), offline=True).network
    overlap = receptive_radius(network)
    step = network.multiple
    tile = smallest_tile(overlap, step)
    pixels = fine(32, 2 * tile - 2 * overlap - 16)
    whole = RestoreSettings(tile=0, precision="fp32")
    tiled = RestoreSettings(tile=tile, overlap=overlap, precision="fp32")
    difference = largest_difference(model, name, pixels, whole, tiled)
    assert difference <= 1e-5 * 255 + 1 / 257  # and one step of rounding


@pytest.mark.parametrize(("model", "name"), BUNDLED)
def test_the_default_overlap_leaves_less_than_half_a_grey_level(model: str, name: str) -> None:
    whole = RestoreSettings(tile=0, precision="fp32")
    tiled = RestoreSettings(tile=192, precision="fp32")
    assert largest_difference(model, name, fine(112, 240), whole, tiled) < 0.5


@pytest.mark.parametrize(("model", "name"), BUNDLED)
def test_the_reduced_precision_is_within_half_a_grey_level_of_float32(model: str, name: str) -> None:
    """That of CPUs which compute in it; the others emulate it here."""
    exact, reduced = (RestoreSettings(precision=precision) for precision in ("fp32", "bf16"))
    assert largest_difference(model, name, fine(96, 160), exact, reduced) < 0.5
