"""Camera RAW (DNG, CR2, CR3, NEF, ARW, RAF, ...): developed to 16 bits through LibRaw (rawpy, an extra).

Most of these formats are TIFF files (some with a magic number other than 42), whose directories say what they
are and hold EXIF and XMP; Canon's CR3 stores the same directories in boxes, and the others only in the JPEG
preview.
"""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from defocusctl.errors import InputError
from defocusctl.photo import exif, ifd
from defocusctl.photo.formats import jpeg_segments, tiff_tags
from defocusctl.photo.formats.boxes import Box, boxes
from defocusctl.photo.header import check_size, damaged
from defocusctl.photo.model import Decoded, Metadata, Samples, TiffTag
from defocusctl.photo.xmp_packet import EXIF, BrokenXmpError, Packet

SRGB_GAMMA = (2.4, 12.92)  # LibRaw's exponent and slope at black
PROFILE_DATE = slice(24, 36)
UNCHANGING_DATE = bytes((0x07, 0xE0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
SUBFILE_TYPE, COMPRESSION, PHOTOMETRIC, SUB_DIRECTORIES, DNG_VERSION = 254, 259, 262, 330, 50706
STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS = 273, 279, 324, 325
TELLING = {SUBFILE_TYPE, COMPRESSION, PHOTOMETRIC, SUB_DIRECTORIES, DNG_VERSION}
TELLING |= {STRIP_OFFSETS, STRIP_LENGTHS, TILE_OFFSETS, TILE_LENGTHS}
MAKER_NOTE, COLOUR_SPACE = 37500, 40961
OF_THE_RAW = frozenset((318, 319, 37121, 37122, 41730, 42240, MAKER_NOTE, COLOUR_SPACE))
"""Colours, compression and colour filters of the file itself; the result is sRGB."""
XMP_OF_THE_RAW = (f"{EXIF} ColorSpace", f"{EXIF} CFAPattern", "http://ns.adobe.com/photoshop/1.0/ ICCProfile")
REDUCED_PAGE = 1
SRGB = 1
RAW_COLOURS = (32803, 34892)
RAW_COMPRESSIONS = (32767, 34713, 65000, 65535)
MAX_DIRECTORIES, MAX_SUB_DIRECTORIES = 32, 16
LARGEST_PREVIEW_TAG = 64 * 2**10
TIFF_LIKE = {b"II": b"II*\0", b"MM": b"MM\0*"}
CANON_BOX = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
MAIN, DETAILS, POSITION = b"CMT1", b"CMT2", b"CMT4"
FUJI_MAGIC = b"FUJIFILMCCD-RAW"
FUJI_PARTS = (84, 92, 100)  # positions of offset and length of preview, header and sensor data


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Develop the sensor data, upright, to 16-bit sRGB with its profile, or to grey without one.

    White balance as shot, AHD interpolation, highlights clipped at the camera's white level. Brightness and
    white level do not depend on the photo's content.
    """
    import rawpy

    if not is_whole(data):
        raise damaged("the end of the file is missing")
    with rawpy.RawPy() as raw:
        try:
            raw.open_buffer(io.BytesIO(data))
            check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_megapixels)
            raw.unpack()
            daylight = raw.num_colors != 1 and raw.camera_whitebalance[0] <= 0
            samples = raw.postprocess(
                demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD,
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=16,
                gamma=SRGB_GAMMA,
                no_auto_bright=True,
                adjust_maximum_thr=0.0,
                highlight_mode=rawpy.HighlightMode.Clip,
            )
        except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawNotImplementedError) as error:
            remedy = "convert it to DNG, or develop it to a 16-bit TIFF first, for example with darktable"
            raise InputError("it is a camera RAW file that LibRaw cannot develop", remedy) from error
        except rawpy.LibRawError as error:
            raise damaged(f"camera RAW: {_reason(error)}") from error
        recorded = read_metadata(data, lambda: _preview(rawpy, raw))
    pixels: Samples = samples.reshape(*samples.shape[:2], -1)
    metadata = replace(recorded, icc=_srgb_profile() if pixels.shape[2] == 3 else None)
    warnings = ("it has no white balance: that of daylight is used",) if daylight else ()
    return Decoded(pixels, None, metadata, orientation=1, warnings=warnings)


def is_raw(data: bytes) -> bool:
    """Whether a TIFF file is a camera RAW: it holds a sensor mosaic, or nothing after a preview."""
    try:
        order = ifd.byte_order(data)
    except ifd.BrokenExifError:
        return False
    first, *further = [_numbers(entries, order) for entries in _directories(data)] or [{}]
    pictures = [
        tags for tags in further if PHOTOMETRIC in tags and not tags.get(SUBFILE_TYPE, [0])[0] & REDUCED_PAGE
    ]
    return (
        DNG_VERSION in first
        or first.get(COMPRESSION, [0])[0] in RAW_COMPRESSIONS
        or any(tags.get(PHOTOMETRIC, [0])[0] in RAW_COLOURS for tags in (first, *further))
        or bool(first.get(SUBFILE_TYPE, [0])[0] & REDUCED_PAGE and (SUB_DIRECTORIES in first or not pictures))
    )


def is_whole(data: bytes) -> bool:
    """Whether all parts that the file's readable directories point to lie within it."""
    if data.startswith(FUJI_MAGIC):
        parts = [struct.unpack_from(">II", data.ljust(108, b"\0"), place) for place in FUJI_PARTS]
        return all(offset + length <= len(data) for offset, length in parts)
    if data[4:8] == b"ftyp":
        return all(box.whole for box in boxes(data))
    block = _as_tiff(data)
    if block is None:
        return True
    order = ifd.byte_order(block)
    directories = list(_directories(block))
    spans = [part for entries in directories for part in _spans(_numbers(entries, order))]
    return bool(directories) and all(start + length <= len(data) for start, length in spans)


def read_metadata(data: bytes, preview: Callable[[], bytes | None]) -> Metadata:
    """Read EXIF and XMP from the file's own directories, else from its JPEG preview.

    Maker notes are left out: they hold offsets into the RAW file, and could fill a JPEG's EXIF.
    """
    block = _as_tiff(data)
    if block is not None:
        entries, _ = ifd.read_directory(block, ifd.first_directory(block))
        if any(entry.tag.code == ifd.EXIF_IFD for entry in entries):
            xmp = next((entry.tag.value for entry in entries if entry.tag.code == tiff_tags.XMP), None)
            return Metadata(exif=_from_directory(block, entries), xmp=_xmp(xmp) if xmp else None)
    if data[4:8] == b"ftyp" and (found := _from_canon_boxes(data)):
        return Metadata(exif=found)
    return Metadata(exif=_from_preview(preview()))


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


def _xmp(packet: bytes) -> bytes:
    """The packet without what is true only of the RAW."""
    try:
        parsed = Packet(packet)
    except BrokenXmpError:
        return packet  # a warning follows
    for part in parsed.properties:
        if part.name in XMP_OF_THE_RAW:
            parsed.cut(part)
    return parsed.edited() if parsed.changed else packet


def _from_directory(block: bytes, entries: list[ifd.Entry]) -> bytes:
    main = [entry.tag for entry in entries if entry.tag.code in tiff_tags.DESCRIPTIVE]
    found = ifd.sub_directories(block, entries)
    subs = {pointer: [entry.tag for entry in entries] for pointer, entries in found.items()}
    return _built(ifd.byte_order(block), main, subs)


def _from_canon_boxes(data: bytes) -> bytes | None:
    """The directories of a CR3, each a TIFF block in a separate box."""
    found: dict[bytes, list[TiffTag]] = {}
    order: ifd.ByteOrder = "<"
    for box in _canon_boxes(data):
        if box.name not in (MAIN, DETAILS, POSITION):
            continue
        block = data[box.start : box.end]
        try:
            order = ifd.byte_order(block)
            entries, _ = ifd.read_directory(block, ifd.first_directory(block))
        except (ifd.BrokenExifError, struct.error):
            continue
        found[box.name] = [entry.tag for entry in entries]
    if not found:
        return None
    main = [tag for tag in found.get(MAIN, []) if tag.code in tiff_tags.DESCRIPTIVE]
    return _built(order, main, {ifd.EXIF_IFD: found.get(DETAILS, []), ifd.GPS_IFD: found.get(POSITION, [])})


def _canon_boxes(data: bytes) -> Iterator[Box]:
    for movie in (box for box in boxes(data) if box.name == b"moov"):
        for inner in boxes(data, movie.start, movie.end):
            if inner.name == b"uuid" and data[inner.start : inner.start + 16] == CANON_BOX:
                yield from boxes(data, inner.start + 16, inner.end)


def _from_preview(jpeg: bytes | None) -> bytes | None:
    """The EXIF of the preview, without its maker note; None if it cannot be read."""
    if jpeg is None:
        return None
    try:
        segments = jpeg_segments.read_layout(jpeg).segments
        block = next(
            payload[len(exif.HEADER) :] for _, payload in segments if payload.startswith(exif.HEADER)
        )
        entries, _ = ifd.read_directory(block, ifd.first_directory(block))
    except (InputError, StopIteration, ifd.BrokenExifError, struct.error):
        return None
    return _from_directory(block, entries)


def _built(order: ifd.ByteOrder, main: list[TiffTag], subs: dict[int, list[TiffTag]]) -> bytes:
    """A block without what is true only of the RAW, such as Adobe RGB by its interoperability index."""
    kept = {
        pointer: [tag for tag in tags if _is_kept(tag)]
        for pointer, tags in subs.items()
        if pointer != ifd.INTEROP_IFD and any(_is_kept(tag) for tag in tags)
    }
    if ifd.EXIF_IFD in kept:
        kept[ifd.EXIF_IFD].append(TiffTag(COLOUR_SPACE, ifd.SHORT, 1, struct.pack(order + "H", SRGB)))
    return ifd.build(order, [tag for tag in main if tag.value and tag.code not in OF_THE_RAW], kept)


def _is_kept(tag: TiffTag) -> bool:
    within = 0 < len(tag.value) <= LARGEST_PREVIEW_TAG
    return within and tag.code not in ifd.POINTERS.keys() | OF_THE_RAW


def _as_tiff(data: bytes) -> bytes | None:
    """The file with TIFF's magic number (ORF and RW2 have others), or None if it is not TIFF-based."""
    magic = TIFF_LIKE.get(data[:2])
    if magic is None:
        return None
    return data if data[:4] == magic else magic + data[4:]


def _directories(block: bytes) -> Iterator[list[ifd.Entry]]:
    """The chain of directories and their sub-directories, as far as they can be read."""
    order, budget = ifd.byte_order(block), ifd.ReadBudget(block)
    try:
        for entries in ifd.chain(block, budget, MAX_DIRECTORIES):
            yield entries
            offsets = dict.fromkeys(_numbers(entries, order).get(SUB_DIRECTORIES, ()))
            for offset in islice(offsets, MAX_SUB_DIRECTORIES):
                with suppress(ifd.BrokenExifError, struct.error):
                    yield ifd.read_directory(block, offset, budget)[0]
    except (ifd.BrokenExifError, struct.error):
        return


def _numbers(entries: list[ifd.Entry], order: ifd.ByteOrder) -> dict[int, list[int]]:
    """The values of the tags that describe what a directory contains and where."""
    telling = [entry.tag for entry in entries if entry.tag.code in TELLING]
    found = {tag.code: ifd.integers(tag, order) for tag in telling}
    return {code: values for code, values in found.items() if values}


def _spans(tags: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
    """Offsets and lengths of a directory's strips and tiles."""
    for offsets, lengths in ((STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)):
        yield from zip(tags.get(offsets, []), tags.get(lengths, []), strict=False)
