"""Small images by recipe: what the golden scores were made of, and what scores them again."""

import numpy as np
from numpy.typing import NDArray


def pair(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A restored image, partly outside [0, 1], and its reference, whose values are those of 8 bit."""
    random = np.random.Generator(np.random.PCG64(height * 1000 + width))
    coarse = random.random((height // 5 + 1, width // 5 + 1, 3))
    reference = np.round(coarse.repeat(5, axis=0).repeat(5, axis=1)[:height, :width] * 255) / 255
    restored = reference + 0.08 * random.standard_normal((height, width, 3))
    return restored.astype(np.float32), reference.astype(np.float32)
