"""The pictures and arrays of one photo: blur radius, levels, and the coefficients mu, omega, gamma.

Axes: K maps of a family, H rows, W columns.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from defocusctl.maps.atoms import atom_arrays, atoms_sheet
from defocusctl.maps.reduction import (
    Array,
    FloatArray,
    Rgb,
    reduced_map,
    reduced_photo,
    reduction_factor,
    rgb8,
)
from defocusctl.maps.sheet import LABEL_GAP, MARGIN, SMALL, Area, ColourScale, Sheet, grid, panel_size
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo
from defocusctl.photo.geometry import Size
from defocusctl.system.atomic import atomic_write, make_folder

GAP = 14.0
LABEL_ROW = 40.0  # above every panel
HEADING_ROW = 62.0
FAMILY_GAP = 50.0
BAR_WIDTH = 26.0
BAR_COLUMN = 150.0  # a colour bar with its margin, values and label
PANEL_AREA, SMALL_PANEL_AREA = 330.0**2, 210.0**2  # square pixels: mu and omega, gamma
RADIUS_AREA = 1000.0**2  # the largest panels
MIN_RADIUS_SPAN = 2.0  # pixels of blur: a flat estimate should look flat
LEVELS = {  # what the levels are called and drawn in, finest first; then what is left alone
    "scale 1": "#4477aa",
    "1/2": "#228833",
    "1/4": "#ee9922",
    "1/8": "#aa3377",
    "unchanged": "#dddddd",
}
LEGEND_ROW = 34.0
MIN_PITCH = 190.0  # room for a label above a narrow panel

PICTURES = {"iniknet": ("mu", "omega", "atoms"), "nrknet": ("gamma", "atoms")}
"""What is drawn beside the blur radius; nothing for networks from other packages."""
BLUR_RADIUS = "blur_radius"


def pictures_of(model: str) -> tuple[str, ...]:
    return BLUR_RADIUS, *PICTURES.get(model, ())


def map_paths(directory: Path, stem: str, model: str) -> list[Path]:
    """The files that ``write_maps`` creates: ``<stem>_mu.png`` and so on."""
    return [directory / f"{stem}_{picture}.png" for picture in pictures_of(model)]


def write_maps(
    directory: Path,
    stem: str,
    photo: Photo,
    network: Network,
    coefficients: Mapping[str, Array],
    radius: FloatArray,
    shares: FloatArray,
    *,
    force: bool = False,
) -> list[Path]:
    """Draw a photo's blur radius, coefficients and network's atoms as PNG files; returns their paths.

    ``radius`` is (H, W) in pixels, ``shares`` those of the levels, (4, h, w). ``coefficients`` are the
    network's stitched maps for the photo, (K, H, W), at coarser scales (K, ceil(H/s), ceil(W/s)), or means of
    them as ``picture_reduction`` allows. The directory is created if it is missing; ``force`` replaces
    existing files.

    Raises:
        OutputError: if the directory or a file cannot be written.
    """
    make_folder(directory)
    drawings = {
        BLUR_RADIUS: lambda: blur_radius_sheet(photo, radius, shares),
        "mu": lambda: mu_sheet(photo, coefficients["mu"]),
        "omega": lambda: omega_sheet(photo, coefficients["omega"]),
        "gamma": lambda: gamma_sheet(photo, [coefficients[name] for name in network.coefficient_names]),
        "atoms": lambda: atoms_sheet(network),
    }
    paths = map_paths(directory, stem, network.name)
    for picture, path in zip(pictures_of(network.name), paths, strict=True):
        drawings[picture]().save(path, force=force)
    return paths


def write_maps_data(
    path: Path,
    network: Network,
    coefficients: Mapping[str, Array],
    radius: FloatArray,
    shares: FloatArray,
    *,
    force: bool = False,
) -> None:
    """Write the raw arrays to an uncompressed ``.npz`` file, whole or not at all.

    It holds ``model``, the coefficients as given, ``blur_radius`` (H, W) float32 in pixels, ``level_shares``
    (4, h, w) float32, and the atoms under the names of ``atom_arrays``.

    Raises:
        OutputError: if it cannot be written.
    """
    with atomic_write(path, force=force) as file:
        np.savez(
            file,
            allow_pickle=False,
            model=np.array(network.name),
            blur_radius=radius,
            level_shares=shares,
            **coefficients,
            **(atom_arrays(network) if network.name in PICTURES else {}),
        )


def picture_reduction(size: Size, largest: int) -> int:
    """By how much maps may be reduced before they are drawn: blocks of 1, 2, 4, ... ``largest`` pixels.

    The largest panel for a photo of ``size`` still gets at least one map pixel for each of its own.
    """
    factor = reduction_factor(size, _longest_side(size, RADIUS_AREA))
    return min(largest, 1 << (factor.bit_length() - 1))


def mu_sheet(photo: Photo, mu: Array) -> Sheet:
    """The 8 maps of mu on one scale from zero, beside the photo."""
    maps = _reduced(mu, photo, panel_area=PANEL_AREA)
    labels = [rf"$\mu_{{{r}}}$  {2 * r - 1} × {2 * r - 1}" for r in range(1, len(mu) + 1)]
    labels[0] += " (δ)"
    scale = ColourScale.sequential(maps, "viridis")
    heading = r"INIKNet: share $\mu_r$ of each kernel size"
    return _sheet(photo, [_Family("photo", maps, labels)], scale, PANEL_AREA, heading, r"$\mu_r$")


def omega_sheet(photo: Photo, omega: Array) -> Sheet:
    """The 10 maps of omega on one scale that is symmetric around zero, beside the photo."""
    maps = _reduced(omega, photo, panel_area=PANEL_AREA)
    family = _Family("photo", maps, [rf"$\omega_{{{n}}}$" for n in range(1, len(omega) + 1)])
    heading = r"INIKNet: weight $\omega_n$ of each atom $v_n$"
    return _sheet(photo, [family], ColourScale.symmetric(maps), PANEL_AREA, heading, r"$\omega_n$")


def gamma_sheet(photo: Photo, gammas: list[Array]) -> Sheet:
    """The maps of gamma at each scale, all on one colour scale that is symmetric around zero.

    The scale is an asinh, because the weight of the delta atom is often far larger than the others.
    """
    families = []
    for t, gamma in enumerate(gammas, start=1):
        fraction = "full size" if t == 1 else f"1/{2 ** (t - 1)} of the size"
        labels = [rf"$\gamma_{{{j}}}$" for j in range(1, len(gamma) + 1)]
        maps = _reduced(gamma, photo, panel_area=SMALL_PANEL_AREA)
        families.append(_Family(f"$t = {t}$, {fraction}", maps, labels))
    scale = ColourScale.symmetric_asinh([values for family in families for values in family.maps])
    heading = r"NRKNet: weight $\gamma_j$ of each blur atom $A_j$, at every scale $t$"
    return _sheet(photo, families, scale, SMALL_PANEL_AREA, heading, r"$\gamma_j$")


def blur_radius_sheet(photo: Photo, radius: FloatArray, shares: FloatArray) -> Sheet:
    """The photo, its blur radius in pixels (H, W), and the levels by their shares (4, h, w).

    They are side by side, or one above the other for wide photos.
    """
    panel = panel_size(*photo.size, area=RADIUS_AREA)
    stacked = panel[0] > 1.7 * panel[1]
    longest = _longest_side(photo.size, RADIUS_AREA)
    values = reduced_map(radius, longest)
    scale = ColourScale.sequential([values], "magma", least_span=MIN_RADIUS_SPAN)
    row = LABEL_ROW + panel[1] + GAP
    column = max(panel[0], 420.0) + 2 * GAP
    rows, columns = (3, 1) if stacked else (1, 3)
    places = grid(MARGIN, MARGIN + LABEL_ROW, columns, 3, panel, (column, row))
    sheet = Sheet(2 * MARGIN + columns * column + BAR_COLUMN, 2 * MARGIN + rows * row)
    for place, words in zip(places, ("photo", "blur radius", "levels used"), strict=True):
        sheet.text(place.left + panel[0] / 2, place.top - LABEL_GAP, words)
    sheet.photo(places[0], _drawn(photo, longest))
    sheet.map(places[1], values, scale)
    sheet.photo(places[2], _level_colours(shares))
    left = MARGIN + columns * column + GAP
    height = panel[1] if stacked else panel[1] - len(LEVELS) * LEGEND_ROW - 2 * GAP
    sheet.colour_bar(Area(left, places[1].top, BAR_WIDTH, height), scale, "pixels")
    legend_top = places[2].bottom - len(LEVELS) * LEGEND_ROW
    for number, (name, colour) in enumerate(LEVELS.items()):
        top = legend_top + number * LEGEND_ROW
        sheet.block(Area(left, top, BAR_WIDTH, BAR_WIDTH), colour)
        middle = top + BAR_WIDTH / 2
        sheet.text(left + BAR_WIDTH + GAP, middle, name, size=SMALL + 1, horizontal="left", vertical="center")
    return sheet


def _level_colours(shares: FloatArray) -> Rgb:
    """Shares (4, h, w) as a mixture of the levels' colours and that of what is unchanged, (h, w, 3)."""
    from matplotlib.colors import to_rgb

    rest = np.clip(1 - shares.sum(axis=0, keepdims=True), 0, None)
    parts = np.concatenate([shares, rest])
    parts /= parts.sum(axis=0)
    colours = np.array([to_rgb(colour) for colour in LEVELS.values()], np.float32)
    return rgb8(np.tensordot(parts, colours, axes=(0, 0)), 1.0)


