"""Pictures whose panels and words are all there and legible."""

import itertools
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from defocusctl.errors import OutputError
from defocusctl.maps.atoms import atom_arrays, atoms_sheet, spectrum
from defocusctl.maps.compare import improved_details, write_comparison
from defocusctl.maps.maps import (
    LEVELS,
    blur_radius_sheet,
    gamma_sheet,
    map_paths,
    mu_sheet,
    omega_sheet,
    write_maps,
    write_maps_data,
)
from defocusctl.maps.reduction import area_mean, reduced_photo, rgb8
from defocusctl.maps.sheet import ColourScale, Sheet
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.photo import Metadata, Photo

pytestmark = pytest.mark.slow

SHAPES = [(1, 1), (61, 37), (20, 190), (300, 9)]


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    small: list[Network] = [
        INIKNet(INIKNetConfig(width=8, blocks_per_stage=1)),
        NRKNet(NRKNetConfig(width=8)),
    ]
    for network in small:
        network.initialise()
    return {network.name: network for network in small}


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo_of(pixels: np.ndarray) -> Photo:
    return Photo(pixels, None, "PNG")


def coefficients(model: str, height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    if model == "iniknet":
        mu = rng.random((8, height, width))
        omega = rng.standard_normal((10, height, width))
        return {"mu": (mu / mu.sum(axis=0)).astype(np.float16), "omega": omega.astype(np.float16)}
    return {
        f"gamma_{t}": rng.standard_normal((22, -(-height // s), -(-width // s))).astype(np.float32)
        for t, s in ((1, 1), (2, 2), (3, 4))
    }


def radius_of(height: int, width: int) -> np.ndarray:
    """A blur radius in pixels for each pixel."""
    return np.random.default_rng(4).uniform(0, 9, (height, width)).astype(np.float32)


def shares_of(height: int, width: int) -> np.ndarray:
    """Shares of four levels for each 8 x 8 pixels; some parts are unchanged."""
    shares = np.random.default_rng(5).random((4, -(-height // 8), -(-width // 8)), dtype=np.float32)
    return shares / 4


class TestReduction:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
    def test_area_mean_of_ragged_blocks(self, dtype: type) -> None:
        image = (np.random.default_rng(3).random((11, 8, 3)) * 200).astype(dtype)
        blocks = [
            [image[y : y + 4, x : x + 4].astype(float).mean(axis=(0, 1)) for x in range(0, 8, 4)]
            for y in range(0, 11, 4)
        ]
        np.testing.assert_allclose(area_mean(image, 4), blocks, rtol=1e-5)

    def test_photo_in_any_depth_becomes_the_same_picture(self) -> None:
        grey = np.linspace(0, 1, 12).reshape(3, 4, 1)
        expected = np.rint(grey * 255).repeat(3, axis=2)
        np.testing.assert_array_equal(reduced_photo(grey.astype(np.float32), 1.0, 100), expected)
        np.testing.assert_array_equal(rgb8((grey * 65535).round().astype(np.uint16), 65535.0), expected)

    def test_float_photo_beyond_white_and_without_a_number(self) -> None:
        pixels = np.array([[[-1.0], [2.0], [np.inf], [np.nan]]], dtype=np.float32)
        assert rgb8(pixels, 1.0)[0, :, 0].tolist() == [0, 255, 255, 0]


def test_signed_scale_is_symmetric_and_survives_constants() -> None:
    scale = ColourScale.symmetric([np.array([[-1.0, 3.0]], dtype=np.float32)])
    assert scale.low == -scale.high
    assert scale.norm(0.0) == pytest.approx(0.5)
    for values in (np.zeros((2, 2)), np.full((2, 2), 7.0), np.full((2, 2), np.nan)):
        for build in (ColourScale.symmetric, ColourScale.symmetric_asinh):
            assert build([values.astype(np.float32)]).high > 0
        flat = ColourScale.sequential([values.astype(np.float32)], "magma")
        assert flat.low < flat.high


def test_a_blur_radius_that_hardly_varies_looks_flat() -> None:
    shares = shares_of(30, 40)
    noise = np.random.default_rng(6).normal(0.3, 0.05, (30, 40)).astype(np.float32)
    picture = blur_radius_sheet(photo_of(photo(30, 40)), noise, shares).page.images[1]
    low, high = picture.get_clim()
    assert high - low == pytest.approx(2)
    varied = noise * np.linspace(1, 20, 40, dtype=np.float32)
    picture = blur_radius_sheet(photo_of(photo(30, 40)), varied, shares).page.images[1]
    assert picture.get_clim() == pytest.approx((0, np.percentile(varied, 99.5)))


def test_levels_have_their_colours() -> None:
    shares = np.zeros((4, 2, 3), np.float32)
    for level in range(4):
        shares[level].ravel()[level] = 1
    shares[0, 1, 2] = 0.5
    drawn = blur_radius_sheet(photo_of(photo(16, 24)), radius_of(16, 24), shares).page.images[2].get_array()
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in LEVELS.values()])
    np.testing.assert_array_equal(np.asarray(drawn).reshape(6, 3)[:5], colours)
    np.testing.assert_allclose(np.asarray(drawn)[1, 2], (colours[0] + colours[4]) / 2, atol=1)


def map_sheets(height: int, width: int) -> dict[str, tuple[Sheet, tuple[int, int]]]:
    """Every kind of page of a photo with the numbers of pictures and of colour bars it must have."""
    pixels = photo_of(photo(height, width))
    inik, nrk = coefficients("iniknet", height, width), coefficients("nrknet", height, width)
    return {
        "mu": (mu_sheet(pixels, inik["mu"]), (1 + 8, 1)),
        "omega": (omega_sheet(pixels, inik["omega"]), (1 + 10, 1)),
        "gamma": (gamma_sheet(pixels, [nrk[f"gamma_{t}"] for t in (1, 2, 3)]), (3 * (1 + 22), 1)),
        "radius": (
            blur_radius_sheet(pixels, radius_of(height, width), shares_of(height, width)),
            (3, 1),
        ),
    }


def atom_sheets(networks: dict[str, Network]) -> dict[str, tuple[Sheet, tuple[int, int]]]:
    return {
        "inverse atoms": (atoms_sheet(networks["iniknet"]), (2 * 7 * 10, 2)),
        "recursive atoms": (atoms_sheet(networks["nrknet"]), (3 * 22 - 1, 4)),
    }


def assert_legible(sheet: Sheet, name: str) -> None:
    """Every word lies on the page and none covers another."""
    sheet.figure.draw_without_rendering()
    words = [*sheet.page.texts]
    for axes in sheet.figure.axes[1:]:
        low, high = axes.get_ylim()
        ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        words += [label for value, label in ticks if low <= value <= high and label.get_text()]
    page = sheet.figure.bbox
    boxes = [(word.get_text(), word.get_window_extent()) for word in words]
    for text, box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1, (name, text)
        assert page.y0 <= box.y0 and box.y1 <= page.y1, (name, text)
    for (one, box), (other, box2) in itertools.combinations(boxes, 2):
        apart = box.x1 <= box2.x0 or box2.x1 <= box.x0 or box.y1 <= box2.y0 or box2.y1 <= box.y0
        assert apart, (name, one, other)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_maps_of_any_photo_are_complete_and_legible(height: int, width: int) -> None:
    for name, (sheet, pictures) in map_sheets(height, width).items():
        assert (len(sheet.page.images), len(sheet.figure.axes) - 1) == pictures, name
        assert_legible(sheet, name)


def test_atoms_are_complete_and_legible(networks: dict[str, Network]) -> None:
    for name, (sheet, pictures) in atom_sheets(networks).items():
        assert (len(sheet.page.images), len(sheet.figure.axes) - 1) == pictures, name
        assert_legible(sheet, name)


def test_labels_name_the_coefficients_of_the_papers(networks: dict[str, Network]) -> None:
    pages = map_sheets(40, 60) | atom_sheets(networks)
    labels = {name: [word.get_text() for word in sheet.page.texts] for name, (sheet, _) in pages.items()}
    assert r"$\mu_{8}$  15 × 15" in labels["mu"]
    assert {rf"$\omega_{{{n}}}$" for n in range(1, 11)} <= set(labels["omega"])
    assert all(labels["gamma"].count(rf"$\gamma_{{{j}}}$") == 3 for j in range(1, 23))
    assert {"pixels", *LEVELS} <= set(labels["radius"])
    assert {f"{k} × {k}" for k in range(3, 16, 2)} <= set(labels["inverse atoms"])
    assert "$j = 22$" in labels["recursive atoms"]


def arguments(network: Network, maps: dict[str, np.ndarray], height: int, width: int) -> tuple[Any, ...]:
    """What ``write_maps`` draws, for a photo of this size."""
    return photo_of(photo(height, width)), network, maps, radius_of(height, width), shares_of(height, width)


class TestWriteMaps:
    @pytest.mark.parametrize("model", ["iniknet", "nrknet"])
    @pytest.mark.parametrize(("height", "width"), [(1, 1), (50, 33)])
    def test_files_of_a_photo(
        self, tmp_path: Path, networks: dict[str, Network], model: str, height: int, width: int
    ) -> None:
        directory = tmp_path / "new" / "maps"
        maps = coefficients(model, height, width)
        paths = write_maps(directory, "a $b", *arguments(networks[model], maps, height, width))
        assert paths == map_paths(directory, "a $b", model)
        assert sorted(directory.iterdir()) == sorted(paths)
        for path in paths:
            with Image.open(path) as picture:
                assert picture.format == "PNG"
                assert picture.info["Software"].startswith("defocusctl ")
                assert np.asarray(picture.convert("L")).std() > 10

    def test_the_colours_are_those_of_the_values(self, tmp_path: Path, networks: dict[str, Network]) -> None:
        maps = coefficients("iniknet", 8, 8)
        maps["mu"][:] = 0
        maps["mu"][2] = 1
        path = write_maps(tmp_path, "p", *arguments(networks["iniknet"], maps, 8, 8))[1]
        with Image.open(path) as picture:
            colours = {colour: count for count, colour in picture.convert("RGB").getcolors(1 << 24) or []}
        purple, yellow = (68, 1, 84), (253, 231, 36)  # the ends of viridis
        panel = 330 * 330
        assert colours[purple] == pytest.approx(7 * panel, rel=0.05)
        assert colours[yellow] == pytest.approx(panel, rel=0.05)

    def test_pixels_without_a_number_are_drawn(self, tmp_path: Path, networks: dict[str, Network]) -> None:
        maps = coefficients("nrknet", 16, 16)
        for gamma in maps.values():
            gamma[:, :2] = np.nan
        assert len(write_maps(tmp_path, "p", *arguments(networks["nrknet"], maps, 16, 16))) == 3

    def test_existing_files_stay_unless_forced(self, tmp_path: Path, networks: dict[str, Network]) -> None:
        maps = coefficients("nrknet", 8, 8)
        taken = map_paths(tmp_path, "p", "nrknet")[0]
        taken.write_text("mine")
        with pytest.raises(OutputError, match="exists"):
            write_maps(tmp_path, "p", *arguments(networks["nrknet"], maps, 8, 8))
        assert [path.name for path in tmp_path.iterdir()] == [taken.name]
        assert taken.read_text() == "mine"
        write_maps(tmp_path, "p", *arguments(networks["nrknet"], maps, 8, 8), force=True)
        assert taken.read_bytes().startswith(b"\x89PNG")

    def test_folder_that_is_a_file(self, tmp_path: Path, networks: dict[str, Network]) -> None:
        occupied = tmp_path / "maps"
        occupied.touch()
        with pytest.raises(OutputError, match="cannot make the folder"):
            write_maps(occupied, "p", *arguments(networks["nrknet"], coefficients("nrknet", 8, 8), 8, 8))


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_data_file_holds_what_was_drawn(tmp_path: Path, networks: dict[str, Network], model: str) -> None:
    maps = coefficients(model, 13, 21)
    path = tmp_path / "maps.data"
    radius, shares = radius_of(13, 21), shares_of(13, 21)
    write_maps_data(path, networks[model], maps, radius, shares)
    with np.load(path, allow_pickle=False) as data:
        assert str(data["model"]) == model
        for name, values in (maps | atom_arrays(networks[model])).items():
            assert data[name].dtype == values.dtype
            np.testing.assert_array_equal(data[name], values)
        np.testing.assert_array_equal(data["blur_radius"], radius)
        np.testing.assert_array_equal(data["level_shares"], shares)


def test_atoms_have_their_shapes_and_sums(networks: dict[str, Network]) -> None:
    inverse = atom_arrays(networks["iniknet"])
    assert {name: atoms.shape for name, atoms in inverse.items()} == {
        f"atoms_{k}": (10, k, k) for k in range(3, 16, 2)
    }
    recursive = atom_arrays(networks["nrknet"])
    assert recursive["recursive_kernels"].shape == (21, 3, 3)
    assert recursive["atoms"].shape == (22, 3, 43, 43)
    np.testing.assert_allclose(recursive["atoms"].sum(axis=(2, 3)), 1, atol=1e-5)
    assert recursive["atoms"][0, :, 21, 21].tolist() == [1, 1, 1]


def test_spectrum_has_its_mean_in_the_centre() -> None:
    assert spectrum(np.full((5, 5), 1 / 25))[32, 32] == pytest.approx(1)
    np.testing.assert_allclose(spectrum(np.eye(1)), 1)


class TestComparison:
    def test_details_are_where_the_detail_came_back(self) -> None:
        before = np.full((400, 600, 3), 128, dtype=np.uint8)
        after = before.copy()
        after[200:260, 420:480] = photo(60, 60)
        first, *others = improved_details(before, after, 255.0, side=60, count=3)
        assert first.top <= 230 < first.bottom and first.left <= 450 < first.right
        for one, other in itertools.combinations([first, *others], 2):
            assert abs(one.top - other.top) >= 60 or abs(one.left - other.left) >= 60

    def test_noise_is_no_detail(self) -> None:
        rng = np.random.default_rng(7)
        before = np.full((400, 600, 1), 0.5, dtype=np.float32)
        after = before.copy()
        after[60:120, 60:120, 0] += rng.normal(0, 0.05, (60, 60))
        ripples = 0.06 * np.sin(np.arange(60, dtype=np.float32) * 2 * np.pi / 9)  # nine pixels a period
        after[200:260, 420:480, 0] += ripples
        first = improved_details(before, after, 1.0, side=60, count=1)[0]
        assert first.top <= 230 < first.bottom and first.left <= 450 < first.right

    def test_details_keep_off_the_border_where_there_is_room(self) -> None:
        after = photo(400, 600)
        after[20:380, 30:570] //= 4
        boxes = improved_details(np.zeros_like(after), after, 255.0, side=60, count=3)
        assert len(boxes) == 3
        for box in boxes:
            assert min(box.top, 400 - box.bottom) >= 16 and min(box.left, 600 - box.right) >= 24
        (box,) = improved_details(np.zeros_like(after[:62]), after[:62], 255.0, side=60, count=1)
        assert box.top == 0

    def test_details_are_enlarged_pixel_for_pixel(self, tmp_path: Path) -> None:
        after = np.full((400, 600, 3), 128, dtype=np.uint8)
        after[200:260, 420:480] = photo(60, 60)
        write_comparison(tmp_path / "c.png", photo_of(np.full_like(after, 128)), photo_of(after))
        with Image.open(tmp_path / "c.png") as picture:
            drawn = np.asarray(picture.convert("RGB"))
        zooms = [zoom for zoom in range(2, 9) if contains(drawn, after[226:234, 446:454], zoom)]
        assert len(zooms) == 1

    @pytest.mark.parametrize(
        ("height", "width", "colours", "dtype", "white"),
        [
            (1, 1, 1, np.uint16, 65535.0),
            (61, 37, 3, np.float32, 1.0),
            (20, 190, 1, np.float32, 1.0),
            (300, 9, 3, np.uint16, 65535.0),
        ],
    )
    def test_any_shape_and_depth(
        self, tmp_path: Path, height: int, width: int, colours: int, dtype: type, white: float
    ) -> None:
        before = (np.random.default_rng(5).random((height, width, colours)) * white).astype(dtype)
        write_comparison(tmp_path / "c.png", photo_of(before), photo_of(before[::-1]))
        with Image.open(tmp_path / "c.png") as picture:
            assert 1000 < picture.width < 3000
            assert picture.height < 3000

    def test_profile_of_the_photo_travels_along(self, tmp_path: Path) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        before = replace(photo_of(photo(30, 40)), metadata=Metadata(icc=profile))
        write_comparison(tmp_path / "c.png", before, before)
        with Image.open(tmp_path / "c.png") as picture:
            assert picture.info["icc_profile"] == profile


def contains(page: np.ndarray, patch: np.ndarray, zoom: int) -> bool:
    """Whether ``patch``, every pixel ``zoom`` pixels wide, lies somewhere on the page."""
    enlarged = patch.repeat(zoom, axis=0).repeat(zoom, axis=1)
    rows, columns = np.nonzero((page == enlarged[0, 0]).all(axis=2))
    height, width = enlarged.shape[:2]
    return any(
        np.array_equal(page[y : y + height, x : x + width], enlarged)
        for y, x in zip(rows, columns, strict=True)
    )


def test_large_photos_are_read_in_strips() -> None:
    size = (3000, 4000)
    pixels = np.broadcast_to(np.arange(4000, dtype=np.uint16)[None, :, None] * 16, (*size, 3))
    mu = np.broadcast_to(np.float16(1 / 8), (8, *size))
    tracemalloc.start()
    mu_sheet(photo_of(pixels), mu)
    improved_details(pixels, pixels, 65535.0, side=200, count=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6  # the photo alone would be 144 MB as float32
