"""The blur radius of a photo, estimated in pixels on a grid, and whether the photo was enlarged.

An enlarged photo has no detail as fine as its pixels, and no finer level helps it. Halving a photo loses what
is finer than two pixels. In a photo as a camera made it, even a blurred one, the first halving loses some of
what the second one does; in one enlarged bicubically, next to nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch

from defocusctl.models.blur_radius import BlurRadius
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box
from defocusctl.restoring.levels import CELL, part_at
from defocusctl.restoring.tiles import Floats

ONE_STEP = 1.5 / 255  # of white; pixels that differ by less are at most one step of 8 bits apart
REACH = 3  # cells on each side of one without detail that must have none either
WINDOW, WINDOWS = 256, 8  # where enlargement is sought: side in pixels, and how many each way at most
BLOCK = 32  # side of the blocks whose losses by halving are compared, in pixels
LEAST_LOSS = 4.0  # mean square, in levels of 255, that halving a block must lose for it to count
FEWEST_BLOCKS = 3  # how many blocks must count to tell

MOST_LOST = 0.05
"""Of the loss of the next halving, as the median of all blocks, in an enlarged photo.

Measured: mostly 0.02 to 0.045 in photos enlarged bicubically, 0.10 and more in 84 photos out of focus, 0.065
and more in photos blurred everywhere by discs of 1.75 to 5 pixels.
"""


class BlurMap(NamedTuple):
    """Blur radius and its standard deviation in pixels of a photo (H, W): each (ceil(H/8), ceil(W/8)).

    Both are 0 where the photo has no detail: its blur cannot be known there, and there is nothing to deblur.
    ``enlarged`` is how many times the photo was enlarged; the blur is then that before, times this factor.
    """

    radius: Floats
    sigma: Floats
    enlarged: int = 1


def estimate_blur(network: BlurRadius, photo: Photo, area: Box) -> BlurMap:
    """The blur map of a photo, estimated in ``area`` (which begins at multiples of 8) and 0 elsewhere."""
    enlarged = enlargement(photo)
    seen = part_at(photo, area, enlarged)
    colours = seen.pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    np.clip(colours, 0.0, seen.full_scale, out=colours)
    colours /= np.float32(seen.full_scale)
    image = torch.from_numpy(colours).expand(3, -1, -1)[None]
    detailed = _has_detail(colours)
    maps = []
    for found in network(image):
        values = np.zeros(photo.size.in_blocks(CELL), np.float32)
        place = values[area.in_blocks(CELL).slices]
        cells = (enlarged * found[0, 0].numpy() * detailed).repeat(enlarged, axis=0).repeat(enlarged, axis=1)
        place[:] = cells[: place.shape[0], : place.shape[1]]
        maps.append(values)
    return BlurMap(maps[0], maps[1], enlarged)


def _has_detail(colours: Floats) -> Floats:
    """1 for cells of (C, H, W) colours that vary or have a cell within ``REACH`` that does, else 0."""
    rows, columns = (np.arange(0, length, CELL) for length in colours.shape[1:])
    highest, lowest = (
        extreme.reduceat(extreme.reduceat(colours, rows, axis=1), columns, axis=2)
        for extreme in (np.maximum, np.minimum)
    )
    varies = ((highest - lowest).max(axis=0) > ONE_STEP).astype(np.float32)
    near: Floats = cv2.dilate(varies, np.ones((2 * REACH + 1,) * 2))
    return near


def enlargement(photo: Photo) -> int:
    """How many times a photo was enlarged bicubically: 4, 2 or 1. Noise and JPEG afterwards hide it."""
    losses = np.concatenate([_losses(window) for window in _windows(photo)], axis=1)
    for factor, (finer, coarser) in ((4, losses[1:3]), (2, losses[:2])):
        counted = coarser > LEAST_LOSS
        if counted.sum() >= FEWEST_BLOCKS and np.median(finer[counted] / coarser[counted]) < MOST_LOST:
            return factor
    return 1


def _windows(photo: Photo) -> Iterator[Floats]:
    """Evenly spread parts of the photo, (h, w) in levels of 255."""
    rows, columns = (
        np.linspace(0, side - min(side, WINDOW), min(WINDOWS, -(-side // WINDOW))).astype(int)
        for side in photo.size
    )
    for top in rows:
        for left in columns:
            part = photo.pixels[top : top + WINDOW, left : left + WINDOW].astype(np.float32)
            shown = np.clip(part, 0.0, photo.full_scale)
            yield shown.mean(axis=2) * np.float32(255 / photo.full_scale)


def _losses(plane: Floats) -> Floats:
    """What three halvings lose in each whole block: mean squares, (3, blocks)."""
    height, width = (length // BLOCK for length in plane.shape)
    plane = plane[: height * BLOCK, : width * BLOCK]
    losses = []
    for side in (BLOCK, BLOCK // 2, BLOCK // 4):
        if not plane.size:
            losses.append(np.zeros(0, np.float32))
            continue
        half = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        lost = plane - cv2.resize(half, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        losses.append((lost**2).reshape(height, side, width, side).mean(axis=(1, 3)).ravel())
        plane = half
    return np.stack(losses)
