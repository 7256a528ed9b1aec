"""Photos as browsers show them: 8 bits, sRGB, no larger than needed."""

import io

import numpy as np
from PIL import Image, ImageCms

from defocusctl.maps.reduction import reduced_photo
from defocusctl.photo import Photo, icc


def screen_picture(photo: Photo, longest: int) -> Image.Image:
    """The photo in sRGB, its longer side ``longest`` pixels at most; with its alpha if it has any.

    A photo without a profile is taken for sRGB, as everywhere, and so is one with a profile that cannot be
    used.
    """
    image = Image.fromarray(np.ascontiguousarray(reduced_photo(photo.pixels, photo.full_scale, longest)))
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image = _in_srgb(image, photo)
    if photo.alpha is not None:
        alpha = reduced_photo(photo.alpha[..., None], photo.full_scale, longest)[..., 0]
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)).resize(image.size))
    return image


def _in_srgb(image: Image.Image, photo: Photo) -> Image.Image:
    profile, colours = photo.metadata.icc, photo.pixels.shape[2]
    if profile is None or not icc.fits(profile, colours):
        return image
    try:
        converted = ImageCms.profileToProfile(
            image.getchannel(0) if colours == 1 else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted
