"""Alpha: colours that a file stores multiplied by it, and colours that it hides.

A photo's colours are straight everywhere between reading and writing. H rows, W columns, C colours; all is
done in bands of rows, so that little is held beside the pixels.
"""

from collections.abc import Iterator

import numpy as np

from defocusctl.photo.model import Samples

BAND = 256
MARGIN = 128
"""Rows around a band in which the visible pixel nearest to a hidden one is looked for."""

LEAST = 1e-6
"""Below this part of full alpha, dividing by alpha no longer gives a colour."""


def divided(pixels: Samples, alpha: Samples, white: float) -> tuple[Samples, bool]:
    """The straight colours of pixels (H, W, C) stored multiplied by alpha (H, W); black where that is 0.

    Also whether something is lost: integer colours above their alpha become white, and light without alpha
    goes.
    """
    straight = np.zeros_like(pixels)
    lost = False
    for rows in _bands(len(pixels)):
        colours, share = pixels[rows].astype(np.float64), alpha[rows, :, None].astype(np.float64)
        opaque = share > LEAST * white
        quotients = np.zeros_like(colours)
        np.divide(colours * white, share, out=quotients, where=opaque)
        excess = colours * ~opaque
        if pixels.dtype.kind == "u":
            excess = colours - share
            np.clip(np.rint(quotients, out=quotients), 0, white, out=quotients)
        lost = lost or bool(excess.max() > white / 255)
        straight[rows] = quotients
    return straight, lost


def multiplied(pixels: Samples, alpha: Samples, white: float) -> Samples:
    """What ``divided`` takes: straight colours (H, W, C) times alpha (H, W), none of them above it."""
    product = np.empty_like(pixels)
    for rows in _bands(len(pixels)):
        values = pixels[rows].astype(np.float64) * alpha[rows, :, None] / white
        product[rows] = np.rint(values) if pixels.dtype.kind == "u" else values
    return product


def filled(pixels: Samples, alpha: Samples) -> Samples:
    """The pixels (H, W, C) with the colours under alpha 0 replaced by those of their nearest visible pixel.

    Far away from all visible ones they become black. What a program left there is seen nowhere then, not
    even through what blurs or compresses the pixels together.
    """
    hidden = alpha <= 0
    if not hidden.any():
        return pixels
    shown = pixels.copy()
    for rows in _bands(len(pixels)):
        if hidden[rows].any():
            around = slice(max(0, rows.start - MARGIN), rows.stop + MARGIN)
            above = rows.start - around.start
            inner = slice(above, above + len(shown[rows]))
            shown[rows] = _nearest(pixels[around], hidden[around], inner)
    return shown


def _nearest(pixels: Samples, hidden: Samples, rows: slice) -> Samples:
    """Some rows of the pixels, each hidden pixel with the colour of the nearest that is not."""
    from scipy.ndimage import distance_transform_edt

    if hidden.all():
        return np.zeros_like(pixels[rows])
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    colours: Samples = pixels[nearest[0, rows], nearest[1, rows]]
    return colours


def _bands(height: int) -> Iterator[slice]:
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))
