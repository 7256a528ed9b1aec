"""The networks' learned dictionaries as arrays in space and frequency.

Axes: N or J atoms, C colour, k taps.
"""

import numpy as np
import torch

from defocusctl.maps.extent import Array, FloatArray
from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.prediction import Network

SPECTRUM = 64  # samples along each axis of a spectrum


def atom_arrays(network: Network) -> dict[str, FloatArray]:
    """The atoms by name.

    INIKNet: ``atoms_3`` ... ``atoms_15``, each (N, k, k), including the factor 9 / k^2. NRKNet:
    ``recursive_kernels`` (J - 1, C, 3), the taps a_j, and ``atoms`` (J, C, 2J - 1, 2J - 1), the centred A_j.

    Raises:
        TypeError: for any other network.
    """
    with torch.inference_mode():
        if isinstance(network, INIKNet):
            kernels = zip(network.atoms.sizes, network.atoms(), strict=True)
            return {f"atoms_{k}": _array(kernel) for k, kernel in kernels}
        if isinstance(network, NRKNet):
            dictionary = network.blurring.kernels
            return {"recursive_kernels": _array(dictionary()), "atoms": _centre(_array(dictionary.atoms()))}
    raise TypeError(f"{type(network).__name__} has no known dictionary")


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


def _centre(atoms: FloatArray) -> FloatArray:
    """The central 2J - 1 taps along both axes; everything outside is zero."""
    size = atoms.shape[-1]
    surplus = (size - (2 * len(atoms) - 1)) // 2
    return atoms[..., surplus : size - surplus, surplus : size - surplus]
