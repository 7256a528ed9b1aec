"""The optimiser that a recipe asks for, and its learning rate."""

from math import cos, pi

from torch.optim import Adam, AdamW, Optimizer

from defocusctl.errors import DataError
from defocusctl.models.prediction import Model
from defocusctl.training.recipe import Optimiser


def optimiser_of(settings: Optimiser, network: Model) -> Optimizer:
    """Adam, AdamW where ``weight_decay`` is above 0, or Muon.

    Muon (Jordan et al. 2024) makes the momentum of every weight matrix, convolutions flattened to
    (outputs, inputs), an orthogonal one; its steps are scaled to the size of AdamW's (Liu et al. 2025,
    section 2.2), which updates what is no matrix, so that one learning rate serves both.

    Raises:
        DataError: if the package that has Muon is not installed.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.algorithm == "muon":
        return _muon(network, rate, decay)
    if decay > 0:
        return AdamW(network.parameters(), lr=rate, weight_decay=decay)
    return Adam(network.parameters(), lr=rate)


def _muon(network: Model, rate: float, decay: float) -> Optimizer:
    try:
        from pytorch_optimizer import Muon
    except ImportError as error:
        remedy = "install it with: pip install 'defocusctl[train]'"
        raise DataError("the optimiser 'muon' needs the package pytorch-optimizer", remedy) from error
    parameters = list(network.parameters())
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    shared = {"lr": rate, "weight_decay": decay}
    optimiser: Optimizer = Muon(
        [{"params": matrices, "use_muon": True, **shared}, {"params": others, "use_muon": False, **shared}],
        momentum=0.9,
        use_adjusted_lr=True,
    )
    return optimiser


def learning_rate(settings: Optimiser, step: int, steps: int) -> float:
    """The rate of ``step`` (from 0) in a training of ``steps``."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    match settings.schedule:
        case "iniknet":  # halved every quarter: 1e5 of 4e5 iterations
            return settings.learning_rate * 0.5 ** int(4 * step / steps)
        case "nrknet":  # constant for half of the epochs, then halved every quarter: 2000, 1000 of 4000
            return settings.learning_rate * 0.5 ** max(int(4 * step / steps) - 1, 0)
        case "cosine":
            done = (step - settings.warmup_steps) / max(steps - settings.warmup_steps, 1)
            return settings.learning_rate * (1 + cos(pi * done)) / 2
