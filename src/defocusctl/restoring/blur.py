"""The blur radius of a photo, estimated in pixels on a grid."""

from typing import NamedTuple

import cv2
import numpy as np
import torch

from defocusctl.geometry import Box
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.photo import Photo
from defocusctl.restoring.enlargement import enlargement
from defocusctl.restoring.levels import CELL, shrunken
from defocusctl.restoring.tiles import Floats

ONE_STEP = 1.5 / 255
"""Pixels that differ by less, as a fraction of white, are at most one step of 8 bits apart."""

REACH = 3
"""Cells on each side of one without detail that must have none either."""


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
    seen = shrunken(Photo.of_pixels(photo.pixels[area.slices], photo.full_scale), enlarged)
    colours = seen.pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    colours /= np.float32(seen.full_scale)
    np.clip(colours, 0.0, 1.0, out=colours)
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
