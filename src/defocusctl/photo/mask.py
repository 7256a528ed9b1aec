"""A picture that says where a photo is deblurred: white is, black is not."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from defocusctl.errors import InputError
from defocusctl.photo.geometry import Size
from defocusctl.photo.read import DEFAULT_MAX_MEGAPIXELS, read_photo

Mask = npt.NDArray[np.uint8]


def read_mask(path: Path, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> Mask:
    """The mask in a picture of any format that photos have: (h, w), 0 black to 255 white, upright.

    Colours count by their mean, and what is transparent counts as black.

    Raises:
        InputError: if it cannot be read, is above the limit, or is all black or all white.
    """
    try:
        photo = read_photo(path, max_megapixels=max_megapixels)
    except InputError as error:
        raise InputError(f"mask: {error.cause}", error.remedy) from error
    white = np.float32(photo.full_scale)
    light = photo.pixels.mean(axis=2, dtype=np.float32) / white
    if photo.transparency is not None:
        light *= photo.transparency.astype(np.float32) / white
    mask: Mask = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    if mask.min() == mask.max() and mask.max() in (0, 255):
        black = mask.max() == 0
        raise InputError(
            f"the mask '{path}' is all {'black, so nothing would be deblurred' if black else 'white'}",
            "paint white what is to be deblurred" if black else "leave out --mask to deblur the whole photo",
        )
    return mask


def mask_of(array: Any) -> Mask:
    """The mask in an array (h, w), ``uint8`` with 255 for white, or ``bool``.

    Raises:
        InputError: if it is anything else.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"a {type(array).__name__} is not a mask", "give a file or an array (height, width)")
    if array.ndim != 2 or array.dtype not in (np.uint8, np.bool_) or 0 in array.shape:
        cause = f"an array of shape {array.shape} and type {array.dtype} is not a mask"
        raise InputError(cause, "give (height, width) of uint8, 255 for white, or of bool")
    mask: Mask = array.astype(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array
    return mask


def fitted(mask: Mask, size: Size) -> Mask:
    """The mask at the size of a photo of the same shape.

    Raises:
        InputError: if the shapes differ by more than rounding.
    """
    height, width = mask.shape
    if abs(height * size.width - width * size.height) > max(size.width, size.height, height, width):
        raise InputError(
            f"the mask of {width}x{height} pixels does not have the shape of the photo, "
            f"{size.width}x{size.height}",
            "make it from the photo, at any size",
        )
    if (height, width) == tuple(size):
        return mask

    import cv2

    shrinks = height > size.height
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Mask = np.asarray(cv2.resize(mask, (size.width, size.height), interpolation=method), np.uint8)
    return resized
