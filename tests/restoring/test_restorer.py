"""Restoring photos: padding, tiles, colours, depth, memory and what happens when a network misbehaves."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from benchmarks.receptive_field import receptive_radius

from defocusctl.errors import DeviceError, InputError, UsageError
from defocusctl.models.fast_layers import for_inference
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network, Prediction
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box, Size
from defocusctl.restoring.levels import Level
from defocusctl.restoring.output import OutputBuffer
from defocusctl.restoring.restored import Restored
from defocusctl.restoring.restorer import Restorer
from defocusctl.restoring.settings import RestoreSettings
from defocusctl.restoring.tile_runner import TileResult, read_tile
from defocusctl.restoring.tiles import plan_tiles, smallest_tile
from defocusctl.system.devices import choose_device, choose_precision
from defocusctl.system.threads import torch_threads

SMALL_INIKNET = INIKNetConfig(width=4, blocks_per_stage=1, atoms=2, kernel_sizes=3, atom_width=4)
SMALL_NRKNET = NRKNetConfig(width=4, atoms=4)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(name: str) -> Network:
    """A small network whose random answer differs from its input, but not grossly."""
    return lively(INIKNet(SMALL_INIKNET) if name == "iniknet" else NRKNet(SMALL_NRKNET))


def lively(network: Any) -> Any:
    """Initial weights answer with almost the input; these change it visibly."""
    torch.manual_seed(1)
    network.initialise()
    if isinstance(network, INIKNet):
        with torch.no_grad():
            network.filtering.sum.weight.normal_(std=0.05)
    return network


def photo(height: int, width: int, channels: int = 3, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """Smooth random light with some noise, in the full range of the type."""
    generator = np.random.default_rng(height * 1000 + width)
    coarse = generator.random((height // 8 + 2, width // 8 + 2, channels))
    rows, columns = np.arange(height) / 8, np.arange(width) / 8
    light = coarse[rows.astype(int)[:, None], columns.astype(int)] * 0.8 + 0.2 * generator.random(
        (height, width, channels)
    )
    if np.dtype(dtype) == np.float32:
        return light.astype(np.float32)
    return (light * np.iinfo(dtype).max).astype(dtype)


def run(
    network: Network,
    pixels: npt.NDArray[Any],
    *,
    region: Box | None = None,
    keep: bool = False,
    **settings: Any,
) -> Restored:
    restorer = Restorer(network, RestoreSettings(device="cpu", **({"precision": "fp32"} | settings)))
    full_scale = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    return restorer.restore([Photo.of_pixels(pixels, full_scale)], region=region, keep_coefficients=keep)[0]


@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_shape_and_type_stay(name: str, channels: int, dtype: npt.DTypeLike) -> None:
    pixels = photo(50, 70, channels, dtype)
    restored = run(small(name), pixels).pixels
    assert restored.shape == pixels.shape
    assert restored.dtype == pixels.dtype
    assert not np.array_equal(restored, pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 2), (16, 16), (17, 33), (31, 5), (32, 32)])
def test_any_size(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    result = run(small("iniknet"), pixels, keep=True)
    assert result.pixels.shape == pixels.shape
    assert result.coefficients is not None
    assert result.coefficients["mu"].shape[1:] == size


@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
def test_the_photo_is_the_networks_output(name: str) -> None:
    """Against the plain network on the whole, reflected photo."""
    pixels = photo(40, 70, dtype=np.float32)
    network = small(name).eval()
    padded = np.pad(pixels, ((16, 24), (16, 26), (0, 0)), mode="reflect")
    with torch.inference_mode():
        expected = network(torch.from_numpy(padded.transpose(2, 0, 1).copy())[None]).image[0, :, 16:56, 16:86]
    settings = RestoreSettings(device="cpu", precision="fp32")
    restored = Restorer(network, settings).restore([Photo.of_pixels(pixels, 1.0)])[0].pixels
    np.testing.assert_allclose(restored, expected.clamp(0, 1).numpy().transpose(1, 2, 0), atol=2e-6)


def test_reflection_then_the_last_reflected_pixel() -> None:
    pixels = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 1), np.uint8)
    tile = read_tile(pixels, 2.0, Box(0, 0, 32, 32))
    assert tile.shape == (1, 32, 32)
    assert tile[0, :7, 0].tolist() == [0, 0.5, 1, 0.5, 0, 0, 0]
    before = read_tile(pixels, 2.0, Box(-16, -16, 16, 16))
    assert before[0, 10:22, 20].tolist() == [0, 0, 0, 0.5, 1, 0.5, 0, 0.5, 1, 0.5, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
def test_tiles_with_their_reach_as_overlap_are_the_whole(name: str) -> None:
    network = small(name)
    overlap = receptive_radius(network)
    pixels = photo(160, 2 * overlap + 320, dtype=np.float32)
    whole = run(network, pixels, tile=0, keep=True)
    tiled = run(network, pixels, tile=2 * overlap + 160, overlap=overlap, keep=True)
    assert whole.report.tiles == 1
    assert tiled.report.tiles > 1
    np.testing.assert_allclose(tiled.pixels, whole.pixels, rtol=0, atol=1e-5)
    assert whole.coefficients is not None
    assert tiled.coefficients is not None
    for name_of_map, values in whole.coefficients.items():
        np.testing.assert_allclose(tiled.coefficients[name_of_map], values, rtol=2e-3, atol=1e-5)


@pytest.mark.slow
def test_less_overlap_than_the_reach_shows_where_tiles_meet() -> None:
    """The test above would not notice a reach of zero if nothing depended on the overlap."""
    network = small("iniknet")
    pixels = photo(160, 600, dtype=np.float32)
    difference = np.abs(run(network, pixels, tile=0).pixels - run(network, pixels, tile=64, overlap=0).pixels)
    assert difference.max() > 1e-4


@pytest.mark.parametrize("name", ["iniknet", "nrknet"])
def test_a_region_is_the_same_crop_of_the_whole(name: str) -> None:
    network = small(name)
    pixels = photo(90, 700, dtype=np.float32)
    region = Box(10, 301, 75, 388)
    part = run(network, pixels, region=region, overlap=receptive_radius(network), keep=True)
    whole = run(network, pixels, tile=0)
    assert part.report.megapixels == pytest.approx(65 * 87 / 1e6)
    np.testing.assert_allclose(part.pixels, whole.pixels[region.slices], rtol=0, atol=1e-5)
    assert part.coefficients is not None
    if name == "nrknet":
        assert part.coefficients["gamma_1"].shape[1:] == (65, 87)
        assert part.coefficients["gamma_3"].shape[1:] == (17, 22)  # rows 8 to 76, columns 300 to 388


@pytest.mark.parametrize(
    "region", [Box(0, 0, 41, 10), Box(0, 60, 10, 71), Box(50, 5, 60, 10), Box(-1, 0, 5, 5)]
)
def test_a_region_outside_the_photo(region: Box) -> None:
    with pytest.raises(UsageError, match=r"not inside.*70x40"):
        run(small("iniknet"), photo(40, 70), region=region)


def test_strength() -> None:
    network, pixels = small("iniknet"), photo(40, 40, dtype=np.uint16)
    full = run(network, pixels).pixels.astype(float)
    half = run(network, pixels, strength=0.5).pixels.astype(float)
    assert np.array_equal(run(network, pixels, strength=0.0).pixels, pixels)
    np.testing.assert_allclose(half, (full + pixels) / 2, atol=1)
    with pytest.raises(UsageError, match=r"strength of 1\.5"):
        RestoreSettings(strength=1.5)


@pytest.mark.parametrize("channels", [1, 3])
def test_light_beyond_white_survives(channels: int) -> None:
    pixels = photo(40, 40, channels, np.float32)
    pixels[10:14, 10:14] = 7.0
    pixels[20, 20] = -0.5
    before = pixels.copy()
    restored = run(small("iniknet"), pixels).pixels
    np.testing.assert_array_equal(pixels, before)
    assert restored[10:14, 10:14].min() > 5.9
    assert restored[20, 20].max() < 0.6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite(value: float) -> None:
    pixels = photo(300, 20, dtype=np.float32)
    pixels[280, 3, 1] = value
    with pytest.raises(InputError, match="not numbers"):
        run(small("iniknet"), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.int64)]
)
def test_arrays_that_are_not_photos(pixels: npt.NDArray[Any]) -> None:
    restorer = Restorer(small("iniknet"), RestoreSettings(device="cpu"))
    with pytest.raises(InputError):
        restorer.restore([Photo.of_pixels(pixels, 255.0)])


def test_grey_is_the_mean_of_three_equal_channels() -> None:
    network, grey = small("nrknet"), photo(40, 40, 1, np.float32)
    colour = run(network, np.repeat(grey, 3, axis=2)).pixels
    np.testing.assert_allclose(run(network, grey).pixels[..., 0], colour.mean(axis=2), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_neutral_photo_stored_as_rgb_stays_neutral(dtype: npt.DTypeLike) -> None:
    """The mean change is added to all three colours, also in a region; one coloured pixel makes a photo."""
    network, grey = small("iniknet"), photo(40, 40, 1, dtype)
    neutral = np.repeat(grey, 3, axis=2)
    restored = run(network, neutral).pixels
    np.testing.assert_array_equal(restored, np.broadcast_to(run(network, grey).pixels, neutral.shape))
    assert not np.array_equal(restored, neutral)
    coloured = neutral.copy()
    coloured[39, 39] = [0, 0, neutral.max()]
    region = Box(0, 0, 16, 16)
    assert np.ptp(run(network, neutral, region=region).pixels, axis=2).max() == 0
    assert np.ptp(run(network, coloured, region=region).pixels, axis=2).max() > 0


def test_colours_within_one_level_are_neutral() -> None:
    neutral = np.repeat(photo(40, 40, 1), 3, axis=2).clip(0, 254)
    neutral[::2, :, 1] += 1
    restored = run(small("nrknet"), neutral).pixels.astype(int)
    assert np.ptp(restored, axis=2).max() == 1
    assert not np.array_equal(restored, neutral)


@pytest.mark.slow
def test_progress_counts_the_tiles() -> None:
    seen: list[tuple[int, int]] = []
    restorer = Restorer(small("iniknet"), RestoreSettings(device="cpu", tile=64, overlap=8))
    (restored,) = restorer.restore(
        [Photo.of_pixels(photo(64, 150), 255.0)], on_progress=lambda done, total: seen.append((done, total))
    )
    report = restored.report
    assert seen == [(done, report.tiles) for done in range(report.tiles + 1)]
    assert report.tiles > 1
    assert report.peak_memory > 1e7


def test_beside_the_photo_only_the_result_and_open_seams_are_held() -> None:
    """NumPy's allocations; whole-photo accumulators in float32 would be four times the result and more."""
    pixels = photo(900, 1200)
    plan = plan_tiles(Size(900, 1200), tile=Size(160, 160), overlap=8)
    result = TileResult(np.zeros((3, *plan.tile), np.float32), {}, rejected=None)
    tracemalloc.start()
    buffer = OutputBuffer(Level(1, Box(0, 0, 900, 1200), Photo.of_pixels(pixels, 255.0)), strength=1.0)
    buffer.begin(plan)
    for tile in plan.tiles:
        buffer.add(tile, tile.read, result)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.count > 50
    assert peak < pixels.nbytes + 2_000_000
    assert np.array_equal(buffer.pixels, pixels)


