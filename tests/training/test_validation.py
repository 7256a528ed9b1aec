"""Validation sets are the same for every run, and their gains are what they say."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from defocusctl.data.settings import Camera, Rendering
from defocusctl.errors import DataError
from defocusctl.evaluation.metrics import quality
from defocusctl.training.recipe import Validation
from defocusctl.training.validation import PSNR_CEILING, ValidationSets
from tests.training.tiny import tiny_network, write_photo

CPU = torch.device("cpu")
RENDERING = Rendering(max_radius=(2, 3), sharp=0)


def sets(root: Path, **settings: object) -> ValidationSets:
    return ValidationSets(Validation.model_validate(settings), RENDERING, root)


def test_rendered_sets_never_change(tmp_path: Path) -> None:
    for i in range(3):
        write_photo(tmp_path / "sharp" / f"{i}.png", seed=i, size=60)
    first, again = (sets(tmp_path, sharp=["sharp"], crop=32, limit=2).sets["rendered"] for _ in range(2))
    assert len(first) == 2
    for a, b in zip(first, again, strict=True):
        assert a.blurred.shape == (3, 32, 32)
        assert torch.equal(a.blurred, b.blurred)
        assert torch.equal(a.sharp, b.sharp)


def test_floating_point_sets_are_scaled_by_their_white(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "sharp" / "a.png", seed=1, size=60)
    settings = {"sharp": ["sharp"], "pairs": {"real": "real"}, "crop": 32}
    write_photo(tmp_path / "real" / "source" / "a.png", seed=2, size=60)
    write_photo(tmp_path / "real" / "target" / "a.png", seed=3, size=60)
    expected = sets(tmp_path, **settings).sets
    for path in [photo, *(tmp_path / "real").rglob("*.png")]:
        pixels = np.asarray(Image.open(path)).astype(np.float32)
        tifffile.imwrite(path.with_suffix(".tif"), pixels * np.float32(4), photometric="rgb")
        path.unlink()
    scaled = ValidationSets(Validation.model_validate(settings), RENDERING, tmp_path, white=1020).sets
    for name in ("rendered", "real"):
        assert torch.allclose(scaled[name][0].sharp, expected[name][0].sharp, atol=1e-4)


def test_gains_are_relative_to_the_untouched_input(tmp_path: Path) -> None:
    for i in range(2):
        write_photo(tmp_path / "real" / "source" / f"{i}.png", seed=i, size=70)
        write_photo(tmp_path / "real" / "target" / f"{i}.png", seed=i + 5, size=70)
    validation = sets(tmp_path, pairs={"real": "real"}, crop=48)
    network = tiny_network("iniknet").eval()
    torch.nn.init.zeros_(network.filtering.sum.weight)
    torch.nn.init.zeros_(network.filtering.sum.bias)
    gain = validation.measure(network, CPU)["real"]
    assert gain.psnr == pytest.approx(gain.input_psnr, abs=1e-5)
    assert gain.ssim == pytest.approx(gain.input_ssim, abs=1e-6)
    assert gain.worst_gain == pytest.approx(0, abs=1e-5)
    pair = validation.sets["real"][0]
    assert pair.blurred.shape == (3, 48, 48)
    strips = validation.strips(network, CPU)
    assert strips.shape == (2 * 48, 3 * 48, 3)
    assert strips.dtype == np.uint8
    assert np.array_equal(strips[:48, :48], (pair.blurred.permute(1, 2, 0) * 255).round().byte().numpy())


def test_a_scene_that_equals_its_target_has_a_finite_score(tmp_path: Path) -> None:
    write_photo(tmp_path / "sharp" / "a.png", seed=1, size=60)
    rendering = Rendering(sharp=1, camera=Camera(highlights=0, noise=0, jpeg=0))
    settings = Validation.model_validate({"sharp": ["sharp"], "crop": 32})
    gain = ValidationSets(settings, rendering, tmp_path).measure(tiny_network("nrknet").eval(), CPU)
    assert gain["rendered"].input_psnr == PSNR_CEILING
    assert np.isfinite(gain["rendered"].worst_gain)


def test_pairs_too_small_or_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for name, size in (("small/source", 31), ("small/target", 31), ("odd/source", 48), ("odd/target", 64)):
        write_photo(tmp_path / name / "a.png", seed=0, size=size)
    with pytest.raises(DataError, match=r"a\.png' is too small to validate on"):
        sets(tmp_path, pairs={"x": "small"})
    with pytest.raises(DataError, match="differ in size, 48x48 and 64x64"):
        sets(tmp_path, pairs={"x": "odd"})


def test_quality_against_numpy() -> None:
    random = np.random.default_rng(0)
    image, reference = (random.random((16, 20, 3)).astype(np.float32) for _ in range(2))
    psnr = -10 * np.log10(np.mean((image.astype(float) - reference) ** 2))
    assert quality(image, reference).psnr == pytest.approx(psnr, abs=1e-4)
    assert quality(image * 3, reference) == quality(np.minimum(image * 3, 1), reference)
    assert quality(reference, reference) == (inf, 1.0)
