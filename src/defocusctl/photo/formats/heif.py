"""Reads and writes still HEIC of 8, 10 or 12 bits through libheif (pillow-heif, an extra)."""

from typing import Any, BinaryIO

import numpy as np

from defocusctl.photo import exif
from defocusctl.photo.alpha import filled
from defocusctl.photo.formats import boxes, left_out
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Decoded, HeifCoding, Metadata, Samples, rescaled

FINEST_QUALITY = 100
# of x265; at quality 100 five times faster and more accurate, but a quarter larger
FINEST_PRESET = "ultrafast"
LOSSLESS_QUALITY = -1
DEEP_BITS = 10
LARGEST_SIDE = 32768
LARGEST_FRAME_SIDE = 8192  # HEVC level 6.2; larger pictures are stored as a grid of tiles
TILE = 2048
IDENTITY, BT601 = 0, 6  # matrices of ITU-T H.273
UNSPECIFIED = (2, 2)
SEQUENCE_BRANDS = (b"hevc", b"hevx", b"msf1")
SRGB = (1, 13)
FULL_COLOUR = 444
READ_PROPERTIES = (b"hvcC", b"lhvC", b"clap", b"clli", b"mdcv", b"amve", b"ndwt")
LIGHT = (
    "content_light_level",
    "mastering_display_colour_volume",
    "ambient_viewing_environment",
    "nominal_diffuse_white_luminance",
)


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read the primary picture of a HEIC file; 10 and 12 bits are scaled to the full 16-bit range.

    The decoder applies the container's rotation and mirroring, which take precedence over the EXIF
    orientation (ISO/IEC 23008-12); the latter is not applied.
    """
    import pillow_heif

    names = {box.name for box in boxes.boxes(data)}
    if b"meta" not in names:
        if b"moov" in names or data[8:12] in SEQUENCE_BRANDS:
            raise unsupported("a HEIC image sequence", "extract its frames first, with ffmpeg")
        raise damaged("HEIC: the end of the file is missing")
    boxes.refuse_other_codecs(data, boxes.HEVC)
    properties = boxes.item_properties(data, max_megapixels)
    opened = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    picture = opened[opened.primary_index]
    width, height = picture.size
    check_size(width, height, max_megapixels)
    samples = np.asarray(picture)
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[:2] != (height, width):
        raise damaged("its header contradicts itself")
    depth = int(picture.info["bit_depth"])
    if depth > 8:  # white becomes 65535
        white = 2**depth - 1
        if int(samples.max()) > white:
            raise damaged("a value is above the largest")
        samples = rescaled(samples, white, 65535)
    colours = samples.shape[2] - picture.has_alpha
    alpha = samples[:, :, -1] if picture.has_alpha else None
    info = picture.info
    chroma = info.get("chroma")
    pixels = samples[:, :, : colours if chroma else 1]  # grey with alpha is decoded as RGBA
    codes = boxes.colour_codes(properties)
    coding = HeifCoding(
        depth=depth,
        chroma=chroma or FULL_COLOUR,
        lossless=codes is not None and codes[2] == IDENTITY,
        colours=None if codes is None or boxes.has_profile(properties) else codes[:2],
        light=tuple((name, info[name]) for name in LIGHT if name in info),
    )
    metadata = Metadata(info.get("icc_profile"), info.get("exif") or None, info.get("xmp"), coding=coding)
    lost = boxes.properties_not_carried(properties, READ_PROPERTIES)
    warnings = left_out.warning([*lost, *boxes.items_not_carried(data), *boxes.not_carried(data)])
    associated = bool(picture.premultiplied_alpha)
    return Decoded(pixels, alpha, metadata, orientation=1, warnings=warnings, associated=associated)


def encode(
    pixels: Samples, alpha: Samples | None, metadata: Metadata, quality: int | None, out: BinaryIO
) -> None:
    """Write uint8 or uint16 pixels; 16 bits become the source's depth, or 10.

    Tiles are used only if one frame is not enough, because exiv2 finds no EXIF in libheif's tiled files. A
    HEIC source keeps its chroma subsampling, and a lossless source (recognised by its colour matrix) stays
    lossless; otherwise the default is quality 100 with full colour resolution, and colours under alpha 0 are
    not kept. Alpha is not premultiplied.
    """
    import pillow_heif

    coding = metadata.coding if isinstance(metadata.coding, HeifCoding) else None
    depth = coding.depth if coding and coding.depth > 8 else DEEP_BITS
    if pixels.dtype == np.uint8:
        depth = 8
    grey = pixels.shape[2] == 1
    height, width = pixels.shape[:2]
    lossless = coding is not None and coding.lossless and quality is None
    samples = pixels
    if alpha is not None:
        samples = np.dstack([pixels if lossless else filled(pixels, alpha), alpha])
    mode = ("L" if grey else "RGB") + ("" if alpha is None else "A") + ("" if depth == 8 else f";{depth}")
    described = (coding and coding.colours) or SRGB
    primaries, transfer = UNSPECIFIED if metadata.icc else described
    options: dict[str, Any] = {
        "quality": LOSSLESS_QUALITY if lossless else quality or FINEST_QUALITY,
        "chroma": FULL_COLOUR if lossless or coding is None else coding.chroma,
        "bit_depth": depth,
        "matrix_coefficients": IDENTITY if lossless else BT601,
        "color_primaries": primaries,
        "transfer_characteristics": transfer,
        "full_range_flag": 1,
        "tile_size": TILE if max(height, width) > LARGEST_FRAME_SIDE else 0,
        **dict(coding.light if coding else ()),
    }
    if quality is None:
        options["enc_params"] = {"preset": FINEST_PRESET}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        options["exif"] = exif.HEADER + metadata.exif
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    stored = samples if depth == 8 else rescaled(samples, 65535, 2**depth - 1).astype("<u2")
    pillow_heif.encode(mode, (width, height), stored.tobytes(), out, **options)


def foreign_colours(coding: HeifCoding) -> bool:
    """Whether the file describes its colours only by codes, and not as sRGB."""
    return coding.colours is not None and not boxes.is_srgb(*coding.colours)
