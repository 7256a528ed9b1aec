"""Arrays, Pillow's images and tensors: what goes in comes out, sharper, and nothing else is changed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from defocusctl import Deblurrer, InputError, UsageError
from defocusctl.deblurrer.images import load_image
from tests.cli.command import photo_file, textured

RGB = textured(32, 48)


@pytest.fixture(scope="module")
def expected(deblurrer: Deblurrer, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What the file of ``RGB`` becomes."""
    path = photo_file(tmp_path_factory.mktemp("photo") / "photo.png", 32, 48)
    image = deblurrer.deblur(path).image
    assert not np.array_equal(image, RGB)
    return image


def test_an_array_becomes_what_its_file_becomes(deblurrer: Deblurrer, expected: np.ndarray) -> None:
    before = RGB.copy()
    result = deblurrer.deblur(RGB)
    assert np.array_equal(result.image, expected)
    assert np.array_equal(before, RGB)
    assert np.array_equal(deblurrer.deblur(np.asfortranarray(RGB)).image, expected)


def test_masks_are_bytes_or_truths_and_nothing_else(deblurrer: Deblurrer, expected: np.ndarray) -> None:
    left = np.zeros((32, 48), np.uint8)
    left[:, :24] = 255
    masked = deblurrer.deblur(RGB, mask=left).image
    assert not np.array_equal(masked, RGB)
    assert np.array_equal(masked[:, 32:], RGB[:, 32:])
    assert np.array_equal(deblurrer.deblur(RGB, mask=left > 0).image, masked)
    for wrong in (left / 255, left.astype(np.uint16), np.dstack([left] * 3), Image.fromarray(left)):
        with pytest.raises(InputError, match="is not a mask"):
            deblurrer.deblur(RGB, mask=wrong)
    with pytest.raises(UsageError, match="is not a region"):
        deblurrer.deblur(RGB, region=(0, 0, 8, 8))  # type: ignore[call-overload]


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "float16", "float32", "float64"])
def test_types_are_kept_and_white_is_theirs(deblurrer: Deblurrer, expected: np.ndarray, dtype: str) -> None:
    white = 65535 if "u" in dtype else 1
    image = (RGB / 255 * white).astype(dtype)
    answer = deblurrer.deblur(image).image
    assert answer.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.abs(answer.astype(float) / white - expected / 255).max() < 1.1 / 255


def test_alpha_is_kept_and_does_not_matter(deblurrer: Deblurrer, expected: np.ndarray) -> None:
    alpha = (np.arange(32 * 48) % 255 + 1).astype(np.uint8).reshape(32, 48)
    answer = deblurrer.deblur(np.dstack([RGB, alpha])).image
    assert np.array_equal(answer, np.dstack([expected, alpha]))
    grey = RGB[:, :, 0]
    with_alpha = deblurrer.deblur(np.dstack([grey, alpha])).image
    without = deblurrer.deblur(grey).image
    assert without.shape == (32, 48)
    assert np.array_equal(with_alpha, np.dstack([without, alpha]))
    assert np.array_equal(deblurrer.deblur(grey[:, :, None]).image, without[:, :, None])


