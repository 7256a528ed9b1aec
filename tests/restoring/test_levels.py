"""Levels: shrinking, enlarging, shares by blur radius, and their blend in the restored photo."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from defocusctl.errors import InputError, UsageError
from defocusctl.models.blur_radius import BlurEstimate, BlurRadius
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.level_shares import DEFAULT_SHARES, LevelShares
from defocusctl.models.prediction import Network, Prediction
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.blur import estimate_blur
from defocusctl.restoring.levels import SCALES, cells_at, doubled, shrunken
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.selection import levels_for, shares_by_radius, worthwhile
from defocusctl.restoring.settings import RestoreSettings

NATIVE = LevelShares((0.0, 1.0, 2.0), ((0.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
QUARTERS = LevelShares((0.0, 1.0, 2.0), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0)))


class Detail(INIKNet):
    """Adds half of each pixel's difference from the mean of its neighbours within two pixels."""

    default_overlap = 16

    def forward(self, x: torch.Tensor) -> Prediction:
        around = torch.nn.functional.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)
        return Prediction(x + 0.5 * (x - around), {"mu": x.mean(dim=1, keepdim=True)})


class Known(BlurRadius):
    """Returns blur radii given as (h, w) cells of the photo."""

    def __init__(self, radius: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.radius = torch.from_numpy(radius)[None, None]

    def forward(self, photo: torch.Tensor) -> BlurEstimate:
        assert photo.shape[-2] <= 8 * self.radius.shape[-2]
        return BlurEstimate(self.radius, torch.zeros_like(self.radius))


def noise(height: int, width: int, colours: int = 3, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, colours), dtype=np.uint8)


def detail() -> Network:
    return Detail(INIKNetConfig(4, 4, 2)).eval()


def restored(
    pixels: npt.NDArray[Any],
    *,
    radius: npt.NDArray[np.float32] | None = None,
    shares: LevelShares | None = None,
    region: Box | None = None,
    mask: npt.NDArray[np.uint8] | None = None,
    keep: bool = False,
    **settings: Any,
) -> Restored:
    chosen = RestoreSettings(device="cpu", precision="fp32", **settings)
    blur = None if radius is None else Known(radius)
    restorer = Restorer(detail(), chosen, blur_radius=blur, level_shares=shares)
    full_scale = 1.0 if pixels.dtype == np.float32 else 255.0
    photo = Photo.of_pixels(pixels, full_scale)
    return restorer.restore([photo], region=region, mask=mask, keep_coefficients=keep)[0]


