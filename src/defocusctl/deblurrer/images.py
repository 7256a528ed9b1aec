"""What ``Deblurrer.deblur`` takes: files, arrays, Pillow's images, tensors, and lists of these."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from defocusctl.deblurrer.given import Array, Given, array_of, from_array, from_tensor
from defocusctl.deblurrer.pillow import from_pillow
from defocusctl.errors import DefocusctlError, InputError
from defocusctl.photo import read_photo

File: TypeAlias = str | os.PathLike[str] | bytes
"""The path of a photo, or the content of its file."""
FileT = TypeVar("FileT", bound=File)
ImageT = TypeVar("ImageT", Array, Image.Image, Tensor)
T = TypeVar("T")
Batch: TypeAlias = list[T] | tuple[T, ...]


def opened(image: Any, max_megapixels: float, white: float | None) -> Given[Any]:
    """One image of any of these kinds as a photo; ``white`` is that of ``read_photo``.

    Raises:
        InputError: if it cannot be read, or is none of these.
    """
    match image:
        case str() | os.PathLike():
            source = Path(image)
            photo = read_photo(source, max_megapixels=max_megapixels, white=white)
            return Given(photo, array_of, source)
        case bytes():
            named = "the bytes given"
            photo = read_photo(image, named=named, max_megapixels=max_megapixels, white=white)
            return Given(photo, array_of)
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
def of_several(first: int, last: int, count: int) -> Iterator[None]:
    """Errors in this block say which of ``count`` images they are about, if there are several."""
    try:
        yield
    except DefocusctlError as error:
        if count == 1:
            raise
        name = f"image {last}" if first == last else f"images {first} to {last}"
        raise type(error)(f"{name} of {count}: {error.cause}", error.remedy) from error
