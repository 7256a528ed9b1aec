"""Every loss against an independent computation in numpy, and learning rates at the papers' milestones."""

from math import cos, pi

import numpy as np
import pytest
import torch
from torch import Tensor

from defocusctl.evaluation.metrics import Lpips
from defocusctl.models.prediction import TrainingOutput
from defocusctl.training.losses import frequency_loss, prediction_loss, reblurring_loss, total_loss
from defocusctl.training.recipe import Loss, Optimiser
from defocusctl.training.setup import learning_rate
from tests.evaluation.alexnet import recipe_alexnet


def picture(seed: int, size: int = 8) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def numpy_frequency(a: Tensor, b: Tensor) -> float:
    difference = np.fft.fft2(a.double().numpy()) - np.fft.fft2(b.double().numpy())
    return float(np.abs(difference.real).mean() + np.abs(difference.imag).mean())


def numpy_pixel(kind: str, a: Tensor, b: Tensor) -> float:
    difference = a.double().numpy() - b.double().numpy()
    return float((difference**2).mean() if kind == "mse" else np.abs(difference).mean())


RESTORED = tuple(
    (weight, picture(2 * i, size), picture(2 * i + 1, size))
    for i, (weight, size) in enumerate([(1.0, 16), (0.75, 16), (0.5, 8), (0.25, 4)])
)
REBLURRED = ((0.75, picture(20), picture(21)), (0.5, picture(22, 4), picture(23, 4)))


def test_frequency_loss() -> None:
    a, b = picture(0), picture(1)
    assert float(frequency_loss(a, b)) == pytest.approx(numpy_frequency(a, b), rel=1e-5)
    assert float(frequency_loss(a, a)) == 0


@pytest.mark.parametrize("kind", ["mse", "l1"])
def test_prediction_loss(kind: str) -> None:
    expected = sum(w * (numpy_pixel(kind, a, b) + 0.1 * numpy_frequency(a, b)) for w, a, b in RESTORED)
    settings = Loss.model_validate({"pixel": kind, "frequency_weight": 0.1})
    assert float(prediction_loss(TrainingOutput(RESTORED), settings)) == pytest.approx(expected, rel=1e-5)


def test_reblurring_loss() -> None:
    expected = sum(w * numpy_pixel("mse", a, b) for w, a, b in REBLURRED)
    assert float(reblurring_loss(TrainingOutput(RESTORED, REBLURRED))) == pytest.approx(expected, rel=1e-5)
    assert float(reblurring_loss(TrainingOutput(RESTORED))) == 0


def test_total_loss() -> None:
    both = TrainingOutput(RESTORED, REBLURRED)
    settings = Loss(reblur_weight=0.1)
    prediction = prediction_loss(both, settings)
    assert float(total_loss(both, settings)) == pytest.approx(
        float(prediction) + 0.1 * float(reblurring_loss(both)), rel=1e-6
    )
    assert torch.equal(total_loss(both, Loss(reblur_weight=0)), prediction)
    assert torch.equal(total_loss(TrainingOutput(RESTORED), settings), prediction)


def test_iniknet_halves_every_hundred_thousand_of_four() -> None:
    settings = Optimiser(learning_rate=2e-4, schedule="iniknet")
    rates = {0: 2e-4, 99_999: 2e-4, 100_000: 1e-4, 200_000: 5e-5, 300_000: 2.5e-5, 399_999: 2.5e-5}
    assert {step: learning_rate(settings, step, 400_000) for step in rates} == pytest.approx(rates)


def test_nrknet_is_constant_for_half_and_then_halves_every_quarter() -> None:
    settings = Optimiser(learning_rate=1e-4, schedule="nrknet")
    epochs = {0: 1e-4, 1999: 1e-4, 2000: 5e-5, 2999: 5e-5, 3000: 2.5e-5, 3999: 2.5e-5}
    assert {epoch: learning_rate(settings, epoch, 4000) for epoch in epochs} == pytest.approx(epochs)


def test_cosine_warms_up_and_falls_to_zero() -> None:
    settings = Optimiser(learning_rate=1.0, schedule="cosine", warmup_steps=4)
    assert [learning_rate(settings, step, 104) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert learning_rate(settings, 54, 104) == pytest.approx((1 + cos(pi / 2)) / 2)
    assert 0 < learning_rate(settings, 103, 104) < 1e-3


def test_the_perceptual_term_is_lpips_of_every_scale() -> None:
    lpips = Lpips(recipe_alexnet())
    scales = tuple((weight, picture(i, 32), picture(i + 1, 32)) for i, weight in enumerate((1.0, 0.5)))
    output = TrainingOutput(scales)
    expected = sum(weight * float(lpips(a * 2 - 1, b * 2 - 1).mean()) for weight, a, b in scales)
    without = float(total_loss(output, Loss()))
    found = float(total_loss(output, Loss(perceptual_weight=0.1), lpips))
    assert found - without == pytest.approx(0.1 * expected, rel=1e-4)


def test_the_loss_of_the_finest_scale_alone() -> None:
    whole = TrainingOutput(RESTORED, REBLURRED)
    finest = TrainingOutput(RESTORED[:1], REBLURRED[:1])
    settings = Loss()
    assert float(total_loss(whole, Loss(scales="finest"))) == float(total_loss(finest, settings))
    assert float(total_loss(whole, settings)) > float(total_loss(finest, settings))