def test_floats_have_the_white_that_is_given(deblurrer: Deblurrer, expected: np.ndarray) -> None:
    for given in (RGB.astype(np.float64), torch.from_numpy(RGB.transpose(2, 0, 1).copy()).float()):
        answer = np.asarray(deblurrer.deblur(given, white=255).image)
        shown = answer if isinstance(given, np.ndarray) else answer.transpose(1, 2, 0)
        assert np.abs(shown - expected).max() <= 0.501
    grey = Image.fromarray(RGB[..., 0].astype(np.float32))
    result = deblurrer.deblur(grey, white=255)
    assert np.abs(np.asarray(result.image) - deblurrer.deblur(RGB[..., 0]).image).max() <= 0.501
    with pytest.raises(UsageError, match="white cannot be 0"):
        deblurrer.deblur(grey, white=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_hidden_colours_stay_and_change_nothing_visible(deblurrer: Deblurrer, dtype: type) -> None:
    white = 255 if dtype == np.uint8 else 1
    pixels = (RGB / 255 * white).astype(dtype)
    alpha = np.full(RGB.shape[:2], white, dtype)
    alpha[8:20, 10:30] = 0
    hidden = alpha == 0
    answers = []
    for colour in ([0, 0, 0], [white, 0, white]):
        given = pixels.copy()
        given[hidden] = colour
        answers.append(deblurrer.deblur(np.dstack([given, alpha])).image)
        assert np.array_equal(answers[-1][hidden], np.dstack([given, alpha])[hidden])
    assert np.array_equal(answers[0][~hidden], answers[1][~hidden])
    part = deblurrer.deblur(np.dstack([given, alpha]), region="16x16+8+8").image
    assert np.array_equal(part[hidden[8:24, 8:24]], np.dstack([given, alpha])[8:24, 8:24][hidden[8:24, 8:24]])


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((3, 32, 48), np.uint8), "shape (3, 32, 48)"),
        (np.zeros((2, 32, 48, 3), np.uint8), "shape (2, 32, 48, 3)"),
        (np.zeros((0, 48, 3), np.uint8), "shape (0, 48, 3)"),
        (np.zeros((32, 48, 3), np.int64), "int64"),
        (np.zeros((32, 48), bool), "bool"),
        (np.zeros((32, 48), object), "object"),
        (RGB.astype(np.float32), "divide them"),
        (np.full((32, 48), np.nan), "not numbers"),
        (np.full((32, 48), -1e300), "infinite"),
        (torch.zeros(32, 48), "(32, 48)"),
        (torch.zeros(32, 48, 3), "(32, 48, 3)"),
        (torch.zeros(0, 3, 32, 32), "(0, 3, 32, 32)"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), "int64"),
        (torch.zeros(3, 32, 32, dtype=torch.complex64), "complex64"),
        (torch.zeros(3, 32, 32).to_sparse(), "sparse"),
        (Image.new("CMYK", (48, 32)), "mode CMYK"),
        (Image.new("I", (48, 32)), "mode I "),
        (None, "NoneType"),
        ({"image": RGB}, "dict"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(deblurrer: Deblurrer, image: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        deblurrer.deblur(image)
    assert told in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_tensor_comes_back_as_one(deblurrer: Deblurrer, expected: np.ndarray, dtype: torch.dtype) -> None:
    planes = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    image = planes if dtype == torch.uint8 else (planes / 255).to(dtype).requires_grad_()
    answer = deblurrer.deblur(image).image
    assert (answer.dtype, answer.shape, answer.device) == (dtype, image.shape, image.device)
    assert not answer.requires_grad
    white = 255 if dtype == torch.uint8 else 1
    error = np.abs(answer.float().numpy().transpose(1, 2, 0) / white * 255 - expected).max()
    assert error < (4.1 if dtype == torch.bfloat16 else 1.1)


def test_a_batch_in_a_tensor_is_its_images_one_by_one(deblurrer: Deblurrer) -> None:
    batch = torch.stack([torch.from_numpy(np.roll(RGB, shift, axis=0).copy()) for shift in (0, 5)])
    batch = batch.permute(0, 3, 1, 2) / 255
    result = deblurrer.deblur(batch, coefficients=True)
    singles = deblurrer.deblur(list(batch), coefficients=True)
    assert torch.equal(result.image, torch.stack([single.image for single in singles]))
    assert result.coefficients["mu"].shape == (2, 4, 32, 48)
    assert np.array_equal(result.blur_radius[1], singles[1].blur_radius)
    assert result.report.tiles == 2
    with pytest.raises(UsageError, match="cannot be saved as one file"):
        result.save("result.png")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "RGBa", "I;16", "F"])
def test_images_of_pillow_keep_their_mode(deblurrer: Deblurrer, mode: str) -> None:
    image = {
        "I;16": lambda: Image.fromarray(RGB[:, :, 0].astype(np.uint16) * 257),
        "F": lambda: Image.fromarray(RGB[:, :, 0].astype(np.float32) / 255),
        "La": lambda: Image.fromarray(RGB[:, :, :2]).convert("La"),
        "RGBa": lambda: Image.fromarray(np.dstack([RGB, RGB[:, :, :1]])).convert("RGBa"),
    }.get(mode, lambda: Image.fromarray(RGB).convert(mode))()
    answer = deblurrer.deblur(image).image
    assert answer.mode == {"P": "RGB", "1": "L"}.get(mode, mode)
    assert answer.size == (48, 32)
    if mode in ("La", "RGBa"):
        samples, stored = np.asarray(answer), np.asarray(image)
        assert np.array_equal(samples[:, :, -1], stored[:, :, -1])
        assert (samples[:, :, :-1] <= samples[:, :, -1:]).all()


