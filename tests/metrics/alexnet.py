"""AlexNet with weights from a recipe: the stand-in for the download; made tests/golden/lpips_alex.npz too."""

import zlib
from collections import OrderedDict
from math import prod

import numpy as np
import torch

SHAPES = {
    0: (64, 3, 11, 11),
    3: (192, 64, 5, 5),
    6: (384, 192, 3, 3),
    8: (256, 384, 3, 3),
    10: (256, 256, 3, 3),
}


def recipe_alexnet() -> "OrderedDict[str, torch.Tensor]":
    """The five convolutions by torchvision's names, and a piece of the classifier."""
    state = OrderedDict()
    for number, shape in SHAPES.items():
        weight, bias = f"features.{number}.weight", f"features.{number}.bias"
        state[weight] = _normal(weight, shape) * np.float32(np.sqrt(2 / prod(shape[1:])))
        state[bias] = _normal(bias, shape[:1]) * np.float32(0.1)
    state["classifier.6.bias"] = torch.zeros(1000)
    return state


def _normal(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    generator = np.random.Generator(np.random.PCG64([1, zlib.crc32(name.encode())]))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
