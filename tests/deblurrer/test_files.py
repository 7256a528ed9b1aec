"""Files through the Python API: what the command line writes, to the byte."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defocusctl import Deblurrer, DefocusctlError, InputError, OutputError, UsageError, WeightsError
from tests.cli.command import defocusctl, photo_file, small_weights, textured
from tests.machine import make_fresh_machine


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG lying on its side, with EXIF, a resolution and an ICC profile."""
    from PIL import ImageCms

    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(textured(40, 56))
    image.save(path, exif=exif, icc_profile=profile, dpi=(300, 300), quality=92)
    return path


@pytest.mark.parametrize("region", [None, "24x16+8+4"])
def test_a_file_gives_what_the_command_line_writes(
    photo: Path, monkeypatch: pytest.MonkeyPatch, region: str | None
) -> None:
    make_fresh_machine(monkeypatch, photo.parent / "home")
    weights = small_weights(photo.parent, "iniknet")
    ours, theirs = photo.with_name("ours.jpg"), photo.with_name("theirs.jpg")
    options = ("--weights", weights, "--strength", "0.5", "--tile", "64", "--overlap", "0")
    part = () if region is None else ("--region", region)
    answer = defocusctl("deblur", photo, "-o", theirs, *options, *part)
    assert answer.code == 0, answer.err
    deblurrer = Deblurrer.from_pretrained("iniknet", weights, strength=0.5, tile=64, overlap=0)
    result = deblurrer.deblur(photo, region=region)
    assert result.save(ours) == ()
    assert ours.read_bytes() == theirs.read_bytes()
    assert result.image.shape == ((56, 40, 3) if region is None else (16, 24, 3))  # upright
    assert result.image.dtype == np.uint8
    content = deblurrer.deblur(photo.read_bytes(), region=region)
    assert np.array_equal(content.image, result.image)
    assert content.source is None


def test_depth_and_alpha_of_a_file_are_in_the_array(deblurrer: Deblurrer, tmp_path: Path) -> None:
    import imagecodecs

    samples = np.dstack([textured(32, 48), np.full((32, 48), 90, np.uint8)]).astype(np.uint16) * 257
    path = tmp_path / "photo.png"
    path.write_bytes(imagecodecs.png_encode(samples))
    result = deblurrer.deblur(str(path))
    assert result.image.shape == (32, 48, 4)
    assert result.image.dtype == np.uint16
    assert np.array_equal(result.image[:, :, 3], samples[:, :, 3])
    result.save(tmp_path / "result.png")
    written = imagecodecs.png_decode((tmp_path / "result.png").read_bytes())
    assert np.array_equal(written, result.image)
    assert result.save(tmp_path / "result.webp") == ("WEBP holds 8 bits: the photo's 16 bits are rounded",)


def test_results_are_written_carefully(deblurrer: Deblurrer, tmp_path: Path) -> None:
    photo = photo_file(tmp_path / "photo.png", 32, 32)
    before = photo.read_bytes()
    result = deblurrer.deblur(photo)
    for path, options in (
        (photo, {"force": True}),
        (tmp_path, {}),
        (tmp_path / "result", {}),
        (tmp_path / "no folder" / "result.png", {}),
    ):
        with pytest.raises(OutputError):
            result.save(path, **options)
    with pytest.raises(UsageError, match="quality"):
        result.save(tmp_path / "result.jpg", quality=101)
    assert photo.read_bytes() == before
    assert list(tmp_path.iterdir()) == [photo]
    result.save(tmp_path / "result.png")
    with pytest.raises(OutputError, match="exists already"):
        result.save(tmp_path / "result.png")
    result.save(tmp_path / "result.png", force=True)


