"""WebP (RFC 9649): pixels through libwebp, metadata from the RIFF chunks."""

import io
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from defocusctl.photo.alpha import filled
from defocusctl.photo.formats import left_out
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Decoded, Metadata, Samples, WebpCoding

FINEST_QUALITY = 100
LARGEST_SIDE = 16383
PIXEL_CHUNKS = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")
METADATA_CHUNKS = (b"ICCP", b"EXIF", b"XMP ")
START_CODE = b"\x9d\x01\x2a"


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read a still WebP, lossy or lossless."""
    pieces, end = _read_chunks(data)
    chunks: dict[bytes, bytes] = {}
    further = []
    for name, payload in pieces:
        if chunks.setdefault(name, payload) != payload and name in METADATA_CHUNKS:
            further.append(f"a second chunk {left_out.printable(name)}")
    frames = [payload for name, payload in pieces if name == b"ANMF"]
    if len(frames) > 1:
        raise unsupported("animated WebP", "save the frame you want as a separate WebP")
    width, height = _size(chunks)
    check_size(width, height, max_megapixels)
    samples = np.asarray(Image.open(io.BytesIO(data))) if frames else imagecodecs.webp_decode(data)
    if samples.shape[:2] != (height, width):
        raise damaged("its header contradicts itself")
    alpha = samples[:, :, 3] if samples.shape[2] == 4 else None
    metadata = Metadata(
        icc=chunks.get(b"ICCP"),
        exif=chunks.get(b"EXIF") or None,
        xmp=chunks.get(b"XMP "),
        coding=WebpCoding(lossless=b"VP8L" in chunks or any(b"VP8L" in frame[16:] for frame in frames)),
    )
    others = [name for name in chunks if name not in PIXEL_CHUNKS + METADATA_CHUNKS]
    lost = [*(f"the chunk {left_out.printable(name)}" for name in others), *further]
    lost += left_out.after_the_end(data, end)
    return Decoded(samples[:, :, :3], alpha, metadata, warnings=left_out.warning(lost))


def encode(
    pixels: Samples, alpha: Samples | None, metadata: Metadata, quality: int | None, out: BinaryIO
) -> None:
    """Write uint8 pixels; lossless unless the source was a lossy WebP.

    Then the default is the best quality, which is at least the source's. A quality forces lossy compression;
    alpha is always lossless. Lossless files keep colours under alpha 0 too.
    """
    lossy = quality is not None or (isinstance(metadata.coding, WebpCoding) and not metadata.coding.lossless)
    samples = pixels if alpha is None or not lossy else filled(pixels, alpha)
    samples = np.repeat(samples, 3, axis=2) if pixels.shape[2] == 1 else samples
    if alpha is not None:
        samples = np.dstack([samples, alpha])
    Image.fromarray(samples).save(
        out,
        "WEBP",
        lossless=not lossy,
        quality=(quality or FINEST_QUALITY) if lossy else 75,
        alpha_quality=100,
        exact=not lossy,
        icc_profile=metadata.icc or b"",
        exif=metadata.exif or b"",
        xmp=metadata.xmp or b"",
    )


def _read_chunks(data: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """The chunks inside the RIFF container, and its end."""
    end = 8 + _little(data[4:8])
    if end > len(data):
        raise damaged("the end of the file is missing")
    chunks: list[tuple[bytes, bytes]] = []
    position = 12
    while position + 8 <= end:
        length = _little(data[position + 4 : position + 8])
        chunks.append((data[position : position + 4], data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return chunks, end + end % 2


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """The largest width and height that any of the headers claims."""
    sizes = []
    if len(extended := chunks.get(b"VP8X", b"")) >= 10:
        sizes.append((1 + _little(extended[4:7]), 1 + _little(extended[7:10])))
    if len(lossy := chunks.get(b"VP8 ", b"")) >= 10 and lossy[3:6] == START_CODE:
        sizes.append((_little(lossy[6:8]) & 0x3FFF, _little(lossy[8:10]) & 0x3FFF))
    if len(lossless := chunks.get(b"VP8L", b"")) >= 5 and lossless[0] == 0x2F:
        bits = _little(lossless[1:5])
        sizes.append((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)))
    if not sizes:
        raise damaged("there is no picture in it")
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")
