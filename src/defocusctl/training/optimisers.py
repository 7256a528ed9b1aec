"""The optimiser that a recipe asks for."""

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
