"""The order in which INIKNet looks at the scales of a photo (section 4.1), and its ablation.

Axes: B batch, C channels, H rows, W columns. Scales run from coarse to fine.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from defocusctl.models.blocks import resize, unshuffled
from defocusctl.models.recurrence import DuplexRecurrence, StackedRecurrence

if TYPE_CHECKING:
    from defocusctl.models.iniknet import INIKNet

SCALES = (0.25, 0.5, 1.0)

Coefficients = list[tuple[Tensor, Tensor]]
"""Mu (B, R, h, w) and omega (B, N, h, w) of every scale, from its features of the size h, w."""


def resized(image: Tensor, scale: float) -> Tensor:
    """Resize the full-size image bilinearly in one step, without antialiasing."""
    return image if scale == 1.0 else resize(image, scale)


class ScaleOrder(ABC):
    """How the coefficients of all scales are found; it has no weights itself."""

    recurrence: ClassVar[type[nn.Module]]
    """The class of the two recurrences, for mu and for omega."""
    images: ClassVar[int]
    """Images that the U-Net sees at once."""

    @abstractmethod
    def coefficients(self, network: "INIKNet", x: Tensor) -> Coefficients:
        """For the photo x (B, 3, H, W), its sides multiples of what the U-Net halves."""


class Duplex(ScaleOrder):
    """All scales at once, then fine to coarse and coarse to fine: nothing waits for a restored image."""

    recurrence = DuplexRecurrence
    images = 1

    def coefficients(self, network: "INIKNet", x: Tensor) -> Coefficients:
        factor = network.config.feature_scale
        features = [network.unet(unshuffled(resized(x, scale), factor)) for scale in SCALES]
        # Mu takes a fraction of the memory of the features that it comes from.
        mus = [network.mu(refined) for refined in network.mu_recurrence(features)]
        omegas = [network.omega(refined) for refined in network.omega_recurrence(features)]
        return list(zip(mus, omegas, strict=True))


class Unidirectional(ScaleOrder):
    """Coarse to fine only: beside its photo, each scale sees the restored image of the one before.

    The coarsest scale has none, and sees its photo twice.
    """

    recurrence = StackedRecurrence
    images = 2

    def coefficients(self, network: "INIKNet", x: Tensor) -> Coefficients:
        factor = network.config.feature_scale
        image = attached = resized(x, SCALES[0])
        mu_states: list[Tensor] = []
        omega_states: list[Tensor] = []
        found: Coefficients = []
        for scale in SCALES:
            if found:
                attached = resize(network.restored(image, *found[-1]), 2.0)
                image = resized(x, scale)
            features = network.unet(unshuffled(torch.cat([image, attached], dim=1), factor))
            mu_features, mu_states = network.mu_recurrence(features, mu_states)
            omega_features, omega_states = network.omega_recurrence(features, omega_states)
            found.append((network.mu(mu_features), network.omega(omega_features)))
        return found


ORDERS: dict[str, ScaleOrder] = {"duplex": Duplex(), "unidirectional": Unidirectional()}
