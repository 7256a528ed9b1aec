"""NumPy arrays and PyTorch tensors to photos and back.

Axes: H rows, W columns, C channels: grey, grey and alpha, RGB, or RGB and alpha.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from defocusctl.errors import InputError
from defocusctl.photo import IN_MEMORY, Photo
from defocusctl.photo.white import white_of

Array: TypeAlias = npt.NDArray[Any]
ImageT = TypeVar("ImageT")


@dataclass(frozen=True)
class LoadedImage(Generic[ImageT]):
    """An image as a photo, how to convert a photo back to that kind of image, and its source file, if any."""

    photo: Photo
    convert_back: Callable[[Photo], ImageT]
    source: Path | None = None


def from_array(image: Array, white: float | None) -> LoadedImage[Array]:
    """(H, W) grey, or (H, W, C) with C from 1 to 4; uint8, uint16, or floats with ``white`` (1 by default).

    Raises:
        InputError: if it is any other array.
        UsageError: if ``white`` is not positive.
    """
    pixels, alpha = split_alpha(image)
    white, warnings = white_of(pixels, white)

    def convert_back(photo: Photo) -> Array:
        after = to_array(photo)
        return after.reshape(*after.shape[:2], *image.shape[2:]).astype(image.dtype.newbyteorder("="))

    return LoadedImage(Photo(pixels, alpha, IN_MEMORY, warnings=warnings, white=white), convert_back)


def from_tensor(image: Tensor, white: float | None) -> LoadedImage[Tensor]:
    """(C, H, W) with C = 1, 3 or 4 on any device; dtypes as for arrays, and bfloat16.

    Converting back returns a tensor on the same device, without a gradient.

    Raises:
        InputError: if it is any other tensor.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise InputError(
            f"a tensor of shape {tuple(image.shape)} is not an image",
            "give (channels, height, width) with 1, 3 (RGB) or 4 channels, or a batch of these",
        )
    if image.layout is not torch.strided or image.is_complex() or image.is_quantized:
        raise InputError(f"a {image.layout} tensor of {image.dtype} is not an image", "give a dense one")
    host = image.detach().cpu()
    if host.is_floating_point():
        host = host.float()
    loaded = from_array(host.permute(1, 2, 0).numpy(), white)

    def convert_back(photo: Photo) -> Tensor:
        after = np.ascontiguousarray(loaded.convert_back(photo).transpose(2, 0, 1))
        return torch.from_numpy(after).to(image.device, image.dtype)

    return LoadedImage(loaded.photo, convert_back)


def to_array(photo: Photo) -> Array:
    """The pixels of a photo with its alpha: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
    if photo.alpha is not None:
        return np.dstack([photo.pixels, photo.alpha])
    return photo.pixels[:, :, 0] if photo.pixels.shape[2] == 1 else photo.pixels


def split_alpha(image: Array) -> tuple[Array, Array | None]:
    """The pixels (H, W, 1 or 3) of an array and its alpha (H, W), as uint8, uint16 or float32.

    Raises:
        InputError: if it is not an image.
    """
    samples = _samples(image)
    count = samples.shape[2]
    pixels = np.ascontiguousarray(samples[:, :, : 1 if count <= 2 else 3])
    return pixels, np.ascontiguousarray(samples[:, :, -1]) if count in (2, 4) else None


def _samples(image: Array) -> Array:
    """An array as (H, W, C) uint8, uint16 or float32."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4) or 0 in image.shape:
        raise InputError(
            f"an array of shape {image.shape} is not an image",
            "give (height, width) or (height, width, channels) with at most 4 channels",
        )
    if image.dtype.kind == "f":
        with np.errstate(over="ignore"):  # values that overflow are refused when restored
            samples = image.astype(np.float32)
    elif image.dtype.kind == "u" and image.dtype.itemsize <= 2:
        samples = image.astype(image.dtype.newbyteorder("="), copy=False)
    else:
        raise InputError(
            f"samples of type {image.dtype} are not supported", "give uint8, uint16 or floats from 0 to 1"
        )
    return samples.reshape(*image.shape[:2], -1)
