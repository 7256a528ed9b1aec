"""What a browser shows of a photo: pictures in sRGB at two sizes, tiles at full size, and the blur radius.

Browsers show neither TIFF nor HEIC nor camera RAW, so all pictures are made here. Before and after are kept
as plain 8-bit RGB on the disk, (H, W, 3), from which tiles are cut when they come into view.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from defocusctl.maps.maps import blur_radius_sheet
from defocusctl.maps.reduction import strips
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Box
from defocusctl.reports.gallery_pictures import DRAWING, part_of, screen_picture
from defocusctl.restoring.restored import Restored
from defocusctl.system.atomic import make_folder, write_error

SIDES = ("before", "after")
SCREEN = 1600  # pixels of the longer side of the picture of the whole photo
TILE = 512  # pixels on each side of a tile of the photo at full size
QUALITY = 90
RADIUS = "radius.f32"
BLUR_MAP = "blur-map.png"


@dataclass(frozen=True)
class Shown:
    """Width and height of the photo, of ``screen``, of the blur map in cells; the largest radius."""

    size: tuple[int, int]
    screen: tuple[int, int]
    cells: tuple[int, int]
    radius: float


def write_pictures(folder: Path, restored: Restored) -> Shown:
    """Write the pictures of a photo before and after, and its blur radius for each 8 x 8 pixels.

    Raises:
        OutputError: if there is no room for them.
    """
    make_folder(folder)
    try:
        screens = [
            _write_side(folder, side, photo)
            for side, photo in zip(SIDES, (restored.before, restored.after), strict=True)
        ]
        assert restored.blur is not None  # it is estimated for the kept change
        radius = restored.blur.radius.astype("<f4")
        (folder / RADIUS).write_bytes(radius.tobytes())
    except OSError as error:
        raise write_error(folder.parent, error) from error
    size = restored.before.size
    return Shown((size.width, size.height), screens[0], radius.shape[::-1], float(radius.max()))


def _write_side(folder: Path, side: str, photo: Photo) -> tuple[int, int]:
    longest = max(photo.size)
    with (folder / f"{side}.rgb").open("wb") as file:
        for rows in strips(photo.size):
            file.write(opaque(screen_picture(part_of(photo, rows), longest)).tobytes())
    screen = opaque(screen_picture(photo, SCREEN))
    screen.save(folder / f"{side}.webp", quality=QUALITY, method=2)
    return screen.size


def opaque(picture: Image.Image) -> Image.Image:
    """A picture on white where it is transparent."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def tile(folder: Path, side: str, size: tuple[int, int], row: int, column: int) -> bytes:
    """A tile of a photo of ``size`` before or after, as a PNG; smaller ones are at the right and bottom edge.

    Raises:
        LookupError: if there is no such tile.
    """
    width, height = size
    box = Box(row * TILE, column * TILE, (row + 1) * TILE, (column + 1) * TILE)
    if side not in SIDES or row < 0 or column < 0 or box.top >= height or box.left >= width:
        raise LookupError
    pixels = np.memmap(folder / f"{side}.rgb", np.uint8, "r", shape=(height, width, 3))
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[box.slices])).save(out, "PNG", compress_level=1)
    return out.getvalue()


def write_blur_map(folder: Path, restored: Restored) -> Path:
    """Draw the photo, its blur radius with a scale, and the levels used.

    Raises:
        OutputError: if there is no room for it.
    """
    radius = restored.blur_radius
    assert radius is not None  # it is estimated for the kept change
    with DRAWING:
        blur_radius_sheet(restored.before, radius, restored.shares).save(folder / BLUR_MAP, force=True)
    return folder / BLUR_MAP