class Greedy(INIKNet):
    """Runs out of memory, as the CPU allocator says it, on inputs of more than ``limit`` pixels per side."""

    limit = 64

    def forward(self, x: torch.Tensor) -> Prediction:
        if max(x.shape[2:]) > self.limit:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
            )
        return super().forward(x)


@pytest.mark.slow
def test_tiles_are_halved_until_they_fit() -> None:
    pixels = photo(68, 168)  # 100 x 200 with its context
    settings = RestoreSettings(device="cpu", tile=160, overlap=8)
    network = lively(Greedy(SMALL_INIKNET))
    restorer = Restorer(network, settings)
    wanted = [Photo.of_pixels(pixels, 255.0)]
    first = restorer.restore(wanted)[0]
    assert first.report.warnings == ("cpu ran out of memory with tiles of 128 pixels, went on with 64",)
    planned = Restorer(network, replace(settings, tile=64)).restore(wanted)[0]
    assert first.report.tile == planned.report.tile <= 64
    assert np.array_equal(first.pixels, planned.pixels)
    network.limit = 160  # other programs have ended
    again = restorer.restore(wanted)[0]
    assert (again.report.tile, again.report.warnings) == (128, ())


@pytest.mark.slow
def test_an_allocation_that_cannot_be_made_is_recognised() -> None:
    class Huge(INIKNet):
        def forward(self, x: torch.Tensor) -> Prediction:
            torch.empty(2**60 if x.shape[-1] > 64 else 1, dtype=torch.uint8)
            return super().forward(x)

    result = run(Huge(SMALL_INIKNET), photo(64, 200), tile=128, overlap=8)
    assert "ran out of memory" in result.report.warnings[0]


