"""Alpha: premultiplied colours, and colours that alpha hides.

Between reading and writing, colours are always straight (not premultiplied). H rows, W columns, C colours;
work is done in bands of rows to save memory.
"""

from collections.abc import Iterator

import numpy as np

from defocusctl.photo.model import Samples

BAND = 256
MARGIN = 128  # rows around a band that are searched for the visible pixel nearest to a hidden one

LEAST = 1e-6  # below this fraction of full alpha, dividing by alpha gives no meaningful colour


def unpremultiplied(pixels: Samples, alpha: Samples, white: float) -> tuple[Samples, bool]:
    """The straight colours of premultiplied pixels (H, W, C) with alpha (H, W); black where alpha is 0.

    Also returns whether something is lost: integer colours above their alpha become white, and colours
    without alpha become black.
    """
    straight = np.zeros_like(pixels)
    lost = False
    for rows in bands(len(pixels)):
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


def premultiplied(pixels: Samples, alpha: Samples, white: float) -> Samples:
    """The reverse of ``unpremultiplied``: straight colours (H, W, C) times alpha (H, W)."""
    product = np.empty_like(pixels)
    for rows in bands(len(pixels)):
        values = pixels[rows].astype(np.float64) * alpha[rows, :, None] / white
        product[rows] = np.rint(values) if pixels.dtype.kind == "u" else values
    return product


def filled(pixels: Samples, alpha: Samples) -> Samples:
    """The pixels (H, W, C) with each hidden colour (alpha 0) replaced by that of the nearest visible pixel.

    Those far from any visible pixel become black. Thus blur or compression cannot spread what a program left
    in hidden pixels.
    """
    hidden = alpha <= 0
    if not hidden.any():
        return pixels
    shown = pixels.copy()
    for rows in bands(len(pixels)):
        if hidden[rows].any():
            around = slice(max(0, rows.start - MARGIN), rows.stop + MARGIN)
            above = rows.start - around.start
            inner = slice(above, above + len(shown[rows]))
            shown[rows] = _nearest(pixels[around], hidden[around], inner)
    return shown


def _nearest(pixels: Samples, hidden: Samples, rows: slice) -> Samples:
    """Some rows of the pixels, each hidden one with the colour of the nearest visible one."""
    from scipy.ndimage import distance_transform_edt

    if hidden.all():
        return np.zeros_like(pixels[rows])
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    colours: Samples = pixels[nearest[0, rows], nearest[1, rows]]
    return colours


def bands(height: int) -> Iterator[slice]:
    """The rows of a picture in groups of at most ``BAND``."""
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))
