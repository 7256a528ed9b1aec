"""Compares an exported file, run by the program it is for, with its network, on real photos."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from defocusctl.errors import InputError, OutputError
from defocusctl.export.graph import smallest_side
from defocusctl.models.catalogue import network_errors
from defocusctl.photo import read_photo
from defocusctl.photo.geometry import Box, Size, round_up
from defocusctl.restoring.tile_runner import read_tile
from defocusctl.restoring.tiles import Floats
from defocusctl.weights.checkpoint import Checkpoint

Consumer = Callable[[Floats], Sequence[Floats]]
"""(B, 3, H, W) RGB -> the restored photos, and the exported coefficients."""

PHOTO = Path(__file__).with_name("photo.jpg")  # the default photo

SIZES = (Size(96, 128), Size(97, 131), Size(17, 33), Size(165, 150))
"""Sizes of the compared parts, limited to the photo's size."""

BATCH_SIZE = Size(51, 64)  # size of the parts that are compared as a batch
LIMITS = {"fp32": 1e-4, "fp16": 1 / 510}  # of white; for float16, half a grey level of 8 bits


@dataclass(frozen=True)
class Comparison:
    """The largest differences of pixels (white is 1) and of coefficients (None if not exported)."""

    sizes: tuple[str, ...]
    pixels: float
    coefficients: float | None
    limit: float


def compare(
    consumer: Consumer,
    checkpoint: Checkpoint,
    photos: Sequence[Path],
    precision: str,
    *,
    coefficients: bool,
    batch: int,
) -> Comparison:
    """Compare on parts of ``photos``, with even and odd sizes and ``batch`` (1 or 2) of them at once.

    In float32 pixels and coefficients must agree; in float16 only the pixels.

    Raises:
        InputError: if a photo cannot be read, or has a side below 17 pixels.
        OutputError: if anything differs by more than the limit.
    """
    limit = LIMITS[precision]
    sizes = []
    worst = np.zeros(2)
    for path in photos:
        for parts, expected in _cases(path, checkpoint, batch):
            actual = consumer(parts)
            pairs = zip(actual, expected if coefficients else expected[:1], strict=True)
            differences = [_difference(ours, theirs) for ours, theirs in pairs]
            worst = np.maximum(worst, [differences[0], max(differences[1:], default=0.0)])
            sizes.append("x".join(str(length) for length in parts.shape))
    compared = worst if precision == "fp32" else worst[:1]
    if not (compared <= limit).all():
        raise OutputError(
            f"the export differs from the network by {compared.max():.2g}, and {limit:.2g} is allowed",
            "nothing was written; "
            + ("try --precision fp32" if precision == "fp16" else "please report which weights these are"),
        )
    return Comparison(tuple(sizes), float(worst[0]), float(worst[1]) if coefficients else None, limit)


def _cases(path: Path, checkpoint: Checkpoint, batch: int) -> Iterator[tuple[Floats, Sequence[Floats]]]:
    """Batches of parts of a photo, and the network's output for them."""
    photo = read_photo(path)
    pixels = photo.pixels
    tall, wide = pixels.shape[:2]
    smallest = smallest_side(checkpoint.model)
    if min(tall, wide) < smallest:
        raise InputError(f"'{path}' is too small to compare on", f"{smallest} pixels per side are needed")
    for size in SIZES:
        height, width = min(max(size.height, smallest), tall), min(size.width, wide)
        top, left = (tall - height) // 2, (wide - width) // 2
        yield _case([pixels[top : top + height, left : left + width]], photo.full_scale, checkpoint)
    height, width = min(BATCH_SIZE.height, tall), min(BATCH_SIZE.width, wide)
    corners = [pixels[:height, :width], pixels[-height:, -width:]]
    yield _case(corners[:batch], photo.full_scale, checkpoint)


def _case(
    parts: Sequence[np.ndarray], full_scale: float, checkpoint: Checkpoint
) -> tuple[Floats, Sequence[Floats]]:
    size = Size(*parts[0].shape[:2])
    box = Box(0, 0, *(round_up(length, checkpoint.model.multiple) for length in size))
    tiles = [read_tile(part, full_scale, box) for part in parts]
    extended = np.stack([np.broadcast_to(tile, (3, *tile.shape[1:])) for tile in tiles])
    model = checkpoint.model
    with network_errors(model.name), torch.inference_mode():
        image, coefficients = model(torch.from_numpy(extended))
        maps = [coefficients[name].numpy() for name in model.coefficient_names]
        own = (..., slice(size.height), slice(size.width))
        expected = [image.numpy()[own], *maps]
    return np.ascontiguousarray(extended[own]), expected


def _difference(ours: Floats, theirs: Floats) -> float:
    """The largest difference, relative to the largest value if that is above 1."""
    if ours.shape != theirs.shape:
        raise OutputError(f"the export returns {ours.shape} where the network returns {theirs.shape}")
    return float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max())))