class _Family(NamedTuple):
    """Maps that belong together with a label each, and the label of the photo beside them."""

    photo_label: str
    maps: list[FloatArray]
    labels: list[str]


def _sheet(
    photo: Photo,
    families: Sequence[_Family],
    scale: ColourScale,
    panel_area: float,
    heading: str,
    bar_label: str,
) -> Sheet:
    """Equally many maps of each family in a grid, in panels of ``panel_area`` square pixels.

    The photo is on the left of each grid, as high as two rows; a wide photo needs more than two rows.
    """
    count = len(families[0].maps)
    height, width = photo.size
    panel_width, panel_height = panel_size(height, width, area=panel_area)
    two_rows = math.ceil(count / 2)
    columns = min(two_rows, max(2, math.floor(two_rows / math.sqrt(width / height / 2))))
    rows = math.ceil(count / columns)
    pitch = max(panel_width, MIN_PITCH) + GAP, panel_height + LABEL_ROW + GAP
    photo_height = 2 * panel_height + LABEL_ROW + GAP
    photo_width = photo_height * panel_width / panel_height
    photo_column = max(photo_width, 2 * MIN_PITCH) + 2 * GAP

    content_width = photo_column + columns * pitch[0]
    grid_height = rows * pitch[1]
    first = MARGIN + HEADING_ROW + LABEL_ROW
    content_height = len(families) * (grid_height + FAMILY_GAP) - FAMILY_GAP
    sheet = Sheet(content_width + 2 * MARGIN + BAR_COLUMN, MARGIN + HEADING_ROW + content_height + MARGIN)
    sheet.heading(MARGIN, heading)
    for number, family in enumerate(families):
        top = first + number * (grid_height + FAMILY_GAP)
        left = MARGIN + (photo_column - 2 * GAP - photo_width) / 2
        sheet.photo(Area(left, top, photo_width, photo_height), _drawn(photo, max(photo_width, photo_height)))
        sheet.text(left + photo_width / 2, top - LABEL_GAP, family.photo_label)
        places = grid(MARGIN + photo_column, top, columns, count, (panel_width, panel_height), pitch)
        for area, values, label in zip(places, family.maps, family.labels, strict=True):
            sheet.map(area, values, scale)
            sheet.text(area.left + area.width / 2, area.top - LABEL_GAP, label)
    bar = Area(MARGIN + content_width + 2 * GAP, first, BAR_WIDTH, content_height - LABEL_ROW - GAP)
    sheet.colour_bar(bar, scale, bar_label)
    return sheet


def _drawn(photo: Photo, longest: float) -> Rgb:
    """The photo as 8-bit RGB for an area whose longer side has ``longest`` pixels."""
    return reduced_photo(photo.pixels, photo.full_scale, math.ceil(longest))


def _reduced(maps: Array, photo: Photo, *, panel_area: float) -> list[FloatArray]:
    """The maps, reduced to about the size of a panel of ``panel_area`` square pixels."""
    longest = _longest_side(photo.size, panel_area)
    return [reduced_map(np.asarray(values), longest) for values in maps]


def _longest_side(size: Size, panel_area: float) -> int:
    """The longer side of a panel of ``panel_area`` square pixels for a photo of ``size``, in whole pixels."""
    return math.ceil(max(panel_size(*size, area=panel_area)))