def test_colours_multiplied_by_alpha_are_divided_by_it(deblurrer: Deblurrer) -> None:
    straight = Image.fromarray(np.dstack([RGB, RGB[:, :, :1] // 2 + 100]))
    associated = straight.convert("RGBa")
    answer = deblurrer.deblur(associated).image
    expected = deblurrer.deblur(associated.convert("RGBA")).image.convert("RGBa")
    assert np.array_equal(np.asarray(answer), np.asarray(expected))


def test_transparency_by_colour_is_kept_as_alpha(deblurrer: Deblurrer, tmp_path: Path) -> None:
    Image.fromarray(RGB).quantize(8).save(tmp_path / "photo.png", transparency=0)
    with Image.open(tmp_path / "photo.png") as image:
        answer = deblurrer.deblur(image).image
        assert answer.mode == "RGBA"
        assert np.array_equal(np.asarray(answer)[:, :, 3], np.asarray(image.convert("RGBA"))[:, :, 3])
        assert image.mode == "P"


def test_an_image_of_pillow_keeps_what_its_file_came_with(deblurrer: Deblurrer, tmp_path: Path) -> None:
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB).save(tmp_path / "photo.jpg", exif=exif, icc_profile=profile, dpi=(300, 300))
    with Image.open(tmp_path / "photo.jpg") as image:
        result = deblurrer.deblur(image)
    from_file = deblurrer.deblur(tmp_path / "photo.jpg")
    assert result.image.size == (32, 48)  # upright
    assert np.abs(np.asarray(result.image).astype(int) - from_file.image).max() <= 1
    assert result.image.getexif()[0x010F] == "A maker"
    assert result.image.getexif()[0x0112] == 1
    assert result.image.info["icc_profile"] == profile
    assert result.image.info["dpi"] == pytest.approx((300, 300))
    result.save(tmp_path / "result.png")
    with Image.open(tmp_path / "result.png") as written:
        assert written.getexif()[0x010F] == "A maker"
        assert written.info["icc_profile"] == profile
        assert np.array_equal(np.asarray(written), np.asarray(result.image))


def exif_of(result: Path) -> Image.Exif:
    with Image.open(result) as written:
        exif = written.getexif()
        exif.get_ifd(0x8769)
        return exif


@pytest.mark.parametrize("options", [{}, {"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_a_tiff_of_pillow_keeps_its_exif_and_not_how_it_was_stored(
    deblurrer: Deblurrer, tmp_path: Path, options: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    exif[0x010E] = '{"shape": [32, 48, 3]}'
    if "compression" not in options:  # Pillow cannot write it then
        exif[0x8769] = {0x9003: "2024:01:02 03:04:05", 0xA005: {1: "R98"}}
    Image.fromarray(RGB).save(tmp_path / "photo.tif", exif=exif.tobytes(), dpi=(300, 300), **options)
    with Image.open(tmp_path / "photo.tif") as image:
        image.load()
    result = deblurrer.deblur(image)
    assert result.warnings == ()
    assert result.save(tmp_path / "result.jpg") == ()
    kept = exif_of(tmp_path / "result.jpg")
    assert set(kept) - {0x8769} == {0x010F, 0x011A, 0x011B, 0x0128}
    assert kept[0x010F] == "A maker"
    if "compression" not in options:
        assert kept.get_ifd(0x8769) == {0x9003: "2024:01:02 03:04:05"}


def test_changes_of_exif_through_pillow_are_kept(deblurrer: Deblurrer, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    stored = exif.tobytes() + b"at a fixed offset"
    Image.fromarray(RGB).save(tmp_path / "photo.jpg", exif=stored)
    with Image.open(tmp_path / "photo.jpg") as image:
        image.getexif()
        assert load_image(image, 1, None).photo.metadata.exif is not None
        assert len(load_image(image, 1, None).photo.metadata.exif) == len(stored) - 6
        image.getexif()[0x010F] = "Another"
        image.getexif()[0x0112] = 6
        result = deblurrer.deblur(image)
        image.getexif().clear()
        assert load_image(image, 1, None).photo.metadata.exif is None
        image.getexif()[0x010F] = {"no": "text"}
        image.info["exif"] = b"broken"
        assert "broken EXIF left out" in deblurrer.deblur(image).warnings
    assert result.image.size == (32, 48)
    result.save(tmp_path / "result.jpg")
    assert exif_of(tmp_path / "result.jpg")[0x010F] == "Another"


def test_a_damaged_image_of_pillow_is_refused(deblurrer: Deblurrer, tmp_path: Path) -> None:
    path = photo_file(tmp_path / "photo.png")
    path.write_bytes(path.read_bytes()[:200])
    with Image.open(path) as image, pytest.raises(InputError, match="cannot be read"):
        deblurrer.deblur(image)


def test_images_of_one_size_that_follow_each_other_are_restored_together(
    deblurrer: Deblurrer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where there is room for three; each as if alone but for the rounding of batches."""
    groups: list[int] = []
    restore = deblurrer.restorer.restore

    def counted(photos: Any, **options: Any) -> Any:
        groups.append(len(photos))
        return restore(photos, **options)

    sizes = [(32, 48)] * 4 + [(40, 40), (32, 48)]
    images = [np.roll(textured(*size), i, axis=0) for i, size in enumerate(sizes)]
    alone = [result.image for result in deblurrer.deblur(images)]
    monkeypatch.setattr(deblurrer.restorer.planner, "room_for", lambda size: 3)
    monkeypatch.setattr(deblurrer.restorer, "restore", counted)
    together = [result.image for result in deblurrer.deblur(images)]
    assert groups == [3, 1, 1, 1]
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(int) - other).max() <= 1
    broken = [RGB.astype(np.float32) / 255, np.full((32, 48, 3), np.nan, np.float32)]
    with pytest.raises(InputError, match="image 2 of 2: the photo has pixels that are infinite"):
        deblurrer.deblur(broken)
