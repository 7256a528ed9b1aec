"""Batches are a pure function of seed and step, pairs stay aligned, and bad folders are clear errors."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from defocusctl.data.batches import Crops, PairSource, RenderedSource, StepCrops, render_crops
from defocusctl.data.pairs import PhotoPair, PixelCache, as_float, pairs_in, photos_in
from defocusctl.data.settings import Rendering
from defocusctl.errors import DataError, InputError
from tests.training.tiny import write_photo

RENDERING = Rendering(max_radius=(1, 3))


def rendered(
    photos: list[Path], depth: list[Path], *, seed: int = 7, batch: int = 2, crop: int = 32
) -> StepCrops:
    source = RenderedSource(photos, depth, 1.0)
    return StepCrops([source], RENDERING, PixelCache(2**20), batch=batch, crop=crop, seed=seed)


def test_the_same_step_is_the_same_batch_and_others_differ(tmp_path: Path) -> None:
    photos = [write_photo(tmp_path / f"{i}.png", seed=i, size=80) for i in range(3)]
    depth = [write_photo(tmp_path / "depth.png", seed=9, size=40)]
    first, again = rendered(photos, depth)[1], rendered(photos, depth)[1]
    pairs = [render_crops(crops, RENDERING, 7) for crops in (first, again)]
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1], pairs[1][1])
    assert pairs[0][0].shape == (2, 3, 32, 32)
    assert not torch.equal(first.sharp, rendered(photos, depth)[0].sharp)
    assert not torch.equal(first.sharp, rendered(photos, depth, seed=8)[1].sharp)
    assert not torch.equal(pairs[0][0], render_crops(first, RENDERING, 8)[0])
    larger = render_crops(rendered(photos, depth, batch=1, crop=48)[1], RENDERING, 7)
    assert larger[0].shape == (1, 3, 48, 48)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_photos_and_depth_maps_smaller_than_the_crop_are_reflected(tmp_path: Path, size: int) -> None:
    photo = write_photo(tmp_path / "small.png", seed=0, size=size)
    blurred, sharp, _ = render_crops(rendered([photo], [photo])[0], RENDERING, 7)
    assert blurred.shape == sharp.shape == (2, 3, 32, 32)
    assert blurred.isfinite().all()


def test_pairs_are_cut_and_turned_alike(tmp_path: Path) -> None:
    write_photo(tmp_path / "blurred" / "a.png", seed=1, size=70)
    image = cv2.imread(str(tmp_path / "blurred" / "a.png"))
    (tmp_path / "sharp").mkdir()
    Image.fromarray(255 - image[..., ::-1]).save(tmp_path / "sharp" / "a.png")
    source = PairSource(pairs_in(tmp_path / "blurred", tmp_path / "sharp"), 1.0)
    crops = StepCrops([source], RENDERING, PixelCache(0), batch=8, crop=32, seed=3)[0]
    assert crops.blurred is not None
    assert torch.allclose(crops.blurred + crops.sharp, torch.ones(8, 3, 32, 32))
    assert len({tuple(crop.flatten()[:8].tolist()) for crop in crops.sharp}) > 4, "augmented"
    assert render_crops(crops, RENDERING, 3) == (crops.blurred, crops.sharp, None)


def test_a_source_is_drawn_by_its_weight(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.png", seed=1, size=70)
    sources = [RenderedSource([photo], [], 0.0), PairSource([PhotoPair("a", photo, photo)], 2.0)]
    steps = StepCrops(sources, RENDERING, PixelCache(2**20), batch=1, crop=32, seed=3)
    drawn: list[Crops] = [steps[step] for step in range(5)]
    assert all(crops.blurred is not None for crops in drawn)


def test_grey_and_deep_photos_become_rgb_in_their_own_depth(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    cv2.imwrite(str(tmp_path / "grey.png"), deep)
    pixels = PixelCache(0).rgb(tmp_path / "grey.png")
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint16
    assert np.array_equal(as_float(pixels)[..., 1], (deep / 65535).astype(np.float32))


def float_tiff(path: Path, white: float) -> Path:
    pixels = np.random.default_rng(0).uniform(0, 1, (8, 8, 3)).astype(np.float32)
    tifffile.imwrite(path, pixels * np.float32(white), photometric="rgb")
    return path


def test_floating_point_is_scaled_by_its_white(tmp_path: Path) -> None:
    unit = PixelCache(0).rgb(float_tiff(tmp_path / "unit.tif", 1))
    assert unit.dtype == np.uint16 and unit.min() < 2000 and unit.max() > 63000
    counts = PixelCache(0, white=4095).rgb(float_tiff(tmp_path / "counts.tif", 4095))
    assert np.abs(counts.astype(int) - unit).max() <= 1


def test_floating_point_of_doubtful_white_is_refused_unless_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"samples, .* are not from 0.* --white VALUE .*data\.white"):
        PixelCache(0).rgb(float_tiff(tmp_path / "counts.tif", 4095))
    doubtful = float_tiff(tmp_path / "doubtful.tif", 1.2)
    with pytest.raises(DataError, match=r"white of '.*doubtful.tif' is in doubt: \d+% .* --white VALUE"):
        PixelCache(0).rgb(doubtful)
    assert PixelCache(0, white=1).rgb(doubtful).max() == 65535


def test_the_cache_keeps_what_fits(tmp_path: Path) -> None:
    small = write_photo(tmp_path / "small.png", seed=1, size=8)
    large = write_photo(tmp_path / "large.png", seed=1, size=64)
    cache = PixelCache(8 * 8 * 3)
    assert cache.rgb(small) is cache.rgb(small)
    assert cache.rgb(large) is not cache.rgb(large)


def test_pairs_by_name_or_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.jpg", "s/1.png", "s/2.png", "s/.hidden.png", "other/8.png", "other/9.png"):
        write_photo(tmp_path / name, seed=0, size=8)
    by_name = pairs_in(tmp_path / "b", tmp_path / "s")
    assert [(pair.name, pair.blurred.name, pair.sharp.name) for pair in by_name] == [
        ("1", "1.jpg", "1.png"),
        ("2", "2.png", "2.png"),
    ]
    in_order = pairs_in(tmp_path / "b", tmp_path / "other")
    assert [(pair.name, pair.sharp.name) for pair in in_order] == [("1", "8.png"), ("2", "9.png")]


def test_folders_that_are_not_as_they_should_be(tmp_path: Path) -> None:
    for name in ("b/1.png", "b/2.png", "s/1.png", "s/3.png", "twice/1.png", "twice/1.jpg"):
        write_photo(tmp_path / name, seed=0, size=8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        photos_in(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no folder"):
        photos_in(tmp_path / "b" / "1.png")
    with pytest.raises(DataError, match=r"no photo in .*empty"):
        photos_in(tmp_path / "empty")
    with pytest.raises(DataError, match=r"2 photos are in only one of .*'2'"):
        pairs_in(tmp_path / "b", tmp_path / "s")
    with pytest.raises(DataError, match=r"'1.jpg' with several suffixes"):
        pairs_in(tmp_path / "twice", tmp_path / "s")


def test_damaged_photos_and_pairs_of_two_sizes_are_named(tmp_path: Path) -> None:
    small = write_photo(tmp_path / "small.png", seed=0, size=40)
    large = write_photo(tmp_path / "large.png", seed=0, size=48)
    source = PairSource([PhotoPair("a", small, large)], 1.0)
    with pytest.raises(DataError, match=r"small.png.*large.png.* 40x40 and 48x48"):
        StepCrops([source], RENDERING, PixelCache(0), batch=1, crop=32, seed=0)[0]
    small.write_bytes(small.read_bytes()[:60])
    with pytest.raises(InputError, match=r"small\.png"):
        rendered([small], [])[0]
