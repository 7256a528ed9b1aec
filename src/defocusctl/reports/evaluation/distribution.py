"""Where the dots, boxes and ticks of the distribution plots go. Lengths are units of the drawing."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from matplotlib.ticker import MaxNLocator

from defocusctl.evaluation.results import Evaluation
from defocusctl.reports.evaluation.gains import input_label, psnr_gains
from defocusctl.reports.evaluation.numbers import signed

WIDTH, SIDE = 760.0, 24.0
TOP, STRIP, AXIS = 8.0, 78.0, 50.0
LABEL_BASE, BAND_TOP, BAND = 18.0, 28.0, 38.0  # within a strip
GOLDEN = 0.618033988749895


@dataclass(frozen=True)
class Strip:
    """One method's gains: its words, the dots as the data of one SVG path, and the box."""

    label: str
    note: str
    top: float
    dots: str
    low: float
    first: float
    middle: float
    third: float
    high: float
    unseen: int
    """Images whose gain is infinite: they are not drawn."""


@dataclass(frozen=True)
class Plot:
    """All methods of one protocol on one axis in dB, which always has a zero."""

    protocol: str
    height: float
    ticks: tuple[tuple[float, str], ...]
    zero: float
    strips: tuple[Strip, ...]


def distribution(evaluation: Evaluation, protocol: str) -> Plot | None:
    """The per-image PSNR gains of every method over the input; None where nothing has a finite gain."""
    own = {
        method.label: psnr_gains(evaluation, method.label, protocol)
        for method in evaluation.methods
        if method.label != input_label(evaluation)
    }
    finite = {
        label: np.array([gain for gain in gains.values() if isfinite(gain)]) for label, gains in own.items()
    }
    finite = {label: gains for label, gains in finite.items() if gains.size}
    if not finite:
        return None
    everything = np.concatenate([*finite.values(), np.zeros(1)])
    low, high = float(everything.min()), float(everything.max())
    edge = 0.04 * (high - low) or 0.5
    low, high = low - edge, high + edge
    scale = (WIDTH - 2 * SIDE) / (high - low)

    def across(value: float) -> float:
        return round(SIDE + (value - low) * scale, 1)

    values = MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(low, high)
    decimals = max(0, -int(np.floor(np.log10(values[1] - values[0]) + 1e-9)))
    ticks = tuple((across(v), signed(float(v), decimals)) for v in values if low <= v <= high)
    strips = []
    for place, (label, gains) in enumerate(finite.items()):
        top = TOP + place * STRIP
        first, middle, third = (float(q) for q in np.percentile(gains, (25, 50, 75)))
        reach = 1.5 * (third - first)
        within = gains[(gains >= first - reach) & (gains <= third + reach)]
        heights = (
            top + BAND_TOP + BAND * ((np.arange(gains.size) * GOLDEN) % 1)
        )  # spread, yet the same always
        strips.append(
            Strip(
                label,
                f"median {signed(middle, 2)} dB, {np.count_nonzero(gains > 0)} of {gains.size} better",
                top,
                "".join(f"M{across(float(g))} {y:.1f}h0" for g, y in zip(gains, heights, strict=True)),
                across(float(within.min())),
                across(first),
                across(middle),
                across(third),
                across(float(within.max())),
                unseen=len(own[label]) - gains.size,
            )
        )
    return Plot(protocol, TOP + STRIP * len(strips) + AXIS, ticks, across(0.0), tuple(strips))
