"""What a restoration network returns, and what the code that runs it must know (docs/adding-a-model.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn


class Prediction(NamedTuple):
    """A restored batch and the coefficients that made it.

    ``image`` is (B, 3, H, W) RGB float32, nominally in [0, 1] but not clipped.
    ``coefficients`` maps the papers' names to (B, K, H/s, W/s) maps, s being 1, 2 or 4; a network without
    such maps has none.
    """

    image: Tensor
    coefficients: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingOutput:
    """Everything the papers' losses look at for one batch.

    ``restored`` pairs a loss weight with an estimate of the sharp image, the full-size one first;
    ``reblurred`` pairs a loss weight with (sharp image blurred again, blurred input) of one scale.
    """

    restored: tuple[tuple[float, Tensor, Tensor], ...]
    reblurred: tuple[tuple[float, Tensor, Tensor], ...] = ()


class Network(nn.Module):
    """Base of all networks; its class attributes are facts that other rooms need of them.

    A network is made from its configuration, and without one in its usual sizes.
    """

    name: ClassVar[str]
    """What it is called on the command line."""
    coefficient_names: ClassVar[tuple[str, ...]] = ()
    """The keys of a prediction's coefficients, in the order of an exported graph's outputs."""
    minimum_size: ClassVar[int] = 32
    """Pixels a side of the smallest input that reflect padding allows."""
    default_overlap: ClassVar[int]
    """Pixels of context per cut edge of a tile; what they cost in accuracy is in docs/restoring.md."""
    bytes_per_pixel: ClassVar[int]
    """Device memory that a pixel of a tile takes in float32, measured and rounded up."""
    full_precision: ClassVar[tuple[str, ...]] = ()
    """Layers that restoring computes in float32 in any precision: bfloat16 there is seen in the photo."""
    replaceable_layers: ClassVar[bool] = False
    """Whether on a CPU the layers may be replaced by faster ones (``inference``): no ReLU's input is used
    again, and reflecting 3 x 3 convolutions have no bias, and inputs of even height and width."""

    half_precision: ClassVar[tuple[str, ...]] = ()
    """Layers that an export in float16 computes in it; the filtering is never among them."""

    config: Any
    """Its sizes, a frozen dataclass of what JSON can hold."""

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """A network of the sizes that the tensors of ``state`` (our key names) have, without loading them.

        Raises:
            KeyError: if a tensor that a size is read from is missing.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Prediction:
        """(B, 3, H, W) RGB float32 in [0, 1], sides multiples of 16 and at least 32 -> the restored image."""
        raise NotImplementedError

    def training_output(self, blurred: Tensor, sharp: Tensor) -> TrainingOutput:
        """What the paper's loss compares: the estimates at every scale with their targets.

        A network without this method can be used, but not trained.
        """
        raise NotImplementedError

    def reverse_colours(self) -> None:
        """Turn weights that were trained on BGR images into those for RGB ones, where they are read.

        A network without this method takes RGB weights only.
        """
        raise NotImplementedError(f"{self.name} takes no weights for BGR images")

    def initialise(self) -> None:
        """Random weights for training, close to passing the input through unchanged; as made by default."""
