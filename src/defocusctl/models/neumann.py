"""How NRKNet puts the Neumann terms of its scales together (section 3.2), and the ablation of it.

Scale t = 1 is full size, t = 2 a half, and so on.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Expansion(ABC):
    """Which terms (I - D_t)^k Y_t of a scale are computed, and which are part of the result."""

    @abstractmethod
    def order(self, t: int, scales: int) -> int:
        """The highest power k at scale t of ``scales``."""

    @abstractmethod
    def part(self, terms: Sequence[Tensor]) -> Tensor:
        """What a scale adds to the result, from its terms k = 1, 2, ... (B, 3, H, W)."""


class CrossScale(Expansion):
    """Eq. (10): scale t adds its term k = t alone; high powers are computed at small sizes only."""

    def order(self, t: int, scales: int) -> int:  # noqa: ARG002
        return t

    def part(self, terms: Sequence[Tensor]) -> Tensor:
        return terms[-1]


class Full(Expansion):
    """Ablation "FullExp": every scale adds all its terms, as many as there are scales (eq. (9))."""

    def order(self, t: int, scales: int) -> int:  # noqa: ARG002
        return scales

    def part(self, terms: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(terms)).sum(dim=0)


EXPANSIONS: dict[str, Expansion] = {"cross-scale": CrossScale(), "full": Full()}
