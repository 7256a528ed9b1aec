"""Pictures of one photo's coefficients: mu, omega, gamma at three scales, and the blur extent.

Axes: K maps of a family, H rows, W columns. Photos are (H, W, 1 or 3) of any type.
"""

import math
from dataclasses import dataclass

import numpy as np

from defocusctl.geometry import Size
from defocusctl.maps.extent import Array, FloatArray, Rgb, reduced_map, reduced_photo, reduction_factor
from defocusctl.maps.sheet import LABEL_GAP, Area, ColourScale, Sheet, grid, panel_size

MARGIN = 36.0
GAP = 14.0
LABEL_ROW = 40.0  # above every panel
HEADING_ROW = 62.0
BAR_WIDTH = 26.0
BAR_COLUMN = 150.0  # a colour bar with its margin, values and label
PANEL_AREA, SMALL_PANEL_AREA = 330.0**2, 210.0**2  # square pixels: mu and omega, gamma
EXTENT_AREA = 1000.0**2  # the largest panels
MIN_EXTENT_SPAN = 2.0  # pixels of blur: a flat estimate should look flat
MIN_PITCH = 190.0  # room for a label above a narrow panel


@dataclass(frozen=True)
class PhotoPixels:
    """The photo that the maps belong to; ``full_scale`` is its white."""

    pixels: Array
    full_scale: float

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[0], self.pixels.shape[1])

    def reduced(self, longest: float) -> Rgb:
        """The photo as 8-bit RGB for an area whose longer side has ``longest`` pixels."""
        return reduced_photo(self.pixels, self.full_scale, math.ceil(longest))


def picture_reduction(size: Size, largest: int) -> int:
    """By how much maps may be reduced before they are drawn: blocks of 1, 2, 4, ... ``largest`` pixels.

    The largest panel for a photo of ``size`` still gets at least one map pixel for each of its own.
    """
    factor = reduction_factor(size, _longest_side(size, EXTENT_AREA))
    return min(largest, 1 << (factor.bit_length() - 1))


def mu_sheet(photo: PhotoPixels, mu: Array) -> Sheet:
    """The 8 maps of mu on one scale from zero, beside the photo."""
    labels = [
        rf"$\mu_{{{r}}}$  {2 * r - 1} × {2 * r - 1}" + (" (δ)" if r == 1 else "")
        for r in range(1, len(mu) + 1)
    ]
    maps = _reduced(mu, photo, panel_area=PANEL_AREA)
    return _family_sheet(
        photo,
        maps,
        labels,
        ColourScale.sequential(maps, "viridis", floor=0.0),
        heading=r"INIKNet: share $\mu_r$ of each kernel size",
        bar_label=r"$\mu_r$",
    )


def omega_sheet(photo: PhotoPixels, omega: Array) -> Sheet:
    """The 10 maps of omega on one scale that is symmetric around zero, beside the photo."""
    maps = _reduced(omega, photo, panel_area=PANEL_AREA)
    return _family_sheet(
        photo,
        maps,
        [rf"$\omega_{{{n}}}$" for n in range(1, len(omega) + 1)],
        ColourScale.symmetric(maps),
        heading=r"INIKNet: weight $\omega_n$ of each atom $v_n$",
        bar_label=r"$\omega_n$",
    )


def gamma_sheet(photo: PhotoPixels, gammas: list[Array]) -> Sheet:
    """The 22 maps of gamma at each of three scales, all on one scale that is symmetric around zero.

    The scale is an asinh, because the weight of the delta atom is often far larger than the others.
    """
    families = [_reduced(gamma, photo, panel_area=SMALL_PANEL_AREA) for gamma in gammas]
    scale = ColourScale.symmetric_asinh([values for maps in families for values in maps])
    block = _Block.of(photo, len(families[0]), SMALL_PANEL_AREA)
    block_height = block.height + HEADING_ROW * 0.8
    top = MARGIN + HEADING_ROW
    height = top + block_height * len(families) + MARGIN
    sheet = Sheet(block.width + 2 * MARGIN + BAR_COLUMN, height)
    sheet.heading(MARGIN, MARGIN, r"NRKNet: weight $\gamma_j$ of each blur atom $A_j$, at three scales $t$")
    for t, maps in enumerate(families, start=1):
        labels = [rf"$\gamma_{{{j}}}$" for j in range(1, len(maps) + 1)]
        fraction = "full size" if t == 1 else f"1/{2 ** (t - 1)} of the size"
        block.draw(sheet, top, photo, f"$t = {t}$, {fraction}", maps, labels, scale)
        top += block_height
    bar_top = MARGIN + HEADING_ROW + LABEL_ROW
    sheet.colour_bar(
        _bar(block, bar_top, height - MARGIN - HEADING_ROW * 0.8 - bar_top), scale, r"$\gamma_j$"
    )
    return sheet


