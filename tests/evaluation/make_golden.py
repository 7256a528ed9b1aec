"""Makes golden_scores.json: python -m tests.evaluation.make_golden

Written from the table of protocols alone, with nothing of defocusctl and nothing of scikit-image: the
Gaussian SSIM is that of pytorch-msssim 1.0.0 in float64 (the tests do without it), the uniform one is here.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pytorch_msssim import ssim as gaussian_ssim

from tests.evaluation.images import pair

GOLDEN = Path(__file__).with_name("golden_scores.json")


def uniform(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM in 7x7 windows with the sample covariance, range 1."""
    maps = []
    for x, y in zip(np.moveaxis(a, 2, 0), np.moveaxis(b, 2, 0), strict=True):
        p, q = (sliding_window_view(channel, (7, 7)).reshape(-1, 49) for channel in (x, y))
        mean_p, mean_q = p.mean(1), q.mean(1)
        covariance = ((p - mean_p[:, None]) * (q - mean_q[:, None])).sum(1) / 48
        spread = p.var(1, ddof=1) + q.var(1, ddof=1)
        luminance = (2 * mean_p * mean_q + 1e-4) / (mean_p**2 + mean_q**2 + 1e-4)
        maps.append(luminance * (2 * covariance + 9e-4) / (spread + 9e-4))
    return float(np.mean(maps))


def gaussian(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of values in [0, 255]."""
    x, y = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (a, b))
    return float(gaussian_ssim(x, y, data_range=255))


def psnr(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    return float(10 * np.log10(peak**2 / np.mean((a - b) ** 2)))


def padded(image: np.ndarray, border: int) -> np.ndarray:
    """In the centre of the next multiple of 16."""
    top, left = (-side % 16 // 2 for side in image.shape[:2])
    bottom, right = (-side % 16 - -side % 16 // 2 for side in image.shape[:2])
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, border))


def cropped(image: np.ndarray, multiple: int) -> np.ndarray:
    return image[: image.shape[0] // multiple * multiple, : image.shape[1] // multiple * multiple]


def rounded(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """As nrknet and gkmnet score: clamped for PSNR and MAE, not for SSIM."""
    a, b = (np.round(image.astype(np.float32) * np.float32(255)).astype(np.float64) for image in (a, b))
    seen = a.clip(0, 255)
    return {"psnr": psnr(seen, b, 255), "ssim": gaussian(a, b), "mae": float(np.abs(seen - b).mean() / 255)}


def plain(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """As the others score."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return {"psnr": psnr(a, b, 1), "ssim": uniform(a, b), "mae": float(np.abs(a - b).mean())}


def scores() -> dict[str, dict[str, float]]:
    """Scores by protocol, dataset, height and width."""
    a, b = pair(53, 75)
    reflected, blackened = (
        [padded(image, border) for image in (a, b)]
        for border in (cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    )
    c, d = pair(360, 360)
    resized = [cv2.resize(image, (90, 60), interpolation=cv2.INTER_LINEAR) for image in (a, b)]
    return {
        "nrknet dpdd 53 75": rounded(*reflected),
        "nrknet rtf 360 360": rounded(c, d),
        "iniknet dpdd 53 75": plain(cropped(a, 32).clip(0, 1), cropped(b, 32)),
        "iniknet rtf 53 75": plain(cropped(a, 16).clip(0, 1), cropped(b, 16)),
        "restormer dpdd 53 75": plain(a.clip(0, 1), b),
        "ifan dpdd 53 75": plain(cropped(a, 8), cropped(b, 8)),
        "drbnet dpdd 53 75": plain(cropped(a, 16), cropped(b, 16)),
        "dpdnet dpdd 53 75": plain(*resized),
        "gkmnet dpdd 53 75": rounded(*blackened),
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(scores(), indent=2) + "\n")
