"""How evaluation code changes the size of an image: not at all, crop, pad, or resize.

Each takes (H, W, 3) arrays of any dtype.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from defocusctl.errors import DataError

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Whole:
    """The unchanged image."""

    def __call__(self, image: NDArray[Number]) -> NDArray[Number]:
        return image


@dataclass(frozen=True)
class Crop:
    """The top left part whose sides are the largest multiples of ``multiple``."""

    multiple: int

    def __call__(self, image: NDArray[Number]) -> NDArray[Number]:
        """Crop the image.

        Raises:
            DataError: if a side is shorter than the multiple.
        """
        height, width = (side // self.multiple * self.multiple for side in image.shape[:2])
        if not (height and width):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise DataError(
                f"an image of {size} pixels cannot be cropped to multiples of {self.multiple}",
                "leave it out, or score under another protocol",
            )
        return image[:height, :width]


@dataclass(frozen=True)
class Pad:
    """Centre the image in the next multiple of ``multiple``; an odd pixel is added below and on the right.

    ``mode`` is numpy's: ``reflect`` mirrors without repeating the border, ``constant`` adds zeros.
    """

    multiple: int
    mode: Literal["reflect", "constant"]

    def __call__(self, image: NDArray[Number]) -> NDArray[Number]:
        missing = [-side % self.multiple for side in image.shape[:2]]
        return np.pad(image, [*((n // 2, n - n // 2) for n in missing), (0, 0)], mode=self.mode)


@dataclass(frozen=True)
class Resize:
    """Stretch the image to one landscape size with OpenCV's default, bilinear interpolation.

    A portrait image is rotated counter-clockwise first (DPDNet's ``data.py``).
    """

    height: int
    width: int

    def __call__(self, image: NDArray[Number]) -> NDArray[Number]:
        if image.shape[0] > image.shape[1]:
            image = np.ascontiguousarray(np.rot90(image))
        resized: NDArray[Any] = cv2.resize(image, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return resized


Sizing = Whole | Crop | Pad | Resize
