"""TinyNet: three convolutions that predict what to add to a blurred photo."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from defocusctl.models.prediction import Network, Prediction, TrainingOutput


@dataclass(frozen=True)
class TinyNetConfig:
    """Sizes of a TinyNet."""

    width: int = 8


class TinyNet(Network):
    """Adds to every pixel what it makes of the 7 x 7 pixels around it."""

    name: ClassVar[str] = "tinynet"
    default_overlap: int = 3
    bytes_per_pixel: int = 300

    def __init__(self, config: TinyNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TinyNetConfig()
        self.body = nn.Sequential(
            nn.Conv2d(3, config.width, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(config.width, config.width, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(config.width, 3, 3, padding=1, padding_mode="reflect"),
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        return cls(TinyNetConfig(width=state["body.0.weight"].shape[0]))

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(x + self.body(x).float(), {})

    def training_output(self, blurred: Tensor, sharp: Tensor) -> TrainingOutput:
        return TrainingOutput(restored=((1.0, self(blurred).image, sharp),))

    def initialise(self) -> None:
        last = self.body[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
