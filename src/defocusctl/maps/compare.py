"""A comparison picture: before and after, with the most improved details enlarged."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from defocusctl.maps.reduction import Array, FloatArray, reduced_photo, rgb8
from defocusctl.maps.sheet import HEADING, LABEL_GAP, MARGIN, Area, Sheet, panel_size
from defocusctl.photo import Photo, icc
from defocusctl.photo.geometry import Box, Size

GAP = 16.0
LABEL_ROW = 46.0
PHOTO_AREA = 1000.0**2
LONGEST = 1900.0
MIN_WIDTH = 1200.0  # of the two photos together: room for labels and details
DETAIL_COLOURS = ("#e69f00", "#56b4e9", "#d55e00")
MIN_ZOOM = 2
MIN_DETAIL = 8  # pixels


def write_comparison(path: Path, before: Photo, after: Photo, *, force: bool = False) -> None:
    """Draw two photos of the same size and kind as one PNG, with their ICC profile.

    Large photos are reduced; the details below them are enlarged by a whole factor, pixel for pixel.
    ``force`` replaces an existing file.

    Raises:
        OutputError: if the picture cannot be written.
    """
    size, full_scale = before.size, before.full_scale
    page = _layout(size)
    boxes = improved_details(
        before.pixels, after.pixels, full_scale, side=page.detail, count=len(DETAIL_COLOURS)
    )
    sheet = Sheet(page.width + 2 * MARGIN, (page.height if boxes else page.photos_bottom) + MARGIN)
    for pixels, place, label, shift in zip(
        (before.pixels, after.pixels),
        page.photos,
        ("before", "after"),
        (0.0, page.crop + GAP / 2),
        strict=True,
    ):
        longest = round(max(place.width, place.height))
        sheet.photo(place, reduced_photo(pixels, full_scale, longest))
        sheet.text(place.left + place.width / 2, place.top - LABEL_GAP, label, size=HEADING)
        for number, (box, colour) in enumerate(zip(boxes, DETAIL_COLOURS, strict=False)):
            sheet.outline(_on_page(box, place, size), colour, 1.2)
            left = MARGIN + number * (page.width + 2 * GAP) / len(DETAIL_COLOURS) + shift
            area = Area(left, page.photos_bottom + LABEL_ROW, page.crop, page.crop)
            sheet.enlarged(area, rgb8(pixels[box.slices], full_scale), colour)
            sheet.text(left + page.crop / 2, area.top - LABEL_GAP, f"{label}, {page.zoom} ×")
    profile = before.metadata.icc
    sheet.save(path, force=force, icc_profile=profile and icc.for_colours(profile, 3))


class _Layout(NamedTuple):
    """Positions of photos and details; details are ``detail`` pixels a side, drawn ``zoom`` times larger."""

    photos: tuple[Area, Area]
    width: float
    detail: int
    zoom: int

    @property
    def crop(self) -> int:
        return self.detail * self.zoom

    @property
    def photos_bottom(self) -> float:
        return self.photos[1].bottom + GAP / 2

    @property
    def height(self) -> float:
        return self.photos_bottom + LABEL_ROW + self.crop


def _layout(size: Size) -> _Layout:
    """Photos side by side, or one above the other if they are wider than 2 : 1."""
    width, height = panel_size(*size, area=PHOTO_AREA)
    shrink = min(1.0, LONGEST / max(width, height))
    width, height = width * shrink, height * shrink
    stacked = width > 2 * height
    column = width if stacked else max(width, (MIN_WIDTH - GAP) / 2)
    left, top = MARGIN + (column - width) / 2, MARGIN + LABEL_ROW
    offset = (0.0, height + LABEL_ROW + GAP) if stacked else (column + GAP, 0.0)
    photos = (Area(left, top, width, height), Area(left + offset[0], top + offset[1], width, height))
    content = column if stacked else 2 * column + GAP
    count = len(DETAIL_COLOURS)
    room = int((content - 2 * GAP * (count - 1) - count * GAP / 2) / (2 * count))
    most = max(MIN_DETAIL, min(room // MIN_ZOOM, min(size) // 3))
    zoom = -(-room // most)
    detail = room // zoom // 2 * 2
    return _Layout(photos, content, detail, zoom)


def _on_page(box: Box, place: Area, size: Size) -> Area:
    """The position on the page of a box of a photo of ``size`` that fills ``place``."""
    across, down = place.width / size.width, place.height / size.height
    return Area(
        place.left + box.left * across,
        place.top + box.top * down,
        box.size.width * across,
        box.size.height * down,
    )


FINE, COARSE = 1.0, 2.0  # standard deviations in pixels: noise is finer, shading coarser
SUPPORT = 8  # pixels: 4 standard deviations of the coarser blur
BORDER = 0.04  # fraction of each side that is kept free of boxes if possible


def improved_details(before: Array, after: Array, full_scale: float, *, side: int, count: int) -> list[Box]:
    """Up to ``count`` square boxes of ``side`` pixels that do not overlap, most improved first.

    Improvement is the increase of the mean magnitude in the band between two Gaussians, just below the finest
    detail, where the noise is. The search step is half a box. Boxes avoid the photo's border if two fit side
    by side inside it. A photo smaller than a box has none.
    """
    cell = side // 2
    inner = _within_border(Size(*before.shape[:2]), side)
    rows, columns = inner.size.height // cell, inner.size.width // cell
    if rows < 2 or columns < 2:
        return []
    gain = _band_sums(after, full_scale, inner, cell) - _band_sums(before, full_scale, inner, cell)
    score = gain[:-1, :-1] + gain[1:, :-1] + gain[:-1, 1:] + gain[1:, 1:]  # a box has 2 x 2 cells
    boxes: list[Box] = []
    while len(boxes) < count and np.isfinite(score).any():
        row, column = (int(i) for i in np.unravel_index(np.argmax(score), score.shape))
        top, left = inner.top + row * cell, inner.left + column * cell
        boxes.append(Box(top, left, top + side, left + side))
        score[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = -np.inf
    return boxes


def _within_border(size: Size, side: int) -> Box:
    """The photo without its border, except along a side with room for less than two boxes."""
    down, across = (
        border if length - 2 * (border := round(BORDER * length)) >= 2 * side else 0 for length in size
    )
    return Box(down, across, size.height - down, size.width - across)


def _band_sums(pixels: Array, full_scale: float, inner: Box, cell: int) -> FloatArray:
    """Sums of |difference of Gaussians| of the grey values over ``cell`` x ``cell`` blocks of ``inner``.

    Works on one row of blocks at a time, plus the margin that the Gaussians need.
    """
    rows, columns = inner.size.height // cell, inner.size.width // cell
    sums = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        top = inner.top + row * cell
        first = max(0, top - SUPPORT)
        strip = pixels[first : top + cell + SUPPORT].astype(np.float32)
        grey = np.clip(np.nan_to_num(strip.mean(axis=2) / np.float32(full_scale)), 0, 1)
        band = np.abs(_blurred(grey, FINE) - _blurred(grey, COARSE))
        blocks = band[top - first :][:cell, inner.left : inner.left + columns * cell]
        sums[row] = blocks.sum(axis=0).reshape(columns, cell).sum(axis=1)
    return sums


def _blurred(grey: FloatArray, deviation: float) -> FloatArray:
    width = 2 * SUPPORT + 1
    return np.asarray(cv2.GaussianBlur(grey, (width, width), deviation, borderType=cv2.BORDER_REPLICATE))
