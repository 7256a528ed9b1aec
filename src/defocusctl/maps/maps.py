"""The files that ``--maps`` and ``--maps-data`` write for one photo."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from defocusctl.errors import UsageError
from defocusctl.maps.atoms import atom_arrays, atoms_sheet
from defocusctl.maps.extent import Array, blur_extent
from defocusctl.maps.panels import blur_extent_sheet, gamma_sheet, mu_sheet, omega_sheet
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo
from defocusctl.system.atomic import atomic_write, make_folder

PICTURES = {
    "iniknet": ("mu", "omega", "blur_extent", "atoms"),
    "nrknet": ("gamma", "blur_extent", "atoms"),
}
EXTENT_DEFINITIONS = {
    "iniknet": r"blur extent  $\Sigma_r\, \mu_r k_r$",
    "nrknet": r"blur extent  $\Sigma_j\, |\gamma_j| (2j - 1)\ /\ \Sigma_j\, |\gamma_j|$",
}


def check_has_maps(model: str) -> None:
    """Refuse a network whose coefficients have no known meaning.

    Raises:
        UsageError: for all but the built-in networks.
    """
    if model not in PICTURES:
        raise UsageError(
            f"{model} has no maps that could be drawn or saved", "leave out --maps and --maps-data"
        )


def map_paths(directory: Path, stem: str, model: str) -> list[Path]:
    """The files that ``write_maps`` creates: ``<stem>_mu.png`` and so on."""
    return [directory / f"{stem}_{picture}.png" for picture in PICTURES[model]]


def write_maps(
    directory: Path,
    stem: str,
    photo: Photo,
    network: Network,
    coefficients: Mapping[str, Array],
    *,
    force: bool = False,
) -> list[Path]:
    """Draw a photo's coefficients and its network's atoms as PNG files; returns their paths.

    ``coefficients`` are the network's stitched maps for the photo, (K, H, W), at coarser scales
    (K, ceil(H/s), ceil(W/s)), or means of them as ``picture_reduction`` allows. The directory is created if
    it is missing; ``force`` replaces existing files.

    Raises:
        OutputError: if the directory or a file cannot be written.
    """
    make_folder(directory)
    model = network.name
    drawings = {
        "mu": lambda: mu_sheet(photo, coefficients["mu"]),
        "omega": lambda: omega_sheet(photo, coefficients["omega"]),
        "gamma": lambda: gamma_sheet(photo, [coefficients[f"gamma_{t}"] for t in (1, 2, 3)]),
        "blur_extent": lambda: blur_extent_sheet(
            photo, blur_extent(model, coefficients), EXTENT_DEFINITIONS[model]
        ),
        "atoms": lambda: atoms_sheet(network),
    }
    paths = map_paths(directory, stem, model)
    for picture, path in zip(PICTURES[model], paths, strict=True):
        drawings[picture]().save(path, force=force)
    return paths


def write_maps_data(
    path: Path, network: Network, coefficients: Mapping[str, Array], *, force: bool = False
) -> None:
    """Write the raw arrays to an uncompressed ``.npz`` file, whole or not at all.

    It holds ``model``, the coefficients as given, ``blur_extent`` (H, W) float32 in pixels, and the atoms
    under the names of ``atom_arrays``.

    Raises:
        OutputError: if it cannot be written.
    """
    extent = blur_extent(network.name, coefficients)
    with atomic_write(path, force=force) as file:
        np.savez(
            file,
            allow_pickle=False,
            model=np.array(network.name),
            blur_extent=extent,
            **coefficients,
            **atom_arrays(network),
        )
