"""Pillow's images as photos, and back, with their ICC profile, EXIF, XMP and resolution."""

from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from defocusctl.deblurrer.given import Given, array_of, parted
from defocusctl.errors import InputError
from defocusctl.photo import IN_MEMORY, Decoded, Metadata, Photo, Resolution, upright_photo

EXIF_MARK = b"Exif\0\0"
AS_THEY_ARE = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B", "F")
ASSOCIATED = {"La": "LA", "RGBa": "RGBA"}
WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA", "PA": "RGBA", **ASSOCIATED}
WITHOUT_ALPHA = {"1": "L", "P": "RGB"}


def from_pillow(image: Image.Image, white: float | None) -> Given[Image.Image]:
    """An image of mode 1, L, LA, La, P, PA, RGB, RGBA, RGBa, I;16 or F, turned upright as its EXIF says.

    White is 1 in mode F, or ``white``.

    The answer has the mode of the image; of a palette its colours, of a mode 1 grey.

    Raises:
        InputError: if it is of another mode, or its file is damaged.
    """
    try:
        image.load()
        direct = _direct(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be read ({error})", "open it again") from error
    if direct.mode not in AS_THEY_ARE:
        better = "I;16" if direct.mode == "I" else "RGB"
        raise InputError(f"images of mode {image.mode} are not supported", f"convert it to '{better}' first")
    pixels, alpha = parted(np.asarray(direct))
    photo = upright_photo(Decoded(pixels, alpha, _metadata(image.info)), IN_MEMORY, white)
    return Given(photo, partial(_give_back, mode=image.mode))


def _direct(image: Image.Image) -> Image.Image:
    """The image in a mode whose array is what is seen, transparency by colour or palette being alpha."""
    modes = WITH_ALPHA if image.has_transparency_data else WITHOUT_ALPHA
    mode = modes.get(image.mode)
    return image if mode is None else image.convert(mode)


def _metadata(info: dict[Any, Any]) -> Metadata:
    exif, xmp, dpi = info.get("exif"), info.get("xmp"), info.get("dpi")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif.removeprefix(EXIF_MARK) if exif else None,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        resolution=Resolution(float(dpi[0]), float(dpi[1]), "inch") if dpi and min(dpi) > 0 else None,
    )


def _give_back(photo: Photo, mode: str) -> Image.Image:
    image = Image.fromarray(array_of(photo))
    if mode in ASSOCIATED:
        image = image.convert(mode)
    metadata = photo.metadata
    found = {
        "icc_profile": metadata.icc,
        "exif": metadata.exif and EXIF_MARK + metadata.exif,
        "xmp": metadata.xmp,
        "dpi": metadata.resolution and metadata.resolution.per("inch"),
    }
    image.info.update({name: value for name, value in found.items() if value})
    return image
