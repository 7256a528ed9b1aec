"""The networks' learned atoms: as arrays in space and frequency, and drawn on a page.

Axes: N or J atoms, R kernel sizes, C colour, k taps.
"""

import numpy as np
import torch

from defocusctl.maps.reduction import Array, FloatArray
from defocusctl.maps.sheet import LABEL_GAP, MARGIN, SMALL, Area, ColourScale, Sheet
from defocusctl.models.blur_atoms import RecursiveKernels
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.prediction import Network

SPECTRUM = 64  # samples along each axis of a spectrum


def atom_arrays(network: Network) -> dict[str, FloatArray]:
    """The atoms by name.

    INIKNet: ``atoms_3`` ... ``atoms_15``, each (N, k, k), including the factor 9 / k^2. NRKNet:
    ``recursive_kernels`` (J - 1, C, 3), the taps a_j, and ``atoms`` (J, C, 2J - 1, 2J - 1), the centred A_j;
    without the taps, and as large as they are, if the atoms are not recursive.
    """
    with torch.inference_mode():
        if isinstance(network, INIKNet):
            kernels = zip(network.atoms.sizes, network.atoms(), strict=True)
            return {f"atoms_{k}": _array(kernel) for k, kernel in kernels}
        assert isinstance(network, NRKNet)
        dictionary = network.blurring.kernels
        atoms = {"atoms": _array(dictionary.atoms())}
        if isinstance(dictionary, RecursiveKernels):
            return {"recursive_kernels": _array(dictionary()), **atoms}
        return atoms


def spectrum(kernel: Array) -> FloatArray:
    """|FFT| of a (k, k) kernel zero-padded to 64 x 64, with frequency zero at row and column 32."""
    magnitudes = np.abs(np.fft.fft2(kernel, (SPECTRUM, SPECTRUM)))
    return np.fft.fftshift(magnitudes).astype(np.float32)


def decibels(magnitudes: FloatArray, reference: float, floor: float) -> FloatArray:
    """20 log10(magnitudes / reference), at least ``floor``."""
    least = 10 ** (floor / 20)
    levels = 20 * np.log10(np.maximum(magnitudes / reference, least))
    return np.asarray(levels, dtype=np.float32)


def _array(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.float().cpu().numpy(), dtype=np.float32)


FLOOR_DB = -40.0

GAP = 8.0
CELL = 118.0
PITCH = CELL + GAP
TITLE_ROW = 62.0
LABEL_ROW = 38.0
NAME_COLUMN = 120.0
BAR_WIDTH = 22.0
BAR_GAP = 34.0
BAR_COLUMN = 200.0


def atoms_sheet(network: Network) -> Sheet:
    """The atoms of a built-in network on one page."""
    atoms = atom_arrays(network)
    if "recursive_kernels" in atoms:
        return recursive_atoms_sheet(atoms)
    return blur_atoms_sheet(atoms) if "atoms" in atoms else inverse_atoms_sheet(atoms)


def inverse_atoms_sheet(atoms: dict[str, FloatArray]) -> Sheet:
    """INIKNet: every v_n^r in space and the magnitude of its spectrum, with one scale for each.

    In space, the factor 9/k^2 is removed to show the atom's own function, sampled.
    """
    kernels = list(atoms.values())  # R times (N, k, k)
    values = [[atom * (atom.shape[-1] ** 2 / 9) for atom in family] for family in kernels]
    magnitudes = [[spectrum(atom) for atom in family] for family in kernels]
    reference = max(float(magnitude.max()) for family in magnitudes for magnitude in family) or 1.0
    levels = [[decibels(magnitude, reference, FLOOR_DB) for magnitude in family] for family in magnitudes]

    rows, columns = len(kernels), len(kernels[0])
    block = columns * PITCH + BAR_COLUMN
    top = MARGIN + TITLE_ROW + LABEL_ROW
    sheet = Sheet(2 * MARGIN + NAME_COLUMN + 2 * block, top + rows * PITCH + MARGIN)
    left = MARGIN + NAME_COLUMN
    for row, family in enumerate(kernels):
        k = family.shape[-1]
        y = top + row * PITCH + CELL / 2
        sheet.text(left - 2 * GAP, y, f"{k} × {k}", horizontal="right", vertical="center")
    space = ColourScale.symmetric([atom for family in values for atom in family])
    frequency = ColourScale("magma", FLOOR_DB, 0.0, "min")
    blocks = (
        ("INIKNet: atoms $v_n$ in space", values, space, r"$v_n k^2/9$"),
        (
            "their spectra, |FFT| relative to the largest, frequency zero in the centre",
            levels,
            frequency,
            "dB",
        ),
    )
    for number, (title, pictures, scale, bar_label) in enumerate(blocks):
        x = left + number * block
        sheet.heading(x, title)
        for n in range(columns):
            sheet.text(x + n * PITCH + CELL / 2, top - LABEL_GAP, f"$v_{{{n + 1}}}$")
        for row, atoms_of_size in enumerate(pictures):
            for n, picture in enumerate(atoms_of_size):
                sheet.map(Area(x + n * PITCH, top + row * PITCH, CELL, CELL), picture, scale)
        bar = Area(x + columns * PITCH + BAR_GAP, top, BAR_WIDTH, rows * PITCH - GAP)
        sheet.colour_bar(bar, scale, bar_label)
    return sheet


