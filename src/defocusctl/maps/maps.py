"""The files that ``--maps`` and ``--maps-data`` write for one photo."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from defocusctl.maps.atoms import atom_arrays, atoms_sheet
from defocusctl.maps.panels import blur_radius_sheet, gamma_sheet, mu_sheet, omega_sheet
from defocusctl.maps.reduction import Array, FloatArray
from defocusctl.models.prediction import Network
from defocusctl.photo import Photo
from defocusctl.system.atomic import atomic_write, make_folder

PICTURES = {"iniknet": ("mu", "omega", "atoms"), "nrknet": ("gamma", "atoms")}
"""What is drawn beside the blur radius; nothing for networks from other packages."""
BLUR_RADIUS = "blur_radius"


def pictures_of(model: str) -> tuple[str, ...]:
    """The names of the pictures for a network."""
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
        "gamma": lambda: gamma_sheet(photo, [coefficients[f"gamma_{t}"] for t in (1, 2, 3)]),
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
