"""What EXIF and XMP claim about how the picture is stored: corrected or removed when that changes."""

from dataclasses import replace

from defocusctl.photo import ifd
from defocusctl.photo.header import HEIC, JPEG_XL
from defocusctl.photo.model import Metadata
from defocusctl.photo.xmp_packet import EXIF, TIFF, Field, Packet

FORMAT = "http://purl.org/dc/elements/1.1/ format"
MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    HEIC: "image/heic",
    JPEG_XL: "image/jxl",
}
BITS, COMPRESSION, BITS_PER_PIXEL = 258, 259, 37122
JPEG_VALUES = {BITS: {8}, COMPRESSION: {6, 7}}
PLACES = frozenset((273, 278, 279, *range(322, 326)))  # strips and tiles
STORAGE = {
    f"{TIFF} BitsPerSample": BITS,
    f"{TIFF} Compression": COMPRESSION,
    f"{TIFF} PhotometricInterpretation": 262,
    f"{TIFF} SamplesPerPixel": 277,
    f"{TIFF} PlanarConfiguration": 284,
    f"{TIFF} Predictor": 317,
    f"{TIFF} YCbCrSubSampling": 530,
    f"{EXIF} ComponentsConfiguration": 37121,
    f"{EXIF} CompressedBitsPerPixel": BITS_PER_PIXEL,
}


def corrected(metadata: Metadata, kind: str, *, converted: bool) -> Metadata:
    """The metadata for a file of this format; ``converted`` means that the photo's own is another.

    ``dc:format`` is changed, false properties are removed. TIFF output takes none of these tags from EXIF.
    """
    block = None if metadata.exif is None else _exif(metadata.exif, kind, converted)
    packet = None if metadata.xmp is None else _xmp(metadata.xmp, kind, converted)
    return replace(metadata, exif=block, xmp=packet)


def _exif(block: bytes, kind: str, converted: bool) -> bytes:
    order = ifd.byte_order(block)
    entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    for directory in (entries, ifd.sub_directories(block, entries).get(ifd.EXIF_IFD, [])):
        false = {
            tag.code
            for tag in (entry.tag for entry in directory)
            if tag.code in PLACES or _is_false(tag.code, set(ifd.integers(tag, order)), kind, converted)
        }
        if false:
            block = ifd.without_tags(block, directory[0].position - 2, false)
    return block


def _xmp(packet: bytes, kind: str, converted: bool) -> bytes:
    parsed = Packet(packet, limited=False)
    for part in parsed.properties:
        fields = [part] if isinstance(part, Field) else list(part.fields())
        if part.name in STORAGE:
            values = {int(each.text) for each in fields if each.text.isdecimal()}
            if _is_false(STORAGE[part.name], values, kind, converted):
                parsed.cut(part)
        for each in fields:
            if each.name == FORMAT and kind in MIME_TYPES and each.text != MIME_TYPES[kind]:
                parsed.set(each, MIME_TYPES[kind])
    return parsed.edited() if parsed.changed else packet


def _is_false(code: int, values: set[int], kind: str, converted: bool) -> bool:
    """Whether a claim with these values may be false in a file of this format."""
    known = JPEG_VALUES.get(code) if kind == "JPEG" else None
    if known is not None:
        return not values or not values <= known
    return code == BITS_PER_PIXEL or (converted and code in STORAGE.values())
