"""JPEG XL: pixels through libjxl, EXIF and XMP by box; pyjpegxl (an extra) reads the colour profile."""

from typing import BinaryIO

import imagecodecs
import numpy as np

from defocusctl.errors import OutputError
from defocusctl.photo.formats import left_out
from defocusctl.photo.formats.boxes import KNOWN_BOXES, Box, boxes, not_carried
from defocusctl.photo.formats.jxl_codestream import SIGNATURE, CodestreamHeader, read_header, with_profile
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Decoded, Metadata, Samples, rescaled

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
FILE_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
CODESTREAM, PART, LEVEL, COMPRESSED = b"jxlc", b"jxlp", b"jxll", b"brob"
EXIF, XMP = b"Exif", b"xml "
FRAME_INDEX, JPEG_RECONSTRUCTION = b"jxli", b"jbrd"  # index of replaced frames; data to rebuild the JPEG
METADATA = {EXIF: "a second EXIF block", XMP: "a second XMP packet"}
READ_BOXES = (b"JXL ", CODESTREAM, PART, LEVEL, EXIF, XMP, COMPRESSED, FRAME_INDEX, JPEG_RECONSTRUCTION)
MAX_INTERLEAVED = 4
LARGEST_BOX = 16 * 2**20
EFFORT = 3  # libjxl's default is 7; this takes an eighth of the time, and files grow by 1 % (16 bits) to 20 %
FLOAT_EFFORT = 4  # below, libjxl 0.12 fails on negative values


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a JPEG XL of one frame: floating point, or up to 16 bits (depths other than 8 are scaled to 16).

    The decoder applies the orientation of the codestream, which takes precedence over EXIF's (ISO/IEC
    18181-2).
    """
    import pyjpegxl

    parts = [] if data.startswith(SIGNATURE) else list(boxes(data))
    codestream = _codestream(data, parts)
    header = read_header(codestream)
    check_size(header.width, header.height, max_megapixels)
    if header.black:
        raise unsupported("CMYK", "convert the photo to RGB first")
    pixels_only = _pixels_only(data, parts)
    found = pyjpegxl.probe(pixels_only)
    samples = imagecodecs.jpegxl_decode(pixels_only, index=0)
    if header.animated:
        _refuse_further_frames(pixels_only, samples)
    colours = found.num_color_channels
    samples = _full_range(_interleaved(samples, header, colours), header)
    if sorted(samples.shape[:2]) != sorted((header.height, header.width)):
        raise damaged("its header contradicts itself")
    alpha = samples[:, :, -1] if samples.shape[2] in (2, 4) else None
    metadata = Metadata(icc=found.icc, exif=_exif(data, parts), xmp=_content(data, parts, XMP))
    lost = [*_further_boxes(data, parts), *(not_carried(data, READ_BOXES) if parts else ())]
    warnings = left_out.warning(lost)
    if header.extra_channels > (alpha is not None):
        warnings = ("its channels beside colour and alpha are left out", *warnings)
    pixels, associated = samples[:, :, :colours], header.alpha_associated
    return Decoded(pixels, alpha, metadata, orientation=1, warnings=warnings, associated=associated)


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write uint8, uint16 or float32 pixels and straight alpha without loss.

    Raises:
        OutputError: if the installed libjxl writes a header that the profile cannot be inserted into.
    """
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    if samples.shape[2] == 1:
        samples = samples[:, :, 0]
    effort = FLOAT_EFFORT if samples.dtype.kind == "f" else EFFORT
    encoded = bytes(imagecodecs.jpegxl_encode(np.ascontiguousarray(samples), lossless=True, effort=effort))
    parts = [] if encoded.startswith(SIGNATURE) else list(boxes(encoded))
    codestream = _codestream(encoded, parts)
    if metadata.icc is not None:
        try:
            codestream = with_profile(codestream, metadata.icc)
        except ValueError as error:
            cause = f"this libjxl writes a header that no ICC profile can be put into ({error})"
            raise OutputError(cause, "write a .png, .tif or .avif with -o") from error
    out.write(CONTAINER + FILE_TYPE)
    for box in parts:
        if box.name == LEVEL:
            out.write(_box(LEVEL, encoded[box.start : box.end]))
    if metadata.exif is not None:
        out.write(_box(EXIF, bytes(4) + metadata.exif))
    if metadata.xmp is not None:
        out.write(_box(XMP, metadata.xmp))
    out.write(_box(CODESTREAM, codestream))


