"""Colour scales: how the values of a family of maps become colours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm, Colormap, Normalize

from defocusctl.maps.extent import FloatArray

MISSING = "0.75"


@dataclass(frozen=True)
class ColourScale:
    """One scale for a family of maps; ``extend`` says at which ends values exceed it.

    With a ``linear_width`` the colours follow asinh(value / linear_width): linear up to about that magnitude,
    logarithmic beyond, so that small and large coefficients are visible on the same scale.
    """

    colours: str
    low: float
    high: float
    extend: Literal["neither", "min", "max", "both"] = "neither"
    linear_width: float | None = None

    @classmethod
    def sequential(
        cls,
        maps: Sequence[FloatArray],
        colours: str,
        floor: float | None = None,
        *,
        least_span: float = 0.0,
    ) -> "ColourScale":
        """From ``floor`` (or the 0.5th percentile) to the 99.5th percentile of all values.

        A scale that would span less than ``least_span`` is widened around its middle.
        """
        values = _finite(maps)
        low, high = (float(limit) for limit in np.percentile(values, (0.5, 99.5)))
        low = low if floor is None else floor
        if high - low < least_span:
            middle = (low + high) / 2
            low, high = middle - least_span / 2, middle + least_span / 2
        if high - low < 1e-6 * max(1.0, abs(high)):  # all values are equal
            return cls(colours, low if floor is not None else low - 0.5, high + 0.5)
        ends = bool(values.min() < low), bool(values.max() > high)
        return cls(colours, low, high, _EXTEND[ends])

    @classmethod
    def symmetric(cls, maps: Sequence[FloatArray]) -> "ColourScale":
        """From minus to plus the 99.5th percentile of the magnitudes."""
        values = _finite(maps)
        high = float(np.percentile(np.abs(values), 99.5)) or 1.0
        ends = bool(values.min() < -high), bool(values.max() > high)
        return cls("RdBu_r", -high, high, _EXTEND[ends])

    @classmethod
    def symmetric_asinh(cls, maps: Sequence[FloatArray]) -> "ColourScale":
        """Like ``symmetric``, but linear only up to the median magnitude."""
        linear = cls.symmetric(maps)
        median = float(np.median(np.abs(_finite(maps))))
        return replace(linear, linear_width=max(median, linear.high / 1000))

    @property
    def norm(self) -> Normalize:
        """The mapping from values to [0, 1]."""
        if self.linear_width is None:
            return Normalize(self.low, self.high)
        return AsinhNorm(self.linear_width, self.low, self.high)

    @property
    def colour_map(self) -> Colormap:
        """The colours; NaN is grey."""
        return colormaps[self.colours].with_extremes(bad=MISSING)


_EXTEND: dict[tuple[bool, bool], Literal["neither", "min", "max", "both"]] = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}


def _finite(maps: Sequence[FloatArray]) -> FloatArray:
    values = np.concatenate([values.ravel() for values in maps])
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1, dtype=np.float32)
