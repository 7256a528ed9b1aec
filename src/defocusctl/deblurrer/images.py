"""What ``Deblurrer.deblur`` takes: files, arrays, Pillow images, tensors, and lists of these."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from defocusctl.deblurrer.arrays import Array, LoadedImage, from_array, from_tensor, to_array
from defocusctl.deblurrer.pillow import from_pillow
from defocusctl.errors import DefocusctlError, InputError
from defocusctl.photo import read_photo

File: TypeAlias = str | os.PathLike[str] | bytes
"""A photo's path, or the bytes of its file."""
FileT = TypeVar("FileT", bound=File)
ImageT = TypeVar("ImageT", Array, Image.Image, Tensor)
T = TypeVar("T")
Batch: TypeAlias = list[T] | tuple[T, ...]


def load_image(image: Any, max_megapixels: float, white: float | None) -> LoadedImage[Any]:
    """Load an image of any of these kinds as a photo; ``white`` is as in ``read_photo``.

    Raises:
        InputError: if it cannot be read or is of another kind.
    """
    match image:
        case str() | os.PathLike():
            source = Path(image)
            photo = read_photo(source, max_megapixels=max_megapixels, white=white)
            return LoadedImage(photo, to_array, source)
        case bytes():
            named = "the bytes given"
            photo = read_photo(image, named=named, max_megapixels=max_megapixels, white=white)
            return LoadedImage(photo, to_array)
        case np.ndarray():
            return from_array(image, white)
        case Image.Image():
            return from_pillow(image, white)
        case Tensor():
            return from_tensor(image, white)
        case _:
            raise InputError(
                f"an object of type {type(image).__name__} is not an image",
                "give a path, a NumPy array, a Pillow image, a tensor, or a list of these",
            )


@contextmanager
def numbered_errors(first: int, last: int, count: int) -> Iterator[None]:
    """Make errors in this block say which of several images they are about."""
    try:
        yield
    except DefocusctlError as error:
        if count == 1:
            raise
        name = f"image {last}" if first == last else f"images {first} to {last}"
        raise type(error)(f"{name} of {count}: {error.cause}", error.remedy) from error
