"""The protocols of papers on defocus deblurring, under which the same outputs score differently.

They follow the papers and their public evaluation code. Where these do not say:

- MAE is the mean absolute difference in [0, 1] of the values that PSNR sees, also if the paper reports none.
- LPIPS is fed the network's output before any rounding, RGB in [-1, 1] and unclipped unless the code does
  otherwise. DPDNet's code has no LPIPS and gets this one.
- nrknet and gkmnet clip for PSNR (and MAE), not for SSIM; LPIPS sees rounded values in nrknet only.

Datasets are named as for ``--dataset``, in lower case.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from defocusctl.errors import DataError
from defocusctl.evaluation.metrics import (
    GAUSSIAN_SSIM,
    UNIFORM_SSIM,
    Lpips,
    StructuralSimilarity,
    peak_signal_to_noise,
    perceptual_distance,
)

Samples = NDArray[np.uint8 | np.uint16]
Image = NDArray[np.float32]

PIXELWISE = frozenset({"psnr", "ssim", "mae"})
ALL = PIXELWISE | {"lpips"}
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Crop:
    """The top left part whose sides are the largest multiples of ``multiple``; the whole image for 1."""

    multiple: int

    def __call__(self, image: NDArray[Number]) -> NDArray[Number]:
        """Crop the image.

        Raises:
            DataError: if a side is shorter than the multiple.
        """
        height, width = (side // self.multiple * self.multiple for side in image.shape[:2])
        if not (height and width):
            size = f"{image.shape[1]}x{image.shape[0]}"
            cause = f"an image of {size} pixels cannot be cropped to multiples of {self.multiple}"
            raise DataError(cause, "leave it out, or score under another protocol")
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


Sizing = Crop | Pad | Resize


class Scores(NamedTuple):
    """PSNR in dB, infinite for equal images; SSIM; MAE in [0, 1]; LPIPS, NaN without its weights."""

    psnr: float
    ssim: float
    mae: float
    lpips: float


@dataclass(frozen=True)
class Protocol:
    """How one paper's code loads, crops or pads, and scores. Images are RGB, (H, W, 3).

    ``summary`` says so in one line, ``depth`` is the bit depth that the loader reads. ``clips`` are the
    metrics whose values are clipped to [0, 1], ``rounds`` those whose values are rounded to steps of 1/255.
    ``lpips_order`` and ``lpips_range`` describe LPIPS's input. ``exceptions`` has datasets with another
    sizing, ``scored`` datasets of which only these rows and columns are scored.
    """

    name: str
    summary: str
    sizing: Sizing
    ssim: StructuralSimilarity
    depth: Literal[8, 16] = 8
    clips: frozenset[str] = frozenset()
    rounds: frozenset[str] = frozenset()
    lpips_order: Literal["RGB", "BGR"] = "RGB"
    lpips_range: tuple[float, float] = (-1, 1)
    exceptions: Mapping[str, Sizing] = field(default_factory=dict)
    scored: Mapping[str, slice] = field(default_factory=dict)

    def prepare(self, pixels: Samples, dataset: str) -> Samples:
        """A file's samples as the loader passes them to the network, or to scoring as the reference.

        8-bit loaders take the high byte of 16-bit samples, as OpenCV and Pillow do when they read a PNG.

        Raises:
            DataError: if the image is too small for the protocol.
        """
        if self.depth == 8 and pixels.dtype == np.uint16:
            return self.fit((pixels >> 8).astype(np.uint8), dataset)
        return self.fit(pixels, dataset)

    def fit(self, image: NDArray[Number], dataset: str) -> NDArray[Number]:
        """A restored image or reference, brought to the size that ``prepare`` gives; unchanged if it has it.

        Raises:
            DataError: if the image is too small for the protocol.
        """
        return self.exceptions.get(dataset, self.sizing)(image)

    def score(self, restored: Image, reference: Image, dataset: str, lpips: Lpips | None) -> Scores:
        """Score a network's unmodified output against a reference in [0, 1].

        Both are fitted first. The reference comes from ``prepare`` and so has the protocol's depth.

        Raises:
            DataError: if the sizes differ, or are too small for SSIM's window or for LPIPS.
        """
        part = self.scored.get(dataset, slice(None))
        pair = [self.fit(image, dataset)[part, part] for image in (restored, reference)]
        height, width = pair[1].shape[:2]
        if pair[0].shape != pair[1].shape:
            found = f"{pair[0].shape[1]}x{pair[0].shape[0]}"
            raise DataError(f"the image is {found}, its reference {width}x{height}", "give pairs of one size")
        if min(height, width) < self.ssim.window:
            cause = f"an image of {width}x{height} pixels is smaller than SSIM's window of {self.ssim.window}"
            raise DataError(cause, "leave it out")

        def both(metric: str) -> list[Image]:
            return [self._seen_by(metric, image) for image in pair]

        return Scores(
            peak_signal_to_noise(*both("psnr")),
            self.ssim(*both("ssim")),
            float(np.abs(np.subtract(*both("mae"), dtype=np.float64)).mean()),
            nan if lpips is None else perceptual_distance(lpips, *both("lpips")),
        )

    def _seen_by(self, metric: str, image: Image) -> Image:
        """The values that ``metric`` is computed on."""
        if metric in self.clips:
            image = np.clip(image, 0, 1)
        if metric in self.rounds:
            image = (image * np.float32(255)).round() / np.float32(255)
        if metric == "lpips":
            low, high = self.lpips_range
            ordered = image if self.lpips_order == "RGB" else image[:, :, ::-1]
            return ordered * np.float32(high - low) + np.float32(low)
        return image


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="nrknet",
            summary="8 bit, scored with reflect pad to x16 (not RTF), rounded, Gaussian SSIM, LPIPS of BGR",
            sizing=Pad(16, "reflect"),
            ssim=GAUSSIAN_SSIM,
            clips=frozenset({"psnr", "mae"}),
            rounds=ALL,
            lpips_order="BGR",
            scored={"rtf": slice(4, 364)},
        ),
        Protocol(
            name="iniknet",
            summary="8 bit, crop to x32 (RTF, CUHK: x16), clipped, uniform SSIM, unclipped LPIPS of BGR",
            sizing=Crop(32),
            exceptions={"rtf": Crop(16), "cuhk": Crop(16)},
            ssim=UNIFORM_SSIM,
            clips=PIXELWISE,
            lpips_order="BGR",
        ),
        Protocol(
            name="restormer",
            summary="8 bit, whole images, clipped, uniform SSIM",
            sizing=Crop(1),
            ssim=UNIFORM_SSIM,
            clips=ALL,
        ),
        Protocol(
            name="ifan",
            summary="8 bit, crop to x8, unclipped, uniform SSIM",
            sizing=Crop(8),
            ssim=UNIFORM_SSIM,
        ),
        Protocol(
            name="drbnet",
            summary="8 bit, crop to x16, unclipped, uniform SSIM",
            sizing=Crop(16),
            ssim=UNIFORM_SSIM,
        ),
        Protocol(
            name="dpdnet",
            summary="16 bit, turned to landscape, resized to 1680x1120, unclipped, uniform SSIM",
            sizing=Resize(height=1120, width=1680),
            ssim=UNIFORM_SSIM,
            depth=16,
        ),
        Protocol(
            name="gkmnet",
            summary="8 bit, scored with zero pad to x16, rounded, Gaussian SSIM, LPIPS of [0, 1]",
            sizing=Pad(16, "constant"),
            ssim=GAUSSIAN_SSIM,
            clips=frozenset({"psnr", "mae"}),
            rounds=PIXELWISE,
            lpips_range=(0, 1),
        ),
    )
}