def test_not_even_the_smallest_tile_fits() -> None:
    network = Greedy(SMALL_INIKNET)
    network.limit = 16
    with pytest.raises(DeviceError, match="not have enough memory even for tiles of 48"):
        run(network, photo(100, 200), tile=160, overlap=8)


def test_other_errors_of_the_network_are_not_hidden() -> None:
    class Broken(INIKNet):
        def forward(self, x: torch.Tensor) -> Prediction:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(Broken(SMALL_INIKNET), photo(40, 40))


class Overflowing(INIKNet):
    """Fails on bright tiles: with NaN under autocast only, or with a colour cast in every precision."""

    cast = False

    def forward(self, x: torch.Tensor) -> Prediction:
        prediction = super().forward(x)
        if x.mean() < 0.8:
            return prediction
        if self.cast:
            return prediction._replace(
                image=prediction.image * torch.tensor([1.0, 0.2, 1.0]).view(1, 3, 1, 1)
            )
        if torch.is_autocast_enabled("cpu"):
            return prediction._replace(image=prediction.image * torch.nan)
        return prediction


def half_bright() -> npt.NDArray[np.uint8]:
    pixels = photo(64, 256) // 3
    pixels[:, 128:] = 255 - photo(64, 128) // 16
    return pixels


@pytest.mark.slow
def test_a_tile_that_fails_in_half_precision_is_redone_in_float32() -> None:
    network = lively(Overflowing(SMALL_INIKNET))
    pixels = half_bright()
    expected = run(network, pixels, tile=64, overlap=8).pixels
    reduced = run(network, pixels, tile=64, overlap=8, precision="bf16")
    assert reduced.report.precision == "bf16"
    assert reduced.report.warnings == ()
    assert np.abs(reduced.pixels.astype(int) - expected).max() <= 2