def _refuse_further_frames(data: bytes, first: Samples) -> None:
    """Refuse animations: with a buffer for one frame, the decoder fails before it decodes any of several."""
    try:
        imagecodecs.jpegxl_decode(data, out=np.empty_like(first))
    except ValueError as error:
        raise unsupported("animated JPEG XL", "save the frame you want as a separate file") from error


def _interleaved(samples: Samples, header: CodestreamHeader, colours: int) -> Samples:
    """The colours and alpha of decoded samples; grey with extra channels is decoded to planes of (H, W)."""
    planes = 1 + header.extra_channels
    if colours != 1 or samples.ndim != 3 or len(samples) != planes or samples.shape[2] <= MAX_INTERLEAVED:
        return samples
    kept = [0] if header.alpha is None else [0, 1 + header.alpha]
    return samples[kept].transpose(1, 2, 0)


def _full_range(samples: Samples, header: CodestreamHeader) -> Samples:
    """Decoded samples as (H, W, C): floats in single precision, integers with white at 255 or 65535."""
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    if samples.dtype == np.uint8 and header.bits == 8:
        return samples
    return rescaled(samples, 2**header.bits - 1, 65535)


def _codestream(data: bytes, parts: list[Box]) -> bytes:
    """The codestream, joined if the container holds it in parts."""
    if not parts:
        return data
    if any(box.name in READ_BOXES for box in parts if not box.whole):  # others are bytes after the end
        raise damaged("the end of the file is missing")
    whole = next((data[box.start : box.end] for box in parts if box.name == CODESTREAM), None)
    stream = whole or b"".join(data[box.start + 4 : box.end] for box in parts if box.name == PART)
    if not stream:
        raise damaged("there is no picture in it")
    return stream


def _pixels_only(data: bytes, parts: list[Box]) -> bytes:
    """The file without its metadata, which the decoder would unpack whatever their size."""
    if not parts:
        return data
    kept = [box for box in parts if box.name in (LEVEL, CODESTREAM, PART)]
    return CONTAINER + FILE_TYPE + b"".join(_box(box.name, data[box.start : box.end]) for box in kept)


def _content(data: bytes, parts: list[Box], name: bytes) -> bytes | None:
    """The content of the first box called ``name``, compressed (brob) or not; None if missing or broken."""
    for box in parts:
        if box.name == name:
            return data[box.start : box.end]
        if box.name == COMPRESSED and data[box.start : box.start + 4] == name:
            try:
                return bytes(imagecodecs.brotli_decode(data[box.start + 4 : box.end], out=LARGEST_BOX))
            except RuntimeError:
                return b""
    return None


def _exif(data: bytes, parts: list[Box]) -> bytes | None:
    """The EXIF block, after a four-byte offset that some writers omit."""
    content = _content(data, parts, EXIF)
    if content is None or content[:4] in (b"II*\0", b"MM\0*"):
        return content
    return content[4 + int.from_bytes(content[:4], "big") :]


def _further_boxes(data: bytes, parts: list[Box]) -> list[str]:
    """Names for metadata that are not read: a second EXIF or XMP, and compressed boxes of other kinds."""
    names, lost = [], []
    for box in parts:
        compressed = box.name == COMPRESSED
        name = data[box.start : box.start + 4] if compressed else box.name
        if name in METADATA and name in names:
            lost.append(METADATA[name])
        elif compressed and name not in METADATA:
            lost.append(f"{KNOWN_BOXES.get(name, 'the box')} ({left_out.printable(name)})")
        names.append(name)
    return lost


def _box(name: bytes, content: bytes) -> bytes:
    if len(content) + 8 < 2**32:
        return (len(content) + 8).to_bytes(4, "big") + name + content
    return b"\0\0\0\1" + name + (len(content) + 16).to_bytes(8, "big") + content
