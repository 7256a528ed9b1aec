"""Running the program as a user does, in this process, and small networks for it."""

import io
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from defocusctl.cli.app import run
from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.weights.checkpoint import save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata


class Answer(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


def defocusctl(*arguments: object) -> Answer:
    """Run one command and catch its exit code and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = run([str(argument) for argument in arguments], debug=False)
    return Answer(code, out.getvalue(), err.getvalue())


def small_network(model: str, feature_scale: int = 1) -> Network:
    """An untrained network of the real architecture with few channels."""
    torch.manual_seed(3)
    network: Network
    if model == "iniknet":
        network = INIKNet(
            INIKNetConfig(
                width=4,
                blocks_per_stage=1,
                atoms=3,
                kernel_sizes=4,
                atom_width=8,
                feature_scale=feature_scale,
            )
        )
    else:
        network = NRKNet(NRKNetConfig(width=4, atoms=4, feature_scale=feature_scale))
    network.initialise()
    return network.eval()


def small_weights(folder: Path, model: str, trained_on: str = "nothing", *, feature_scale: int = 1) -> Path:
    """The file of ``small_network``."""
    path = folder / f"{model}.safetensors"
    network = small_network(model, feature_scale)
    metadata = WeightsMetadata.of_network(network, source="a test", licence="MIT", trained_on=trained_on)
    save_checkpoint(path, network, metadata, dtype=torch.float32)
    return path


def textured(height: int, width: int) -> np.ndarray:
    """A picture with detail, (H, W, 3) uint8."""
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]


def photo_file(path: Path, height: int = 48, width: int = 64) -> Path:
    """A small photo at ``path``, in the format its suffix says."""
    Image.fromarray(textured(height, width)).save(path)
    return path
