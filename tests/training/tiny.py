"""Photos, weights and recipes small enough to train with in a test."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from defocusctl.models.iniknet import INIKNet, INIKNetConfig
from defocusctl.models.nrknet import NRKNet, NRKNetConfig
from defocusctl.models.prediction import Network
from defocusctl.weights.checkpoint import save_checkpoint
from defocusctl.weights.metadata import WeightsMetadata

RECIPE = """
model = "{model}"
seed = 3
start_from = "{model}.safetensors"
trained_on = "noise"
licence = "MIT"
log_every = 1

[data]
sharp = ["sharp"]

[[data.pairs]]
blurred = "pairs/source"
sharp = "pairs/target"

[data.rendering]
max_radius = [1.0, 3.0]

[[stages]]
steps = 3
batch = 1
crop = 32

[[stages]]
steps = 1
batch = 2
crop = 48

[optimiser]
learning_rate = 1e-3
warmup_steps = 1
clip_norm = 0.5
ema_decay = 0.5

[validation]
every_steps = 3
sharp = ["sharp"]
pairs = {{ real = "pairs" }}
crop = 32
limit = 1
"""


def write_photo(path: Path, *, seed: int, size: int) -> Path:
    """A square photo of coloured blobs at ``path``."""
    blobs = np.random.default_rng(seed).random((4, 4, 3))
    picture = cv2.resize(blobs, (size, size), interpolation=cv2.INTER_LINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(path)
    return path


def tiny_network(model: str) -> Network:
    """A network of a few thousand parameters."""
    torch.manual_seed(5)
    if model == "iniknet":
        return INIKNet(INIKNetConfig(width=4, blocks_per_stage=1, atoms=2, kernel_sizes=3, atom_width=4))
    return NRKNet(NRKNetConfig(width=4, atoms=4))


def write_weights(path: Path, model: str) -> Path:
    network = tiny_network(model)
    network.initialise()
    metadata = WeightsMetadata.of_network(network, source="test", licence="MIT", trained_on="nothing")
    save_checkpoint(path, network, metadata, dtype=torch.float32)
    return path


def write_data(root: Path, model: str) -> Path:
    """Everything that ``RECIPE`` needs, and the recipe itself, whose path is the answer."""
    for i in range(2):
        write_photo(root / "sharp" / f"{i}.png", seed=i, size=64)
        write_photo(root / "pairs" / "source" / f"{i}.png", seed=10 + i, size=48)
        write_photo(root / "pairs" / "target" / f"{i}.png", seed=20 + i, size=48)
    write_weights(root / f"{model}.safetensors", model)
    recipe = root / f"{model}.toml"
    recipe.write_text(RECIPE.format(model=model))
    return recipe
