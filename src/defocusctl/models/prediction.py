"""The interface of restoration networks (docs/adding-a-model.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

from torch import Tensor, nn


class Prediction(NamedTuple):
    """A restored batch and the coefficients that made it.

    ``image`` is (B, 3, H, W) RGB float32, nominally in [0, 1] but not clipped. ``coefficients`` maps the
    papers' names to (B, K, H/s, W/s) maps with s = 1, 2 or 4; it may be empty.
    """

    image: Tensor
    coefficients: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingOutput:
    """The inputs of the papers' losses for one batch.

    ``restored`` pairs a loss weight with an estimate of the sharp image, the full-size one first;
    ``reblurred`` pairs a loss weight with (sharp image blurred again, blurred input) of one scale, the
    full-size one first as well.
    """

    restored: tuple[tuple[float, Tensor, Tensor], ...]
    reblurred: tuple[tuple[float, Tensor, Tensor], ...] = ()


@dataclass(frozen=True)
class RadiusOutput:
    """Distributions of log(1 + radius) for one batch, and the true values that they are compared with.

    Every term has the median of a Laplace distribution, the log of its scale, and the truth, of one shape.
    """

    terms: tuple[tuple[Tensor, Tensor, Tensor], ...]


class Model(nn.Module):
    """What can be trained and stored as weights: built from its configuration, or with its default sizes."""

    name: ClassVar[str]
    """The name in recipes and weights, and of restoring networks on the command line."""
    target: ClassVar[Literal["sharp", "radius"]] = "sharp"
    """What it learns from a blurred photo: the sharp one, or the blur radius of rendered scenes."""

    config: Any
    """The network's sizes and parts, a frozen dataclass that can be stored as JSON."""
    choices: ClassVar[tuple[str, ...]] = ()
    """Fields of the configuration that ``from_state`` takes as keywords, because shapes do not show them."""

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """A network with the sizes of the tensors in ``state`` (our key names); does not load them.

        A network with ``choices`` takes them too, each with a default.

        Raises:
            KeyError: if a tensor that determines a size is missing.
            ValueError: if there is no such choice.
        """
        raise NotImplementedError

    def training_output(self, blurred: Tensor, target: Tensor) -> "TrainingOutput | RadiusOutput":
        """What the loss compares, for photos (B, 3, H, W) and their targets.

        A network without this method can be used but not trained.
        """
        raise NotImplementedError

    def initialise(self) -> None:
        """Set random weights for training, near the identity; by default they stay as constructed."""

    def initialise_as_published(self) -> None:
        """Set random weights as the network's paper does, where that differs."""
        self.initialise()


class Network(Model):
    """Base of all networks that restore photos; its attributes are what other code needs to know."""

    coefficient_names: tuple[str, ...] = ()
    """The keys of a prediction's coefficients, in the order of an exported graph's outputs."""
    minimum_size: ClassVar[int] = 32
    """The smallest side, in pixels, that reflect padding allows."""
    multiple: int = 16
    """A photo whose sides are multiples of this is not padded inside the network."""
    default_overlap: int
    """Pixels of context at each cut edge of a tile; see docs/restoring.md for the effect on accuracy."""
    bytes_per_pixel: int
    """Bytes per pixel for the tensors of a tile, at any precision (benchmarks/tile_memory.py); rounded up."""
    full_precision: ClassVar[tuple[str, ...]] = ()
    """Layers that run in float32 at any precision, because bfloat16 there is visible in the photo."""
    replaceable_layers: ClassVar[bool] = False
    """Whether a CPU may use faster layers (``fast_layers``): no input of a ReLU or a ``ResBlock`` is used
    again, and reflect-padded 3 x 3 convolutions have no bias and inputs of even height and width."""

    half_precision: ClassVar[tuple[str, ...]] = ()
    """Layers that run in float16 in a float16 export; never the filtering."""

    def forward(self, x: Tensor) -> Prediction:
        """(B, 3, H, W) RGB float32 in [0, 1], sides multiples of 16 and ``multiple`` -> restored."""
        raise NotImplementedError

    def reverse_colours(self) -> None:
        """Convert weights trained on BGR images to RGB, in place.

        A network without this method accepts only RGB weights.
        """
        raise NotImplementedError(f"{self.name} accepts no weights for BGR images")


def check_choice(key: str, value: object, known: Collection[object]) -> None:
    """Check the field ``key`` of a configuration that names one of several parts.

    Raises:
        ValueError: if ``value`` is not one of ``known``; the message names the key and what there is.
    """
    if value not in list(known):
        raise ValueError(f"{key} is {value!r}, not one of {', '.join(map(repr, known))}")
