"""Learning rates as functions of the share of the training that is done."""

from math import cos, pi

from defocusctl.training.recipe import Optimiser


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
