"""Weights from a recipe instead of a checkpoint: the ones the golden arrays were made with."""

import json
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch

KEYS = Path(__file__).parent / "golden"


def released_state(model: str) -> dict[str, torch.Tensor]:
    """A state dict with the keys and shapes of the authors' release of ``model``."""
    keys: dict[str, list[int]] = json.loads((KEYS / f"{model}_keys.json").read_text())
    return {key: torch.from_numpy(_tensor(key, shape)) for key, shape in keys.items()}


def _tensor(key: str, shape: Sequence[int]) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64([1, zlib.crc32(key.encode())]))
    n = np.asarray(generator.standard_normal(tuple(shape)), dtype=np.float32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if key.endswith("running_var"):
        return np.asarray(1 + 0.1 * np.abs(n), dtype=np.float32)
    if key.endswith("running_mean"):
        return np.asarray(0.1 * n, dtype=np.float32)
    if key.endswith(".w0"):
        return np.asarray(2 + np.abs(n), dtype=np.float32)
    if key == "GCM.kernels":
        return n
    if len(shape) >= 2:
        return np.asarray(n / np.sqrt(prod(shape[1:])), dtype=np.float32)
    if key.endswith("weight"):
        return np.asarray(1 + 0.1 * n, dtype=np.float32)
    return np.asarray(0.1 * n, dtype=np.float32)
