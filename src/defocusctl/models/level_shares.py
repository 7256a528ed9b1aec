"""How much a network's change is worth at each scale, by blur radius: what the levels' shares come from."""

import json
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LevelShares:
    """The best share of each level for each blur radius, measured with known radii (docs/levels.md).

    ``radii`` are in pixels of the photo, rising from 0; ``shares`` has for each of the scales 1, 1/2, 1/4 and
    1/8 as many numbers. In between, shares are interpolated over log(1 + radius).
    """

    radii: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(self.shares) != 4 or any(len(row) != len(self.radii) for row in self.shares):
            raise ValueError("there must be a share of each of four levels for each radius")
        if list(self.radii) != sorted(set(self.radii)) or self.radii[0] != 0:
            raise ValueError("radii must rise from 0")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The shares that ``json.dumps(asdict(shares))`` wrote.

        Raises:
            KeyError, TypeError, ValueError: if the text is anything else.
        """
        stored = json.loads(text)
        return cls(tuple(stored["radii"]), tuple(tuple(row) for row in stored["shares"]))

    def of(self, radius: Floats) -> Floats:
        """(h, w) radii in pixels -> the shares of the levels, (4, h, w)."""
        position = np.log1p(radius)
        knots = np.log1p(self.radii)
        return np.stack([np.interp(position, knots, row) for row in self.shares]).astype(np.float32)


DEFAULT_SHARES = LevelShares(
    radii=(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0),
    shares=(
        (0.0, 0.0, 1.2, 1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.91, 1.2, 1.18, 0.77, 0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.33, 0.59, 0.64, 0.6, 0.44, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.27, 0.51, 0.49),
    ),
)
"""Those of the bundled INIKNet; for a network without shares of its own."""