def blur_extent_sheet(photo: PhotoPixels, extent: FloatArray, definition: str) -> Sheet:
    """The photo and its blur extent in pixels, side by side, or one above the other for wide photos."""
    panel = panel_size(*photo.size, area=EXTENT_AREA)
    stacked = panel[0] > 1.7 * panel[1]
    longest = _longest_side(photo.size, EXTENT_AREA)
    values = reduced_map(extent, longest)
    scale = ColourScale.sequential([values], "magma", least_span=MIN_EXTENT_SPAN)
    row = LABEL_ROW + panel[1] + GAP
    column = max(panel[0], 420.0) + 2 * GAP
    places = grid(MARGIN, MARGIN + LABEL_ROW, 1 if stacked else 2, 2, panel, (column, row))
    rows, columns = (2, 1) if stacked else (1, 2)
    sheet = Sheet(2 * MARGIN + columns * column + BAR_COLUMN, 2 * MARGIN + rows * row)
    for place, words in zip(places, ("photo", definition), strict=True):
        sheet.text(place.left + panel[0] / 2, place.top - LABEL_GAP, words)
    sheet.photo(places[0], photo.reduced(longest))
    sheet.map(places[1], values, scale)
    bar = Area(MARGIN + columns * column + GAP, places[1].top, BAR_WIDTH, panel[1])
    sheet.colour_bar(bar, scale, "pixels")
    return sheet


@dataclass(frozen=True)
class _Block:
    """A photo on the left, as high as two rows of the grid of maps on the right."""

    panel: tuple[float, float]
    pitch: tuple[float, float]
    photo: tuple[float, float]
    columns: int
    rows: int

    @classmethod
    def of(cls, photo: PhotoPixels, count: int, area: float) -> "_Block":
        """For ``count`` maps in panels of ``area`` square pixels: two rows, more if the photo is wide."""
        height, width = photo.size
        two_rows = math.ceil(count / 2)
        columns = min(two_rows, max(2, math.floor(two_rows / math.sqrt(width / height / 2))))
        panel = panel_size(height, width, area=area)
        photo_height = 2 * panel[1] + LABEL_ROW + GAP
        return cls(
            panel,
            (max(panel[0], MIN_PITCH) + GAP, panel[1] + LABEL_ROW + GAP),
            (photo_height * panel[0] / panel[1], photo_height),
            columns,
            math.ceil(count / columns),
        )

    @property
    def photo_column(self) -> float:
        return max(self.photo[0], 2 * MIN_PITCH) + 2 * GAP

    @property
    def width(self) -> float:
        return self.photo_column + self.columns * self.pitch[0]

    @property
    def height(self) -> float:
        """The height of the grid, including the labels above its rows."""
        return self.rows * self.pitch[1]

    def draw(
        self,
        sheet: Sheet,
        top: float,
        photo: PhotoPixels,
        photo_label: str,
        maps: list[FloatArray],
        labels: list[str],
        scale: ColourScale,
    ) -> None:
        """Draw the block with its upper edge at ``top``."""
        photo_top = top + LABEL_ROW
        left = MARGIN + (self.photo_column - 2 * GAP - self.photo[0]) / 2
        place = Area(left, photo_top, *self.photo)
        sheet.photo(place, photo.reduced(max(self.photo)))
        sheet.text(place.left + place.width / 2, photo_top - LABEL_GAP, photo_label)
        places = grid(MARGIN + self.photo_column, photo_top, self.columns, len(maps), self.panel, self.pitch)
        for area, values, label in zip(places, maps, labels, strict=True):
            sheet.map(area, values, scale)
            sheet.text(area.left + area.width / 2, area.top - LABEL_GAP, label)


def _family_sheet(
    photo: PhotoPixels,
    maps: list[FloatArray],
    labels: list[str],
    scale: ColourScale,
    *,
    heading: str,
    bar_label: str,
) -> Sheet:
    block = _Block.of(photo, len(maps), PANEL_AREA)
    top = MARGIN + HEADING_ROW
    sheet = Sheet(block.width + 2 * MARGIN + BAR_COLUMN, top + block.height + MARGIN)
    sheet.heading(MARGIN, MARGIN, heading)
    block.draw(sheet, top, photo, "photo", maps, labels, scale)
    sheet.colour_bar(_bar(block, top + LABEL_ROW, block.height - LABEL_ROW - GAP), scale, bar_label)
    return sheet


def _bar(block: _Block, top: float, height: float) -> Area:
    return Area(MARGIN + block.width + 2 * GAP, top, BAR_WIDTH, height)


def _reduced(maps: Array, photo: PhotoPixels, *, panel_area: float) -> list[FloatArray]:
    """The maps, reduced to about the size of a panel of ``panel_area`` square pixels."""
    longest = _longest_side(photo.size, panel_area)
    return [reduced_map(np.asarray(values), longest) for values in maps]


def _longest_side(size: Size, panel_area: float) -> int:
    """The longer side of a panel of ``panel_area`` square pixels for a photo of ``size``, in whole pixels."""
    return math.ceil(max(panel_size(*size, area=panel_area)))