def test_the_source_stays_the_source_in_another_folder(
    deblurrer: Deblurrer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = photo_file(tmp_path / "photo.png", 32, 32)
    before = photo.read_bytes()
    monkeypatch.chdir(tmp_path)
    result = deblurrer.deblur("photo.png")
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(OutputError):
        result.save(photo, force=True)
    assert photo.read_bytes() == before


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_is_a_number_above_zero(deblurrer: Deblurrer, tmp_path: Path, limit: float) -> None:
    photo = photo_file(tmp_path / "photo.png", 32, 32)
    with pytest.raises(UsageError, match="megapixels is not possible"):
        deblurrer.deblur(photo, max_megapixels=limit)


def test_coefficients_and_blur_radius_are_kept_when_asked_for(deblurrer: Deblurrer, tmp_path: Path) -> None:
    photo = photo_file(tmp_path / "photo.png", 33, 48)
    result = deblurrer.deblur(photo, coefficients=True)
    assert {name: maps.shape for name, maps in result.coefficients.items()} == {
        "mu": (4, 33, 48),
        "omega": (3, 33, 48),
    }
    assert result.blur_radius.shape == (33, 48)
    assert result.blur_radius.min() >= 0
    plain = deblurrer.deblur(photo)
    with pytest.raises(UsageError, match="coefficients=True"):
        _ = plain.coefficients
    assert np.array_equal(plain.blur_radius, result.blur_radius)
    assert np.array_equal(plain.image, result.image)


def test_at_a_fixed_scale_the_blur_radius_is_not_estimated(tmp_path: Path) -> None:
    weights = small_weights(tmp_path, "iniknet")
    alone = Deblurrer.from_pretrained("iniknet", weights, scale="1", device="cpu")
    photo = photo_file(tmp_path / "photo.png", 33, 48)
    with pytest.raises(UsageError, match="scale auto, or coefficients=True"):
        _ = alone.deblur(photo).blur_radius
    assert alone.deblur(photo, coefficients=True).blur_radius.shape == (33, 48)


def test_a_result_says_how_it_came_about(deblurrer: Deblurrer, tmp_path: Path) -> None:
    photo = photo_file(tmp_path / "photo.png", 32, 48).rename(tmp_path / "photo.jpg")
    told: list[tuple[int, int]] = []
    result = deblurrer.deblur(photo, on_tile=lambda done, total: told.append((done, total)))
    assert told == [(0, 1), (1, 1)]
    assert result.warnings == ("its name ends in .jpg but it is PNG",)
    assert (result.report.device, result.report.precision, result.report.tiles) == ("cpu", "fp32", 1)
    assert result.weights.model == "iniknet"
    assert "48x32" in repr(result)
    assert "iniknet" in repr(deblurrer)


def test_one_of_several_that_fails_is_named(deblurrer: Deblurrer, tmp_path: Path) -> None:
    photo = photo_file(tmp_path / "photo.png", 32, 32)
    results = deblurrer.deblur([photo, str(photo)])
    assert np.array_equal(results[0].image, results[1].image)
    assert deblurrer.deblur([]) == []
    with pytest.raises(InputError, match=r"image 2 of 2: .*no such file") as caught:
        deblurrer.deblur((photo, tmp_path / "gone.png"))
    assert caught.value.remedy


def test_threads_take_turns(deblurrer: Deblurrer) -> None:
    images = [np.roll(textured(48, 48), shift, axis=0) for shift in range(4)]
    expected = [deblurrer.deblur(image).image for image in images]
    found: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        found[index] = deblurrer.deblur(images[index]).image

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[index], image) for index, image in enumerate(expected))


def test_what_cannot_be_loaded_is_an_error_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        Deblurrer.from_pretrained("iniknet", tmp_path / "gone.safetensors")
    with pytest.raises(UsageError):
        Deblurrer.from_pretrained("iniknet", "bundled", strength=2)
    with pytest.raises(DefocusctlError):
        Deblurrer.from_pretrained("iniknet", "bundled", device="abacus")


def test_errors_about_bytes_call_them_so(deblurrer: Deblurrer) -> None:
    with pytest.raises(InputError, match="cannot use the bytes given: "):
        deblurrer.deblur(b"no photo")