def recursive_atoms_sheet(atoms: dict[str, FloatArray]) -> Sheet:
    """NRKNet: taps a_j, a_j a_j^T, atoms A_j and |FFT(A_j)|, each averaged over the three colours.

    The atoms widen from one pixel to 2J - 1, so each is drawn on its own scale from zero to its peak, which
    is written below it; each of the other rows has a single scale.
    """
    taps = atoms["recursive_kernels"]  # (J - 1, C, 3)
    products = (taps[:, :, :, None] * taps[:, :, None, :]).mean(axis=1)
    taps = taps.mean(axis=1)
    spatial = atoms["atoms"].mean(axis=1)  # (J, 2J - 1, 2J - 1)
    count = len(spatial)
    columns = -(-count // 2)
    cell, pitch = 1.35 * CELL, 1.35 * CELL + GAP
    peak_row = 34.0
    band = LABEL_ROW + 4 * pitch + peak_row + 3 * GAP
    top = MARGIN + TITLE_ROW
    left = MARGIN + 1.4 * NAME_COLUMN
    sheet = Sheet(left + columns * pitch + BAR_COLUMN + MARGIN, top + 2 * band - 3 * GAP + MARGIN)
    title = r"NRKNet: recursive kernels $a_j$ and atoms $A_{j+1} = A_j \ast (a_j a_j^T)$, mean of the colours"
    sheet.heading(MARGIN, title)
    product_scale = ColourScale("viridis", 0.0, float(products.max()))
    spectrum_scale = ColourScale("magma", 0.0, 1.0)
    names = ("$a_j$", "$a_j a_j^T$", "$A_j$", r"$|\mathrm{FFT}(A_j)|$")
    for start in (0, columns):
        first_row = top + LABEL_ROW + (band if start else 0)
        rows = [first_row, first_row + pitch, first_row + 2 * pitch, first_row + 3 * pitch + peak_row]
        for name, y in zip(names, rows, strict=True):
            sheet.text(left - 2 * GAP, y + cell / 2, name, horizontal="right", vertical="center")
        for column, j in enumerate(range(start, min(start + columns, count))):
            x = left + column * pitch
            places = [Area(x, y, cell, cell) for y in rows]
            sheet.text(x + cell / 2, first_row - LABEL_GAP, f"$j = {j + 1}$")
            if j < len(taps):
                _draw_taps(sheet, places[0], taps[j], ceiling=float(taps.max()))
                sheet.map(places[1], products[j], product_scale)
            peak = float(spatial[j].max())
            sheet.map(places[2], spatial[j], ColourScale("viridis", 0.0, peak))
            sheet.text(x + cell / 2, places[2].bottom + 4, f"peak {peak:.3g}", size=SMALL, vertical="top")
            sheet.map(places[3], spectrum(spatial[j]), spectrum_scale)
        bar_left = left + columns * pitch + GAP
        sheet.colour_bar(Area(bar_left, rows[1], BAR_WIDTH, cell), product_scale, "")
        sheet.colour_bar(Area(bar_left, rows[3], BAR_WIDTH, cell), spectrum_scale, "")
    return sheet


def blur_atoms_sheet(atoms: dict[str, FloatArray]) -> Sheet:
    """The atoms A_j of an ablation of NRKNet, mean of the colours, each on a scale from zero to its peak."""
    spatial = atoms["atoms"].mean(axis=1)  # (J, K, K)
    columns = -(-len(spatial) // 3)
    top, pitch = MARGIN + TITLE_ROW + LABEL_ROW, CELL + LABEL_ROW + GAP
    sheet = Sheet(2 * MARGIN + columns * PITCH, top + 3 * pitch + MARGIN)
    sheet.heading(MARGIN, "NRKNet: blur atoms $A_j$, mean of the colours")
    for j, atom in enumerate(spatial):
        place = Area(MARGIN + j % columns * PITCH, top + j // columns * pitch, CELL, CELL)
        sheet.text(place.left + CELL / 2, place.top - LABEL_GAP, f"$j = {j + 1}$")
        sheet.map(place, atom, ColourScale("viridis", 0.0, float(atom.max())))
    return sheet


def _draw_taps(sheet: Sheet, area: Area, taps: FloatArray, *, ceiling: float) -> None:
    """Three bars, each with its value above it; ``ceiling`` is the largest tap of all kernels."""
    pitch = area.width / 3.2
    for position, tap in enumerate(taps):
        centre = area.left + area.width / 2 + (position - 1) * pitch
        height = area.height * float(tap) / (1.3 * ceiling)
        sheet.block(Area(centre - 0.35 * pitch, area.bottom - height, 0.7 * pitch, height), "#31688e")
        sheet.text(centre, area.bottom - height - 3, f"{tap:.2f}".lstrip("0"), size=SMALL - 1)
    sheet.outline(area)
