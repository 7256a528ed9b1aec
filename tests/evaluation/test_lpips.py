"""LPIPS against the published package's answers, and what is said when AlexNet's weights are not there."""

from collections import OrderedDict
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from defocusctl.errors import DataError, WeightsError
from defocusctl.evaluation.metrics import HEADS, Lpips, load_lpips, perceptual_distance
from tests.evaluation.alexnet import SHAPES, recipe_alexnet, register, saved
from tests.loopback import Loopback, serving
from tests.machine import make_fresh_machine

GOLDEN = Path(__file__).parents[1] / "golden" / "lpips_alex.npz"


@pytest.fixture(scope="module")
def lpips() -> Lpips:
    return Lpips(recipe_alexnet())


def golden(name: str) -> np.ndarray:
    with np.load(GOLDEN) as arrays:
        return np.asarray(arrays[name])


@pytest.mark.parametrize("size", ["64x96", "111x83"])
def test_distances_are_the_packages(lpips: Lpips, size: str) -> None:
    a, b = (golden(f"{image}_{size}")[0].transpose(1, 2, 0) for image in "ab")
    assert perceptual_distance(lpips, a * 2 - 1, b * 2 - 1) == pytest.approx(
        float(golden(f"lpips_{size}")), rel=0, abs=1e-6
    )
    assert perceptual_distance(lpips, a, b) == pytest.approx(
        float(golden(f"lpips_unscaled_{size}")), rel=0, abs=1e-6
    )
    assert perceptual_distance(lpips, a, a) == 0
    assert perceptual_distance(lpips, a[:, :, ::-1], b[:, :, ::-1]) != pytest.approx(
        perceptual_distance(lpips, a, b), rel=1e-3
    )


def test_the_shipped_heads_are_the_packages() -> None:
    with np.load(HEADS) as heads:
        for n in range(5):
            assert np.array_equal(heads[f"lin{n}"], golden(f"lin{n}").reshape(-1))


def test_the_smallest_image_and_the_next_smaller(lpips: Lpips) -> None:
    image = np.zeros((31, 31, 3), np.float32)
    assert perceptual_distance(lpips, image, image + 1) > 0
    with pytest.raises(DataError, match="31x30 pixels is too small for LPIPS"):
        perceptual_distance(lpips, image[:30], image[:30])
    with pytest.raises(ValueError, match="differ in shape"):
        perceptual_distance(lpips, image, image[:, :30])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("features.0.weight", None),
        ("features.8.weight", torch.zeros(256, 384, 3, 2)),
        ("features.10.bias", torch.full((256,), torch.nan)),
        ("features.3.bias", "a text"),
    ],
)
def test_other_tensors_are_refused_by_name(key: str, value: object) -> None:
    state: dict[str, object] = dict(recipe_alexnet())
    if value is None:
        del state[key]
    else:
        state[key] = value
    with pytest.raises(WeightsError, match=f"{key} is not".replace(".", r"\.")):
        Lpips(state)  # type: ignore[arg-type]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    make_fresh_machine(monkeypatch, tmp_path)
    with serving() as server:
        yield server


def test_weights_are_fetched_once_and_found_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback, lpips: Lpips
) -> None:
    body = saved(recipe_alexnet())
    register(monkeypatch, tmp_path, server, body)
    heard: list[int] = []
    fetched = load_lpips(offline=False, on_progress=lambda done, _: heard.append(done))
    again = load_lpips(offline=True)
    assert heard[-1] == len(body)
    assert len(server.requests) == 1
    a, b = (golden(f"{image}_64x96")[0].transpose(1, 2, 0) for image in "ab")
    assert len({perceptual_distance(metric, a, b) for metric in (fetched, again, lpips)}) == 1


def test_weights_that_are_not_there_are_one_clear_error(server: Loopback) -> None:
    with pytest.raises(WeightsError) as caught:
        load_lpips(offline=True)
    assert caught.value.cause.startswith("LPIPS needs AlexNet: the weights alexnet/imagenet are not here")
    assert caught.value.remedy == "run 'defocusctl weights fetch alexnet' while online, or do without LPIPS"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"no pickle", "is not a PyTorch checkpoint of plain tensors"),
        (saved([1, 2]), "holds no state dict"),
        (saved(OrderedDict(other=torch.zeros(1))), r"features\.0\.weight is not"),
    ],
)
def test_files_of_something_else_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback, body: bytes, expected: str
) -> None:
    register(monkeypatch, tmp_path, server, body)
    with pytest.raises(WeightsError, match=expected):
        load_lpips(offline=False)


def test_gradients_are_those_of_differences(lpips: Lpips) -> None:
    """In float64, along random directions, for either image."""
    double = deepcopy(lpips).double()
    generator = torch.Generator().manual_seed(2)
    a, b, direction = torch.rand(3, 2, 3, 40, 37, dtype=torch.float64, generator=generator) * 2 - 1
    step = 1e-6 * direction
    for first, second, sides in ((a, b, (step, 0)), (b, a, (0, step))):
        moved = (first if sides[0] is step else second).clone().requires_grad_()
        pair = (moved, second) if sides[0] is step else (first, moved)
        (gradient,) = torch.autograd.grad(double(*pair).sum(), moved)
        ahead, behind = (double(first + sign * sides[0], second + sign * sides[1]).sum() for sign in (1, -1))
        difference = float(ahead - behind) / 2
        assert float((gradient * step).sum()) == pytest.approx(difference, rel=1e-6)


def test_gradients_are_numbers_where_no_feature_answers() -> None:
    """A pixel without any feature has no direction; equal images have no distance."""
    state = recipe_alexnet()
    for number in SHAPES:
        state[f"features.{number}.bias"].fill_(-100.0)
    silent = Lpips(state)
    a = torch.rand(1, 3, 40, 40, requires_grad=True)
    distance = silent(a, torch.rand(1, 3, 40, 40))
    distance.sum().backward()
    assert float(distance.detach()) == 0
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))


def test_every_image_of_a_batch_has_its_own_distance(lpips: Lpips) -> None:
    a, b = torch.rand(2, 3, 3, 40, 40)
    alone = torch.cat([lpips(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(lpips(a, b), alone)
