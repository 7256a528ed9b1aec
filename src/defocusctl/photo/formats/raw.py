"""Camera RAW (DNG, CR2, CR3, NEF, ARW, RAF, ...): developed to 16 bits through LibRaw (rawpy, an extra)."""

import io
from dataclasses import replace
from typing import Any

from defocusctl.errors import InputError
from defocusctl.photo.formats import raw_metadata
from defocusctl.photo.header import check_size, damaged
from defocusctl.photo.model import Decoded, Samples

SRGB_GAMMA = (2.4, 12.92)  # LibRaw's exponent and slope at black
PROFILE_DATE = slice(24, 36)
UNCHANGING_DATE = bytes((0x07, 0xE0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Develop the sensor data, upright, to 16-bit sRGB with its profile, or to grey without one.

    White balance as shot, AHD interpolation, highlights clipped at the camera's white level. Brightness and
    white level do not depend on the photo's content.

    Raises:
        InputError: if LibRaw does not support the file, or it is broken, truncated or above the limit.
    """
    import rawpy

    if not raw_metadata.is_whole(data):
        raise damaged("the end of the file is missing")
    with rawpy.RawPy() as raw:
        try:
            raw.open_buffer(io.BytesIO(data))
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_megapixels)
            raw.unpack()
            warnings = _white_balance_warnings(raw)
            samples = raw.postprocess(_development(rawpy))
        except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawNotImplementedError) as error:
            raise InputError(
                "it is a camera RAW file that LibRaw cannot develop",
                "convert it to DNG, or develop it to a 16-bit TIFF first, for example with darktable",
            ) from error
        except rawpy.LibRawError as error:
            raise damaged(f"camera RAW: {_reason(error)}") from error
        recorded = raw_metadata.read(data, lambda: _preview(rawpy, raw))
    pixels: Samples = samples.reshape(*samples.shape[:2], -1)
    icc = _srgb_profile() if pixels.shape[2] == 3 else None
    metadata = replace(recorded, icc=icc)
    return Decoded(pixels, None, metadata, orientation=1, warnings=warnings)


def _development(rawpy: Any) -> Any:
    return rawpy.Params(
        demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
        use_camera_wb=True,
        output_color=rawpy.ColorSpace.sRGB,
        output_bps=16,
        gamma=SRGB_GAMMA,
        no_auto_bright=True,
        adjust_maximum_thr=0.0,
        highlight_mode=rawpy.HighlightMode.Clip,
    )


def _white_balance_warnings(raw: Any) -> tuple[str, ...]:
    known = len(raw.camera_whitebalance) > 0 and raw.camera_whitebalance[0] > 0
    return () if known or raw.num_colors == 1 else ("it has no white balance: that of daylight is used",)


def _preview(rawpy: Any, raw: Any) -> bytes | None:
    """The embedded JPEG, or None if none can be read."""
    try:
        thumbnail = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    return thumbnail.data if thumbnail.format == rawpy.ThumbFormat.JPEG else None


def _srgb_profile() -> bytes:
    """LittleCMS's sRGB profile, with a fixed date for reproducible outputs."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[PROFILE_DATE] = UNCHANGING_DATE
    return bytes(profile)


def _reason(error: Exception) -> str:
    """LibRaw's message, which rawpy passes on as bytes."""
    words = error.args[0] if error.args else ""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