def constant(size: Size, radius: float) -> npt.NDArray[np.float32]:
    return np.full((-(-size.height // 8), -(-size.width // 8)), radius, np.float32)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(64, 80), (65, 83), (1040, 17)])
def test_a_smaller_level_is_the_mean_over_blocks(scale: int, size: tuple[int, int]) -> None:
    pixels = noise(*size)
    small = shrunken(Photo.of_pixels(pixels, 255.0), scale).pixels
    rows, columns = size[0] // scale, size[1] // scale
    whole = pixels[: rows * scale, : columns * scale].reshape(rows, scale, columns, scale, 3)
    assert small.shape == (-(-size[0] // scale), -(-size[1] // scale), 3)
    np.testing.assert_allclose(small[:rows, :columns], whole.mean(axis=(1, 3)) / 255, atol=1e-6)


def test_a_smaller_level_sees_what_the_network_sees() -> None:
    pixels = np.array([-1.0, 0.5, 0.5, 3.0], np.float32).repeat(16).reshape(8, 8, 1)
    small = shrunken(Photo.of_pixels(pixels, 1.0), 8).pixels
    assert small.item() == pytest.approx((0 + 0.5 + 0.5 + 1) / 4)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_part_is_enlarged_like_the_whole(colours: int) -> None:
    values = noise(20, 30, colours).astype(np.float32)
    whole = doubled(values, Box(0, 0, 40, 60))
    assert whole.shape == (40, 60, colours)
    for box in (Box(0, 0, 40, 7), Box(8, 16, 24, 33), Box(2, 58, 39, 60)):
        np.testing.assert_allclose(doubled(values, box), whole[box.slices], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_shares_of_a_part_are_those_of_the_whole(factor: int) -> None:
    cells = noise(6, 7, 1)[..., 0].astype(np.float32)
    whole = cells_at(cells, factor, Box(0, 0, 6 * factor, 7 * factor))
    for box in (Box(0, 0, 3 * factor, factor), Box(factor, 2 * factor, 5 * factor, 7 * factor)):
        np.testing.assert_array_equal(cells_at(cells, factor, box), whole[box.slices])
    middles = whole[factor // 2 :: factor, factor // 2 :: factor] if factor == 1 else None
    if middles is not None:
        np.testing.assert_array_equal(middles, cells)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("scale", ["1", "1/2", "1/4", "1/8"])
def test_one_scale_adds_the_enlarged_change_of_the_smaller_photo(scale: str, dtype: Any) -> None:
    pixels = noise(272, 304).astype(dtype) / (dtype(1) if dtype == np.uint8 else dtype(255))
    pixels = pixels.astype(dtype)
    result = restored(pixels, scale=scale, clip=False)
    factor = int(scale[-1])
    full = 255.0 if dtype == np.uint8 else 1.0
    small = shrunken(Photo.of_pixels(pixels, full), factor).pixels
    padded = np.pad(small, ((16, 16), (16, 16), (0, 0)), mode="reflect")
    image = torch.from_numpy(padded.transpose(2, 0, 1).copy())[None]
    change = (detail()(image).image - image)[0, :, 16:-16, 16:-16].numpy().transpose(1, 2, 0)
    for _ in range(factor.bit_length() - 1):
        change = doubled(np.ascontiguousarray(change), Box(0, 0, 2 * len(change), 2 * change.shape[1]))
    expected = pixels + full * change[:272, :304]
    tolerance = 1 if dtype == np.uint8 else 1e-5
    np.testing.assert_allclose(
        result.pixels, np.clip(expected, 0, 255) if full > 1 else expected, atol=tolerance
    )
    assert result.report.levels == {scale: 1.0}
    assert not np.array_equal(result.pixels, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["1", "1/2", "1/4"])
def test_tiles_give_the_result_of_the_whole(scale: str) -> None:
    pixels = noise(520, 600).astype(np.float32) / 255
    whole = restored(pixels, scale=scale, tile=0)
    tiled = restored(pixels, scale=scale, tile=96)
    assert tiled.report.tiles > whole.report.tiles == 1
    np.testing.assert_allclose(tiled.pixels, whole.pixels, atol=2e-6)


@pytest.mark.parametrize("scale", ["1", "1/2", "1/4", "1/8"])
def test_a_region_is_a_part_of_the_whole(scale: str) -> None:
    pixels = noise(700, 800)
    region = Box(301, 333, 420, 455)
    whole = restored(pixels, scale=scale, tile=0)
    part = restored(pixels, scale=scale, region=region, tile=0)
    np.testing.assert_array_equal(part.pixels, whole.pixels[region.slices])


@pytest.mark.slow
def test_a_region_by_blur_radius_is_a_part_of_the_whole() -> None:
    pixels = noise(1200, 1300)
    radius = constant(Size(1200, 1300), 3.0)
    radius[:, :70] = 0.0
    radius[60:] = 12.0
    region = Box(431, 493, 520, 655)
    whole = restored(pixels, radius=radius, scale="auto", tile=0)
    restorer = Restorer(
        detail(),
        RestoreSettings(device="cpu", precision="fp32", scale="auto", tile=0),
        blur_radius=Cut(radius),
    )
    (part,) = restorer.restore([Photo.of_pixels(pixels, 255.0)], region=region)
    np.testing.assert_array_equal(part.pixels, whole.pixels[region.slices])


class Cut(Known):
    """Knows the radii of the whole photo; of a part, those around the middle row and column used above."""

    def forward(self, photo: torch.Tensor) -> BlurEstimate:
        rows, columns = -(-photo.shape[-2] // 8), -(-photo.shape[-1] // 8)
        top, left = (431 - 128) // 128 * 16, (493 - 128) // 128 * 16
        part = self.radius[..., top : top + rows, left : left + columns]
        return BlurEstimate(part, torch.zeros_like(part))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_photo_in_focus_comes_back_bit_for_bit_and_takes_no_network(dtype: npt.DTypeLike) -> None:
    pixels = noise(200, 300).astype(dtype)
    seen: list[tuple[int, int]] = []
    settings = RestoreSettings(device="cpu", precision="fp32", scale="auto")
    restorer = Restorer(detail(), settings, blur_radius=Known(constant(Size(200, 300), 0.0)))
    photo = Photo.of_pixels(pixels, 65535.0 if dtype == np.uint16 else 255.0)
    (result,) = restorer.restore([photo], on_progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(result.pixels, pixels)
    assert (result.report.tiles, result.report.levels, seen) == (0, {}, [(0, 0)])


def test_no_blur_is_claimed_where_the_photo_has_no_detail() -> None:
    pixels = np.full((256, 512, 3), 200, np.uint8)
    pixels[:, ::2] += 1  # one step of 8 bits, as a compressed sky has
    pixels[100, 400] = 150
    radius = constant(Size(256, 512), 9.0)
    blur = estimate_blur(Known(radius), Photo.of_pixels(pixels, 255.0), Box(0, 0, 256, 512))
    expected = np.zeros_like(radius)
    expected[9:16, 47:54] = 9
    np.testing.assert_array_equal(blur.radius, expected)


@pytest.mark.slow
def test_what_is_in_focus_stays_and_is_not_computed() -> None:
    pixels = noise(256, 1024)
    radius = constant(Size(256, 1024), 0.0)
    radius[:, 96:] = 1.5
    result = restored(pixels, radius=radius, shares=NATIVE, scale="auto", tile=96)
    everything = restored(pixels, scale="1", tile=96)
    np.testing.assert_array_equal(result.pixels[:, :752], pixels[:, :752])
    np.testing.assert_array_equal(result.pixels[:, 784:], everything.pixels[:, 784:])
    assert result.report.tiles < everything.report.tiles / 2
    assert result.report.levels["1"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("corner", "read"),
    [((slice(0, 7), slice(0, 7)), (112, 112)), ((slice(18, 26), slice(30, 37)), (128, 128))],
    ids=["corner", "middle"],
)
def test_of_a_tile_only_what_is_used_and_its_context_is_computed(
    corner: tuple[slice, slice], read: tuple[int, int]
) -> None:
    pixels = noise(256, 512)
    radius = constant(Size(256, 512), 0.0)
    radius[corner] = 1.5
    network = Watched(INIKNetConfig(4, 4, 2)).eval()
    settings = RestoreSettings(device="cpu", precision="fp32", scale="auto", tile=0)
    restorer = Restorer(network, settings, blur_radius=Known(radius), level_shares=NATIVE)
    (result,) = restorer.restore([Photo.of_pixels(pixels, 255.0)])
    assert network.seen == [read]
    whole = restored(pixels, radius=radius, shares=NATIVE, scale="auto", tile=0, keep=True)
    np.testing.assert_array_equal(result.pixels, whole.pixels)


class Watched(Detail):
    """Records the sizes of the tiles that it sees."""

    def __init__(self, config: INIKNetConfig) -> None:
        super().__init__(config)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> Prediction:
        self.seen.append(tuple(x.shape[2:]))
        return super().forward(x)


def test_only_the_level_that_is_used_is_computed() -> None:
    pixels = noise(512, 512)
    quarter = restored(pixels, radius=constant(Size(512, 512), 2.0), shares=QUARTERS, scale="auto", tile=160)
    assert quarter.report.levels == {"1/4": 1.0}
    assert quarter.report.tiles == 1
    np.testing.assert_array_equal(quarter.pixels, restored(pixels, scale="1/4", tile=160).pixels)


@pytest.mark.slow
def test_levels_are_blended_by_their_shares() -> None:
    pixels = noise(256, 256).astype(np.float32) / 255
    radius = constant(Size(256, 256), 1.0)
    both = LevelShares((0.0, 1.0), ((0.0, 0.6), (0.0, 0.3), (0.0, 0.0), (0.0, 0.0)))
    result = restored(pixels, radius=radius, shares=both, scale="auto")
    fine, coarse = (restored(pixels, scale=scale).pixels - pixels for scale in ("1", "1/2"))
    np.testing.assert_allclose(result.pixels - pixels, 0.6 * fine + 0.3 * coarse, atol=1e-5)


def test_what_is_blurred_too_much_is_left_alone() -> None:
    pixels = noise(256, 512)
    radius = constant(Size(256, 512), 2.0)
    radius[:, 32:] = 9.0
    result = restored(pixels, radius=radius, scale="1", max_blur=5.0)
    np.testing.assert_array_equal(result.pixels[:, 264:], pixels[:, 264:])
    np.testing.assert_array_equal(result.pixels[:, :248], restored(pixels, scale="1").pixels[:, :248])


@pytest.mark.parametrize("scale", ["1", "1/4"])
def test_a_mask_is_kept_to_the_pixel(scale: str) -> None:
    pixels, mask = noise(256, 320), np.zeros((256, 320), np.uint8)
    mask[40:101, 50:130] = 255
    mask[40:101, 130:140] = 128
    result = restored(pixels, scale=scale, mask=mask).pixels.astype(float)
    free = restored(pixels, scale=scale).pixels.astype(float)
    np.testing.assert_array_equal(result[mask == 0], pixels[mask == 0])
    np.testing.assert_array_equal(result[mask == 255], free[mask == 255])
    half = (pixels + (free - pixels) * 128 / 255)[mask == 128]
    inside = (free[mask == 128] > 0) & (free[mask == 128] < 255)  # elsewhere, the change was clipped
    assert np.abs(result[mask == 128] - half)[inside].max() <= 1


def test_a_mask_of_any_size_but_of_the_photos_shape() -> None:
    pixels, mask = noise(256, 320), np.zeros((128, 160), np.uint8)
    mask[:, :80] = 255
    region = Box(100, 150, 140, 330 - 20)
    whole = restored(pixels, mask=mask)
    np.testing.assert_array_equal(whole.pixels[:, 162:], pixels[:, 162:])
    part = restored(pixels, mask=mask, region=region)
    np.testing.assert_array_equal(part.pixels, whole.pixels[region.slices])
    with pytest.raises(InputError, match=r"mask of 160x100 .* shape of the photo, 320x256"):
        restored(pixels, mask=mask[:100])


def test_coefficients_are_those_of_the_level_with_the_largest_share() -> None:
    pixels = noise(256, 320)
    result = restored(pixels, radius=constant(Size(256, 320), 2.0), shares=QUARTERS, scale="auto", keep=True)
    assert result.coefficients is not None
    expected = shrunken(Photo.of_pixels(pixels, 255.0), 4).pixels.mean(axis=2)
    np.testing.assert_allclose(result.coefficients["mu"][0], expected, atol=1e-3)


def test_neutral_photos_stay_neutral_at_every_level() -> None:
    pixels = np.repeat(noise(256, 256, 1), 3, axis=2)
    for scale in ("1", "1/2", "1/4"):
        assert np.ptp(restored(pixels, scale=scale).pixels, axis=2).max() == 0


def test_scales_that_leave_too_little() -> None:
    with pytest.raises(UsageError, match=r"scale of 1/8, a photo of 300x200 .* fewer than 32"):
        restored(noise(200, 300), scale="1/8")
    assert levels_for(Size(63, 900)) == (1,)
    assert levels_for(Size(64, 900)) == (1, 2)
    assert levels_for(Size(256, 256)) == SCALES


def test_a_small_photo_is_restored_at_full_size_only() -> None:
    pixels = noise(60, 60)
    auto = restored(pixels, radius=constant(Size(60, 60), 9.0), scale="auto")
    np.testing.assert_array_equal(auto.pixels, restored(pixels, scale="1").pixels)


def test_settings_that_are_not_possible() -> None:
    with pytest.raises(UsageError, match="'1/3' is not a scale"):
        RestoreSettings(scale="1/3")
    for radius in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="largest blur of"):
            RestoreSettings(max_blur=radius)


def test_shares_follow_the_radius_and_its_uncertainty() -> None:
    radius = np.repeat(np.array([[0.0, 1.0, 3.0, 10.0, 40.0]], np.float32), 5, axis=1).repeat(5, axis=0)
    certain = shares_by_radius(radius, np.zeros_like(radius), DEFAULT_SHARES, SCALES)
    best = certain[:, 2, 2::5].argmax(axis=0)
    assert certain[:, 2, 0].max() == 0
    assert best[1:].tolist() == sorted(best[1:].tolist())
    assert best[-1] == 3
    vague = shares_by_radius(radius, radius, DEFAULT_SHARES, SCALES)
    assert (vague[:, 2, 7] > 0.1).sum() > (certain[:, 2, 7] > 0.1).sum()
    fine_only = shares_by_radius(radius, np.zeros_like(radius), DEFAULT_SHARES, (1, 2))
    assert fine_only[2:].max() == 0
    np.testing.assert_array_equal(fine_only[:2], certain[:2])


def test_patches_too_small_for_their_context_are_left_alone() -> None:
    shares = np.zeros((4, 112, 120), np.float32)
    shares[0, 2:8, 2:30] = 0.9  # six cells high
    shares[0, 12:19, 12:19] = 0.9
    shares[0, 15, 19:40] = 0.9  # a narrow part of a large patch
    shares[1, 30:37, 0:7] = 0.9
    kept = worthwhile(shares)
    expected = shares.copy()
    expected[0, 2:8, 2:30] = 0
    np.testing.assert_array_equal(kept, expected)
    small = shares[:, :96]
    np.testing.assert_array_equal(worthwhile(small), small)  # six cells are enough there


def test_small_shares_are_left_out() -> None:
    shares = np.zeros((4, 8, 16), np.float32)
    shares[:2] = 0.24
    shares[0, :, :8], shares[1, :, 8:] = 0.3, 0.3
    kept = worthwhile(shares)
    assert (kept[0, :, :8] == np.float32(0.3)).all() and not kept[0, :, 8:].any()
    assert (kept[1, :, 8:] == np.float32(0.3)).all() and not kept[1, :, :8].any()


def test_measured_shares_are_checked() -> None:
    with pytest.raises(ValueError, match="four levels"):
        LevelShares((0.0, 1.0), ((0.0, 1.0),))
    with pytest.raises(ValueError, match="rise from 0"):
        LevelShares((1.0, 0.0), ((0.0, 1.0),) * 4)


def test_memory_goes_back_between_tiles_of_different_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of one size fit into each other's place; those of many sizes leave gaps that add up."""
    returned: list[int] = []
    monkeypatch.setattr("defocusctl.restoring.pyramid.return_freed_memory", lambda: returned.append(1))
    pixels = noise(256, 512)
    assert restored(pixels, scale="1", tile=96).report.tiles > 1
    assert not returned
    radius = constant(Size(256, 512), 0.0)
    radius[4:9, 5:50] = 2.0
    assert restored(pixels, radius=radius, shares=NATIVE, scale="auto", tile=96).report.tiles > 1
    assert returned
