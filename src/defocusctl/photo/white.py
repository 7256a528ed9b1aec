"""White in floating-point photos: 1 unless the user specifies it, because files do not."""

import math

import numpy as np

from defocusctl.errors import InputError, UsageError
from defocusctl.photo.alpha import bands
from defocusctl.photo.model import Samples

SLIGHTLY_BELOW_BLACK = -0.02  # interpolation and colour conversion produce values down to about this
DOUBTFUL = 0.01
"""Highlights beyond white are rare: above this fraction of samples, white may be another value."""
DARK = 0.05
HOW_TO_SAY = "specify the value of white with --white VALUE (in Python white=VALUE, in a recipe data.white)"


def white_of(pixels: Samples, given: float | None) -> tuple[float | None, tuple[str, ...]]:
    """The white of floating-point pixels (H, W, C) if it is not 1, None for integers; and warnings.

    Raises:
        UsageError: if ``given`` cannot be white.
        InputError: if none is given and the pixels are clearly not from 0 to 1: most samples lie outside, or
            all are integers.
    """
    if given is not None and not (math.isfinite(given) and given > 0):
        raise UsageError(f"white cannot be {given:g}", "give a number above 0")
    if pixels.dtype.kind != "f":
        return None, ()
    if given is not None:
        return given, ()
    doubt = doubt_of_white(pixels)
    taken = "white is taken to be 1; if it is another value, give it with --white"
    return None, () if doubt is None else (f"{doubt}: {taken}",)


def doubt_of_white(pixels: Samples) -> str | None:
    """A reason to doubt that white is 1 in floating-point pixels (H, W, C), if there is one.

    Raises:
        InputError: if it clearly cannot be 1.
    """
    used = outside = above = 0
    whole, smallest, largest = True, 0.0, 0.0
    for rows in bands(len(pixels)):
        band = pixels[rows][np.isfinite(pixels[rows])]  # the others raise a separate error
        over = int(np.count_nonzero(band > 1))
        used += int(np.count_nonzero(band))
        outside += over + int(np.count_nonzero(band < SLIGHTLY_BELOW_BLACK))
        above += over
        whole = whole and np.array_equal(band, np.rint(band))
        smallest = min(smallest, float(band.min(initial=0.0)))
        largest = max(largest, float(band.max(initial=0.0)))
    if outside > used / 2 or (above and whole):
        raise InputError(
            f"its floating-point samples, {smallest:g} to {largest:g}, are not from 0 (black) to 1 (white)",
            f"{HOW_TO_SAY}, or divide them by it",
        )
    if outside > DOUBTFUL * used:
        return f"{outside / used:.0%} of its floating-point samples are below 0 or above 1"
    if 0 < largest < DARK:
        return f"its brightest floating-point sample is {largest:.2g}"
    return None
