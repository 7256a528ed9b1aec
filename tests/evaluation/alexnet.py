"""AlexNet with weights from a recipe: the stand-in for the download; made tests/golden/lpips_alex.npz too."""

import hashlib
import zlib
from collections import OrderedDict
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.loopback import Loopback

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


def saved(content: object) -> bytes:
    """A checkpoint as torch.save makes it."""
    buffer = BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Loopback, body: bytes) -> None:
    """A mirror of AlexNet on this machine, known by the start of its SHA-256."""
    server.serve("/alexnet.pth", body)
    registry = tmp_path / "own.toml"
    registry.write_text(
        f"""
[default-order]
alexnet = ["mirror"]

[[weights]]
model = "alexnet"
name = "mirror"
configuration = "from shapes"
sources = ["{server.url}/alexnet.pth"]
digest = "sha256-prefix:{hashlib.sha256(body).hexdigest()[:8]}"
licence = "CC0"
trained_on = "nothing"
channel_order = "RGB"
"""
    )
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(registry))
