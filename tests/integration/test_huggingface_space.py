"""What the Space does with a photo, without Gradio; its page was run by hand (docs/huggingface-space.md)."""

import gc
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from defocusctl import Deblurrer, InputError
from tests.cli.command import textured
from tests.integration.loading import loaded


@pytest.fixture(scope="module")
def space() -> ModuleType:
    return loaded("huggingface-space/restore.py", "space_restore")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "uploaded" / "holiday.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    Image.fromarray(textured(96, 128)).save(path, quality=95, exif=exif)
    return path


def opened(path: Path) -> tuple[np.ndarray, Image.Exif]:
    with Image.open(path) as picture:
        return np.asarray(picture, np.int16), picture.getexif()


@pytest.mark.slow
def test_files_are_those_of_the_python_api(space: ModuleType, photo: Path, tmp_path: Path) -> None:
    tiles: list[tuple[int, int]] = []
    job = space.restore(photo, "iniknet", "1", max_megapixels=1, on_tile=lambda *tile: tiles.append(tile))
    assert tiles[-1][0] == tiles[-1][1]
    full, half = space.show(job, 1.0, space.NO_LIMIT), space.show(job, 0.5, 20.0)
    for shown, strength, max_blur in ((full, 1.0, None), (half, 0.5, 20.0)):
        deblurrer = Deblurrer.from_pretrained(
            "iniknet", "bundled", scale="1", strength=strength, max_blur=max_blur
        )
        expected = tmp_path / f"expected-{strength}.jpg"
        deblurrer.deblur(photo).save(expected)
        result, metadata = opened(shown.download)
        assert shown.download.name == "holiday_deblurred.jpg"
        assert metadata[0x010F] == "A maker"
        np.testing.assert_array_equal(result, opened(expected)[0])
        assert opened(shown.blur_map)[0].std() > 0
    assert full.after != half.after  # browsers keep files by their names
    original, before, after = (opened(path)[0] for path in (photo, full.before, full.after))
    assert original.shape == before.shape == after.shape
    assert np.abs(before - original).mean() < np.abs(after - original).mean()


def test_visitors_read_neither_folders_nor_tracebacks(space: ModuleType, photo: Path) -> None:
    with pytest.raises(InputError) as refused:
        space.restore(photo, "iniknet", "1", max_megapixels=0.001)
    assert space.message(refused.value, photo).startswith("cannot use 'holiday.jpg': it claims 128x96 pixels")
    photo.write_bytes(b"<html>")
    with pytest.raises(InputError) as broken:
        space.restore(photo, "iniknet", "1", max_megapixels=1)
    assert space.message(broken.value, photo) == "cannot use 'holiday.jpg': this is a text file, not a photo"
    assert "secret" not in space.message(ValueError("secret"), photo)


def test_the_files_of_a_job_go_with_it(space: ModuleType, photo: Path) -> None:
    job = space.restore(photo, "iniknet", "1", max_megapixels=1)
    after = space.show(job, 1.0, space.NO_LIMIT).after
    assert after.exists()
    del job
    gc.collect()
    assert not after.exists()
