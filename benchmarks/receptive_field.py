"""The networks' receptive radius: how many pixels away a restored pixel depends on the input.

Both networks are local. This follows every layer along one axis: a feature is described by the first and last
image column that each of its columns depends on, and each kind of layer changes these bounds in a simple way.
The code mirrors ``iniknet.py`` and ``nrknet.py`` step by step; ``tests/models/test_receptive_field.py``
compares it with the gradients of the real networks.

The radius varies with a pixel's position in the grid of the strided layers, 16 x 16 pixels, or 32 x 32 with
features at half size; the largest one counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network

ROW = 4096
"""Columns of the virtual image; so many that its borders do not affect its middle."""

GRID = 32


@dataclass(frozen=True)
class Footprint:
    """For every column of a feature, the first and the last column of the image that it depends on."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def gather(self, columns: int, lowest: "Taps", highest: "Taps") -> "Footprint":
        """A layer of ``columns`` outputs, where output i reads the inputs lowest(i) to highest(i)."""
        outputs = np.arange(columns)
        limit = len(self) - 1
        return Footprint(
            self.first[np.clip(lowest(outputs), 0, limit)], self.last[np.clip(highest(outputs), 0, limit)]
        )

    def convolved(self, kernel: int = 3, *, stride: int = 1, times: int = 1) -> "Footprint":
        """After ``times`` convolutions in sequence."""
        half = kernel // 2
        step = self.gather(len(self) // stride, lambda i: i * stride - half, lambda i: i * stride + half)
        return step if times == 1 else step.convolved(kernel, stride=stride, times=times - 1)

    def transposed(self) -> "Footprint":
        """After a transposed convolution of 4 taps, stride 2, padding 1."""
        return self.gather(2 * len(self), lambda o: (o - 1) // 2, lambda o: (o + 1) // 2)

    def bilinear(self, factor: float) -> "Footprint":
        """After bilinear resizing, corners not aligned."""

        def position(o: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
            return np.asarray((o + 0.5) / factor - 0.5, dtype=np.float64)

        return self.gather(
            int(len(self) * factor),
            lambda o: np.floor(position(o)).astype(np.int64),
            lambda o: np.ceil(position(o)).astype(np.int64),
        )

    def every_second(self) -> "Footprint":
        """After halving by keeping the even columns."""
        return self.gather(len(self) // 2, lambda o: 2 * o, lambda o: 2 * o)

    def pooled(self) -> "Footprint":
        """After averaging pairs of columns."""
        return self.gather(len(self) // 2, lambda o: 2 * o, lambda o: 2 * o + 1)

    def doubled(self) -> "Footprint":
        """After nearest-neighbour enlargement by 2."""
        return self.gather(2 * len(self), lambda o: o // 2, lambda o: o // 2)

    def shrunk(self, factor: int) -> "Footprint":
        """After pixel unshuffling by ``factor``."""
        return self.gather(len(self) // factor, lambda o: factor * o, lambda o: factor * o + factor - 1)

    def enlarged(self, factor: int) -> "Footprint":
        """After bilinear enlargement by ``factor``, or nothing."""
        return self if factor == 1 else self.bilinear(factor)

    def __or__(self, other: "Footprint") -> "Footprint":
        """The footprint of something computed from both, column by column."""
        return Footprint(np.minimum(self.first, other.first), np.maximum(self.last, other.last))


Taps = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]


def receptive_radius(network: Network) -> int:
    """The largest distance, in pixels along either axis, at which a pixel can influence a restored one.

    Raises:
        TypeError: for a network whose layers are not described here.
    """
    match network:
        case INIKNet():
            result = _iniknet(network.config, _image())
        case NRKNet():
            result = _nrknet(network.config, _image())
        case _:
            raise TypeError(f"the receptive field of {type(network).__name__} is not described")
    middle = np.arange(ROW // 2, ROW // 2 + GRID)
    return int(max((middle - result.first[middle]).max(), (result.last[middle] - middle).max()))


def _image() -> Footprint:
    return Footprint(np.arange(ROW), np.arange(ROW))


def _iniknet(config: INIKNetConfig, image: Footprint) -> Footprint:
    blocks = 2 * config.blocks_per_stage  # convolutions in the residual blocks of one stage

    def unet(x: Footprint) -> Footprint:
        e1 = x.convolved(times=1 + blocks)
        e2 = e1.convolved(stride=2).convolved(times=blocks)
        e3 = e2.convolved(stride=2).convolved(times=blocks)
        d2 = (e3.transposed() | e2).convolved(times=1 + blocks)
        return (d2.transposed() | e1).convolved(times=1 + blocks)

    def recurrence(features: list[Footprint], factor: float) -> list[Footprint]:
        hidden = [features[0].convolved(times=4)]
        for feature in features[1:]:
            state = hidden[-1].bilinear(factor)
            hidden.append((feature | state).convolved(times=4) | state)
        return hidden

    def features_of(x: Footprint) -> Footprint:
        return unet(x.shrunk(config.feature_scale))

    features = [features_of(image), features_of(image.bilinear(0.5)), features_of(image.bilinear(0.25))]
    upward = recurrence(features, factor=0.5)
    downward = recurrence(upward[::-1], factor=2.0)
    coefficients = (features[0] | downward[-1]).enlarged(config.feature_scale)
    return coefficients | image.convolved(max(config.sampled_sizes))


def _nrknet(config: NRKNetConfig, image: Footprint) -> Footprint:
    def unet(x: Footprint) -> Footprint:
        r1 = x.convolved(times=3)
        r2 = r1.convolved(stride=2).convolved(times=2)
        r3 = r2.convolved(stride=2).convolved(times=2)
        d3 = r3.convolved(times=5)  # bottleneck and the first block of the decoder
        d2 = (d3.transposed() | r2).convolved(times=2)
        return (d2.transposed() | r1).convolved(times=2)

    half = image.every_second()
    images = [image, half, half.every_second()]
    state: Footprint | None = None
    terms = []
    for t in (3, 2, 1):
        features = unet(images[t - 1].shrunk(config.feature_scale))
        pooled = features.pooled()
        state = pooled.convolved(5) if state is None else (pooled | state).convolved(5) | state
        gamma = (features.convolved() | state.doubled()).enlarged(config.feature_scale)
        z = images[t - 1]
        for _ in range(t):
            z = z | z.convolved(times=config.atoms - 1) | gamma
        terms.append(z if t == 1 else z.bilinear(2.0 ** (t - 1)))
        state = state.bilinear(2.0)
    return reduce(Footprint.__or__, terms, image)
