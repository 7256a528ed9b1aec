"""Reads and writes still 8-bit AVIF through Pillow's libavif."""

import io
from typing import BinaryIO

import numpy as np
from PIL import AvifImagePlugin, Image

from defocusctl.photo import exif, ifd
from defocusctl.photo.alpha import filled
from defocusctl.photo.formats import boxes, left_out
from defocusctl.photo.header import check_size, unsupported
from defocusctl.photo.model import Decoded, Metadata, Samples

FINEST_QUALITY = 100
LARGEST_SIDE = 65536
LIGHT_LEVELS = (b"clli", b"mdcv")
READ_BOXES = (b"moov",)  # for a sequence of one frame
READ_PROPERTIES = (*LIGHT_LEVELS, b"av1C", b"a1op", b"a1lx", b"lsel")
HIGH_BIT_DEPTH, MONOCHROME = 0x40, 0x10  # in the third byte of av1C


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read an AVIF of one frame and 8 bits, grey or in colour.

    The container's rotation and mirroring become an EXIF orientation.
    """
    boxes.refuse_other_codecs(data, boxes.AV1)
    properties = boxes.item_properties(data, max_megapixels)
    codings = [payload[2] for name, payload in properties if name == b"av1C" and len(payload) >= 3]
    if any(coding & HIGH_BIT_DEPTH for coding in codings):
        cause = "AVIF of 10 or 12 bits"
        raise unsupported(cause, "convert it to a 16-bit PNG first, for example with avifdec")
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    check_size(*image.size, max_megapixels)
    if image.is_animated:
        raise unsupported("animated AVIF", "save the frame you want as a separate AVIF")
    samples = np.asarray(image)
    samples = samples.reshape(*samples.shape[:2], -1)
    alpha = samples[:, :, -1] if samples.shape[2] in (2, 4) else None
    pixels = samples if alpha is None else samples[:, :, :-1]
    if codings and all(coding & MONOCHROME for coding in codings):
        pixels = pixels[:, :, :1]
    info = image.info
    metadata = Metadata(info.get("icc_profile"), info.get("exif") or None, info.get("xmp"))
    warnings: tuple[str, ...] = ()
    codes = boxes.colour_codes(properties)
    if codes is not None and not boxes.has_profile(properties) and not boxes.is_srgb(*codes[:2]):
        warnings = ("the file's colour description is not sRGB and is not kept",)
    light = ["HDR light levels" for name, _ in properties if name in LIGHT_LEVELS]
    lost = [*light, *boxes.properties_not_carried(properties, READ_PROPERTIES)]
    lost += [*boxes.items_not_carried(data), *boxes.not_carried(data, READ_BOXES)]
    warnings += left_out.warning(lost)
    return Decoded(pixels, alpha, metadata, warnings=warnings)


def encode(
    pixels: Samples, alpha: Samples | None, metadata: Metadata, quality: int | None, out: BinaryIO
) -> None:
    """Write uint8 pixels with full colour resolution.

    The default is quality 100, which is at least the source's and keeps grey and alpha exact. libavif has one
    quality for colours and alpha, so a lower one degrades alpha too. Colours under alpha 0 are kept only if
    everything is exact.
    """
    grey = pixels.shape[2] == 1
    if alpha is not None:  # Pillow has no mode for grey with alpha; libavif stores three equal colours as one
        exact = grey and quality in (None, FINEST_QUALITY)
        colours = pixels if exact else filled(pixels, alpha)
        samples = np.dstack([np.broadcast_to(colours, (*pixels.shape[:2], 3)), alpha])
    else:
        samples = pixels[:, :, 0] if grey else pixels
    block = metadata.exif or b""
    if block:
        block = ifd.without_tags(block, ifd.first_directory(block), {exif.ORIENTATION})
    Image.fromarray(samples).save(
        out,
        "AVIF",
        quality=quality or FINEST_QUALITY,
        subsampling="4:0:0" if grey else "4:4:4",
        icc_profile=metadata.icc or b"",
        exif=block,
        xmp=metadata.xmp or b"",
    )
