"""The blur radius of a photo, estimated in pixels on a grid."""

from typing import NamedTuple

import numpy as np
import torch

from defocusctl.geometry import Box
from defocusctl.models.blur_radius import BlurRadius
from defocusctl.photo import Photo
from defocusctl.restoring.levels import CELL
from defocusctl.restoring.tiles import Floats


class BlurMap(NamedTuple):
    """Blur radius and its standard deviation in pixels of a photo (H, W): each (ceil(H/8), ceil(W/8))."""

    radius: Floats
    sigma: Floats


def estimate_blur(network: BlurRadius, photo: Photo, area: Box) -> BlurMap:
    """The blur map of a photo, estimated in ``area`` (which begins at multiples of 8) and 0 elsewhere."""
    colours = photo.pixels[area.slices].transpose(2, 0, 1).astype(np.float32, order="C")
    colours /= np.float32(photo.full_scale)
    np.clip(colours, 0.0, 1.0, out=colours)
    image = torch.from_numpy(colours).expand(3, -1, -1)[None]
    rows, columns = (slice(edge.start // CELL, -(-edge.stop // CELL)) for edge in area.slices)
    estimate = network(image)
    maps = []
    for found in estimate:
        values = np.zeros((-(-photo.size.height // CELL), -(-photo.size.width // CELL)), np.float32)
        values[rows, columns] = found[0, 0].numpy()
        maps.append(values)
    return BlurMap(*maps)
