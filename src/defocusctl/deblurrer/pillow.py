"""Pillow images to photos and back, with their ICC profile, EXIF, XMP and resolution."""

from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from defocusctl.deblurrer.arrays import LoadedImage, split_alpha, to_array
from defocusctl.errors import InputError
from defocusctl.photo import IN_MEMORY, Decoded, Metadata, Photo, Resolution, upright_photo

EXIF_PREFIX = b"Exif\0\0"
SUPPORTED_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA", "PA": "RGBA", **PREMULTIPLIED}
WITHOUT_ALPHA = {"1": "L", "P": "RGB"}


def from_pillow(image: Image.Image, white: float | None) -> LoadedImage[Image.Image]:
    """An image of mode 1, L, LA, La, P, PA, RGB, RGBA, RGBa, I;16 or F, rotated as its EXIF says.

    White is ``white`` in mode F, 1 by default.

    Converting back keeps the mode, but palettes become their colours and mode 1 becomes grey.

    Raises:
        InputError: if it is of another mode, or its file is damaged.
    """
    try:
        image.load()
        direct = _displayed(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be read ({error})", "open it again") from error
    if direct.mode not in SUPPORTED_MODES:
        other = "I;16" if direct.mode == "I" else "RGB"
        raise InputError(f"images of mode {image.mode} are not supported", f"convert it to '{other}' first")
    pixels, alpha = split_alpha(np.asarray(direct))
    photo = upright_photo(Decoded(pixels, alpha, _metadata(image.info)), IN_MEMORY, white)
    return LoadedImage(photo, partial(_convert_back, mode=image.mode))


def _displayed(image: Image.Image) -> Image.Image:
    """The image in a mode whose array holds the displayed colours, with all transparency as alpha."""
    modes = WITH_ALPHA if image.has_transparency_data else WITHOUT_ALPHA
    mode = modes.get(image.mode)
    return image if mode is None else image.convert(mode)


def _metadata(info: dict[Any, Any]) -> Metadata:
    exif, xmp, dpi = info.get("exif"), info.get("xmp"), info.get("dpi")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif.removeprefix(EXIF_PREFIX) if exif else None,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        resolution=Resolution(float(dpi[0]), float(dpi[1]), "inch") if dpi and min(dpi) > 0 else None,
    )


def _convert_back(photo: Photo, mode: str) -> Image.Image:
    image = Image.fromarray(to_array(photo))
    if mode in PREMULTIPLIED:
        image = image.convert(mode)
    metadata = photo.metadata
    info = {
        "icc_profile": metadata.icc,
        "exif": metadata.exif and EXIF_PREFIX + metadata.exif,
        "xmp": metadata.xmp,
        "dpi": metadata.resolution and metadata.resolution.per("inch"),
    }
    image.info.update({name: value for name, value in info.items() if value})
    return image
