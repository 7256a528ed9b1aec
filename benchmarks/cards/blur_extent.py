"""Measures the blur extent for known blur.

python benchmarks/cards/blur_extent.py MODEL WEIGHTS --photos DIR [--limit 6]

The central 256 x 256 pixels of each sharp photo are blurred by a uniform disc, in linear light, without
noise. Prints a Markdown table: the mean over the photos of each photo's median blur extent, and the lowest
and highest median.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from defocusctl.data.defocus import to_light, to_pixels
from defocusctl.data.pairs import PixelCache, photos_in
from defocusctl.data.scenes import ApertureShapes, point_spread
from defocusctl.deblurrer import Deblurrer

SIZE = 256
RIM = 24  # pixels, because blurring wraps around
RADII = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0)
DISC = ApertureShapes(*(torch.zeros(1, 1, 1, 1) for _ in range(5)))


def blurred(photo: np.ndarray, radius: float) -> np.ndarray:
    """8-bit RGB (SIZE, SIZE, 3): the middle of a photo, blurred by a disc of ``radius`` pixels."""
    top, left = ((length - SIZE) // 2 for length in photo.shape[:2])
    crop = np.ascontiguousarray(photo[top : top + SIZE, left : left + SIZE])
    if radius == 0:
        return crop
    light = to_light(torch.from_numpy(crop).permute(2, 0, 1) / 255)
    kernel = point_spread(DISC, torch.tensor([[radius]]), SIZE, SIZE)[0]
    spread = torch.fft.irfft2(torch.fft.rfft2(light) * torch.fft.rfft2(kernel), s=(SIZE, SIZE))
    pixels: np.ndarray = (to_pixels(spread) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("weights")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=6)
    given = parser.parse_args()
    deblurrer = Deblurrer.from_pretrained(given.model, weights=given.weights)
    listed = photos_in(given.photos)
    photos = [
        PixelCache(0).rgb(path) for path in listed[:: max(len(listed) // given.limit, 1)][: given.limit]
    ]
    print("| disc radius (px) | blur extent (px) | lowest, highest photo |\n|---:|---:|---:|")
    for radius in RADII:
        extents = [
            float(np.median(result.blur_extent[RIM:-RIM, RIM:-RIM]))
            for result in (deblurrer.deblur(blurred(photo, radius), coefficients=True) for photo in photos)
        ]
        spread = f"{min(extents):.1f}, {max(extents):.1f}"
        print(f"| {radius:.0f} | {np.mean(extents):.1f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