@pytest.mark.slow
def test_a_tile_that_stays_wrong_keeps_the_original_and_is_reported() -> None:
    network = lively(Overflowing(SMALL_INIKNET))
    network.cast = True
    pixels = half_bright()
    result = run(network, pixels, tile=64, overlap=8, keep=True)
    assert np.array_equal(result.pixels[:, 192:], pixels[:, 192:])
    assert not np.array_equal(result.pixels[:, :64], pixels[:, :64])
    assert all("shifts the colours grossly" in warning for warning in result.report.warnings)
    parts = {warning.split()[3] for warning in result.report.warnings}
    assert {"40x40+216+0", "40x40+216+24"} <= parts  # which end where the photo does


def test_faster_layers_compute_the_same() -> None:
    x = torch.rand(1, 3, 48, 64)
    for name in ("iniknet", "nrknet"):
        network = small(name).eval()
        with torch.inference_mode():
            expected = network(x).image
            actual = for_inference(network, torch.device("cpu"))(x).image
        torch.testing.assert_close(actual, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("computes", "precision"), [(True, "bf16"), (False, "fp32")])
def test_the_cpu_chooses_bfloat16_only_where_it_computes_in_it(
    computes: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: computes, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert choose_precision("auto", torch.device("cpu")) == precision


def test_devices_and_precisions_that_are_not_there() -> None:
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_precision("bf16", cpu) == "bf16"
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    for name in ("tpu", "cpu:1", "cuda:x"):
        with pytest.raises(DeviceError, match="is not a device"):
            choose_device(name)
    with pytest.raises(UsageError, match="'fp8' is not a precision"):
        choose_precision("fp8", cpu)
    with pytest.raises(DeviceError, match="not for CPUs"):
        choose_precision("fp16", cpu)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="--device auto"):
            choose_device("cuda:3")


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("overlap", [0, 300, 600])
def test_automatic_tiles_have_room_for_any_overlap(overlap: int, threads: int) -> None:
    with torch_threads(threads):
        planner = Restorer(small("iniknet"), RestoreSettings(device="cpu", overlap=overlap)).planner
        assert min(planner.plan(Size(4000, 6000)).tile) >= smallest_tile(overlap)
