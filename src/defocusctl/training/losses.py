"""The papers' loss functions, and that of the blur radius.

All tensors are (B, 3, H, W) float32 in [0, 1] unless stated.
"""

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from defocusctl.evaluation.metrics import Lpips
from defocusctl.models.prediction import RadiusOutput, TrainingOutput
from defocusctl.training.recipe import Loss

PIXEL_LOSSES = {"mse": mse_loss, "l1": l1_loss}


def frequency_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean |Re| plus mean |Im| of the difference's unnormalised FFT (INIKNet eq. (10), NRKNet eq. (13))."""
    difference = torch.fft.fft2(estimate.float() - target.float())
    loss: Tensor = difference.real.abs().mean() + difference.imag.abs().mean()
    return loss


def reblurring_loss(output: TrainingOutput) -> Tensor:
    """sum_t lambda_t |D_t(X_t) - Y_t|^2 (NRKNet eq. (12) and (14)); zero for a network that never reblurs."""
    terms = [weight * mse_loss(reblurred, blurred) for weight, reblurred, blurred in output.reblurred]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def perceptual_loss(output: TrainingOutput, lpips: Lpips) -> Tensor:
    """sum over scales of lambda_t LPIPS, which sees [-1, 1] (INIKNet eq. (10)); float32 at any precision."""
    terms = [
        weight * lpips(2 * estimate.float() - 1, 2 * target.float() - 1).mean()
        for weight, estimate, target in output.restored
    ]
    return torch.stack(terms).sum()


def prediction_loss(output: TrainingOutput, settings: Loss) -> Tensor:
    """sum over scales of lambda_t (pixel + beta * frequency) (INIKNet eq. (10), NRKNet eq. (12) and (13))."""
    pixel = PIXEL_LOSSES[settings.pixel]
    terms = [
        weight * (pixel(estimate, target) + settings.frequency_weight * frequency_loss(estimate, target))
        for weight, estimate, target in output.restored
    ]
    return torch.stack(terms).sum()


def radius_loss(output: RadiusOutput) -> Tensor:
    """Mean of |t - m| / b + log b: the negative log likelihood of Laplace distributions, less log 2."""
    terms = [
        ((truth - median).abs() * (-log_scale).exp() + log_scale).mean()
        for median, log_scale, truth in output.terms
    ]
    return torch.stack(terms).mean()


def total_loss(output: TrainingOutput | RadiusOutput, settings: Loss, lpips: Lpips | None = None) -> Tensor:
    """For restoration: prediction loss plus alpha times the reblurring loss, and the perceptual one.

    ``lpips`` must be given if ``settings`` give it a weight.
    """
    if isinstance(output, RadiusOutput):
        return radius_loss(output)
    if settings.scales == "finest":
        output = TrainingOutput(output.restored[:1], output.reblurred[:1])
    loss = prediction_loss(output, settings)
    if output.reblurred and settings.reblur_weight > 0:
        loss = loss + settings.reblur_weight * reblurring_loss(output)
    if settings.perceptual_weight > 0:
        assert lpips is not None
        loss = loss + settings.perceptual_weight * perceptual_loss(output, lpips)
    return loss
