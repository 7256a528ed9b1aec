"""PNG (W3C PNG, third edition): pixels through libpng, metadata by chunk."""

import struct
import zlib
from typing import BinaryIO

import imagecodecs
import numpy as np

from defocusctl.photo import exif, xmp
from defocusctl.photo import icc as icc_profile
from defocusctl.photo.formats import left_out, png_text
from defocusctl.photo.formats.png_text import TEXT_CHUNKS
from defocusctl.photo.header import check_size, damaged, unsupported
from defocusctl.photo.model import Chunk, Decoded, Metadata, PngCoding, Resolution, Samples

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
EXIF_PROFILE, APP1_PROFILE, XMP_PROFILE = png_text.RAW_PROFILES
MAX_INFLATED = 2
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
CALIBRATION_CHUNKS = (b"pCAL", b"sCAL")
SILENT_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"hIST", b"iDOT", b"acTL", b"fcTL", b"pHYs")
KNOWN_CHUNKS = {
    b"sBIT": "the number of significant bits",
    b"oFFs": "the position on the page",
    b"bKGD": "the background colour",
    b"caBX": "Content Credentials",
    b"sPLT": "a suggested palette",
    b"tIME": "the time of the last change",
}
PALETTE = 3
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
Piece = tuple[bytes, bytes | memoryview]  # a chunk; pixels are views of the file
COMPRESSION_LEVEL = 4  # level 6 takes five times as long and saves 4 %


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Read any PNG; palettes become RGB (or grey if all their colours are grey), 1 to 4 bits become 8."""
    pieces, warnings, end = _read_chunks(data, max_megapixels)
    names = [name for name, _ in pieces]
    if b"IDAT" not in names:
        raise damaged("there is no picture in it")
    if b"fdAT" in names:  # frames in addition to the default picture
        animated = b"fcTL" in names[: names.index(b"IDAT")]
        kind = "animated PNG" if animated else "a PNG with an animation beside it"
        raise unsupported(kind, "save the frame you want as a separate PNG")
    header = bytes(pieces[0][1])
    width, height = struct.unpack_from(">II", header)
    ordered = [piece for name in PIXEL_CHUNKS for piece in pieces if piece[0] == name]
    pixel_chunks = [_within_depth(piece, header) for piece in ordered]
    if header[12]:
        decoded = _decode_interlaced(pixel_chunks, header)
    else:
        decoded = imagecodecs.png_decode(_assemble(pixel_chunks))
    samples = decoded.reshape(height, width, -1)
    alpha = samples[:, :, -1] if samples.shape[2] in (2, 4) else None
    pixels = samples[:, :, :-1] if alpha is not None else samples
    chunks = [(name, bytes(payload)) for name, payload in pieces if name != b"IDAT"]
    metadata = _metadata(chunks, warnings)
    if header[9] == PALETTE and _grey_palette(dict(chunks).get(b"PLTE", b""), metadata.icc):
        pixels = pixels[:, :, :1]
    warnings += left_out.warning([*_not_carried(names), *left_out.after_the_end(data, end)])
    return Decoded(pixels, alpha, metadata, warnings=tuple(warnings))


def encode(pixels: Samples, alpha: Samples | None, metadata: Metadata, out: BinaryIO) -> None:
    """Write uint8 or uint16 pixels as PNG with its metadata."""
    samples = pixels if alpha is None else np.dstack([pixels, alpha])
    if samples.shape[2] == 1:
        samples = samples[:, :, 0]
    encoded = memoryview(imagecodecs.png_encode(np.ascontiguousarray(samples), level=COMPRESSION_LEVEL))
    after_header = len(SIGNATURE) + 12 + 13
    out.write(encoded[:after_header])
    for name, payload in _metadata_chunks(metadata):
        out.write(b"".join(_chunk_parts(name, payload)))
    out.write(encoded[after_header:])


def _decode_interlaced(chunks: list[Piece], header: bytes) -> Samples:
    """Decode the seven pictures of an Adam7 file one by one and interleave them.

    libpng could do it in one call but, as imagecodecs calls it, prints a warning to stderr.
    """
    width, height, depth, colour_type = struct.unpack_from(">IIBB", header)
    bits = depth * CHANNELS[colour_type]
    steps = [step for step in ADAM7 if step[0] < width and step[1] < height]
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in steps]
    lengths = [(1 + -(-columns * bits // 8)) * rows for columns, rows in sizes]
    compressed = b"".join(payload for name, payload in chunks if name == b"IDAT")
    stored = zlib.decompressobj().decompress(compressed, sum(lengths))
    if len(stored) != sum(lengths):
        raise damaged("its pixels do not fill the picture")
    shared = [chunk for chunk in chunks if chunk[0] in (b"PLTE", b"tRNS")]
    whole: Samples | None = None
    start = 0
    for (x, y, dx, dy), (columns, rows), length in zip(steps, sizes, lengths, strict=True):
        pass_header = struct.pack(">II", columns, rows) + header[8:12] + b"\0"
        pixels = zlib.compress(stored[start : start + length], 1)
        start += length
        part = imagecodecs.png_decode(_assemble([(b"IHDR", pass_header), *shared, (b"IDAT", pixels)]))
        if whole is None:
            whole = np.empty((height, width, *part.shape[2:]), part.dtype)
        whole[y::dy, x::dx] = part
    assert whole is not None
    return whole


def _not_carried(names: list[bytes]) -> list[str]:
    """Names for chunks that are neither read nor written."""
    handled = (*PIXEL_CHUNKS, *COLOUR_CHUNKS, *TEXT_CHUNKS, *CALIBRATION_CHUNKS, *SILENT_CHUNKS)
    others = [name for name in dict.fromkeys(names) if name not in (*handled, b"iCCP", b"eXIf")]
    return [f"{KNOWN_CHUNKS.get(name, 'the chunk')} ({left_out.printable(name)})" for name in others]


def _read_chunks(data: bytes, max_megapixels: float) -> tuple[list[Piece], list[str], int]:
    """All chunks up to IEND, warnings about broken ones that are not needed for the pixels, and the end."""
    chunks: list[Piece] = []
    view = memoryview(data)
    warnings: list[str] = []
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise damaged("the end of the file is missing")
        length = int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        payload = view[position + 8 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        position += 12 + length
        if position > len(data):
            raise damaged("the end of the file is missing")
        if zlib.crc32(payload, zlib.crc32(name)) != int.from_bytes(checksum, "big"):
            if name in PIXEL_CHUNKS or name == b"IEND":
                raise damaged("a checksum does not match")
            warnings = (
                ["damaged PNG chunks are left out"] if warnings else ["a damaged PNG chunk is left out"]
            )
            continue
        if not chunks:
            _check_header(name, payload, max_megapixels)
        if name == b"IEND":
            return chunks, warnings, position
        chunks.append((name, payload))


def _check_header(name: bytes, payload: memoryview, max_megapixels: float) -> None:
    if name == b"CgBI":
        cause = "a PNG in Apple's own form (CgBI)"
        raise unsupported(cause, "convert it first, for example with: pngcrush -revert-iphone-optimizations")
    if name != b"IHDR" or len(payload) != 13:
        raise damaged("its header is misplaced")
    width, height, depth, colour_type, compression, filters, interlace = struct.unpack(">IIBBBBB", payload)
    check_size(width, height, max_megapixels)
    if depth not in DEPTHS.get(colour_type, ()) or compression or filters or interlace > 1:
        raise damaged("its header has values that PNG does not allow")


def _metadata(chunks: list[Chunk], warnings: list[str]) -> Metadata:
    """The metadata; the first of each kind counts. At most two of each are inflated."""
    icc_keys = (b"iCCP", *png_text.ICC_PROFILES)
    keys = (*icc_keys, b"eXIf", XMP_KEYWORD, *png_text.RAW_PROFILES)
    found: dict[bytes, list[bytes]] = {key: [] for key in keys}
    photoshop: set[bytes] = set()
    resolution = None
    kept, lost = [], []
    for name, payload in chunks:
        keyword = name if name in found else payload.partition(b"\0")[0] + b"\0"
        if name == b"pHYs" and len(payload) == 9:
            x, y, unit = struct.unpack(">IIB", payload)
            resolution = Resolution(x, y, "m" if unit == 1 else "none") if x and y else None
        elif keyword in found and name in (b"iCCP", b"eXIf", *TEXT_CHUNKS):
            if len(found[keyword]) < MAX_INFLATED:
                found[keyword].append(_content(name, keyword, payload))
            else:
                lost.append("further profiles")
        elif name in TEXT_CHUNKS and keyword in photoshop:
            lost.append("a second Photoshop profile")
        elif name in TEXT_CHUNKS and png_text.is_picture(name, payload):
            lost.append(f"a preview (text '{left_out.printable(keyword)}')")
        elif name in COLOUR_CHUNKS + TEXT_CHUNKS + CALIBRATION_CHUNKS:
            photoshop |= {keyword}.intersection(png_text.PHOTOSHOP_PROFILES)
            kept.append((name, payload))
    app1 = found[APP1_PROFILE]
    profiles = [content for key in icc_keys for content in found[key]]
    icc = left_out.first_of(profiles, "a second ICC profile", lost)
    raw_exif = [*found[EXIF_PROFILE], *(each for each in app1 if not each.startswith(xmp.HEADER))]
    block = left_out.first_of([*found[b"eXIf"], *raw_exif], "a second EXIF block", lost)
    raw_xmp = [*found[XMP_PROFILE], *(each for each in app1 if each.startswith(xmp.HEADER))]
    packets = [each.removeprefix(xmp.HEADER) for each in (*found[XMP_KEYWORD], *raw_xmp)]
    packet = left_out.first_of(packets, "a second XMP packet", lost)
    warnings += left_out.warning(lost)
    return Metadata(icc, block, packet, resolution, PngCoding(tuple(kept)))


def _content(name: bytes, keyword: bytes, payload: bytes) -> bytes:
    """The profile in a chunk, without the header that some programs add; empty if it is broken."""
    if name == b"iCCP":
        content = png_text.inflate(payload.partition(b"\0")[2][1:])
    elif name == b"eXIf":
        content = payload
    elif keyword == XMP_KEYWORD:
        content = png_text.text_of(name, payload)
    else:
        content = png_text.raw_profile(name, payload)
    return (content or b"").removeprefix(exif.HEADER)


def _metadata_chunks(metadata: Metadata) -> list[Chunk]:
    source = metadata.coding.chunks if isinstance(metadata.coding, PngCoding) else ()
    chunks = [chunk for chunk in source if chunk[0] in COLOUR_CHUNKS + CALIBRATION_CHUNKS]
    if metadata.icc is not None:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.resolution is not None:
        dots = metadata.resolution.per("m") or (metadata.resolution.x, metadata.resolution.y)
        x, y = (min(max(round(side), 1), 2**31 - 1) for side in dots)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, metadata.resolution.unit != "none")))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp is not None:
        chunks.append((b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + metadata.xmp))
    chunks += [chunk for chunk in source if chunk[0] in TEXT_CHUNKS]
    return chunks


def _within_depth(chunk: Piece, header: bytes) -> Piece:
    """A tRNS chunk's grey or RGB values, reduced to their significant bits (PNG 11.3.1.1)."""
    name, payload = chunk
    if name != b"tRNS" or header[9] == PALETTE or len(payload) % 2:
        return chunk
    values = np.frombuffer(payload, ">u2") & np.uint16((1 << min(header[8], 16)) - 1)
    return name, values.astype(">u2").tobytes()


def _grey_palette(palette: bytes, icc: bytes | None) -> bool:
    """Whether the palette is all grey, and no colour profile rules out a grey file."""
    colours = np.frombuffer(palette[: len(palette) // 3 * 3], np.uint8).reshape(-1, 3)
    grey = bool(np.all(colours == colours[:, :1]))
    return grey and (icc is None or not icc_profile.fits(icc, 3))


def _assemble(chunks: list[Piece]) -> bytes:
    """A PNG file of just these chunks, so that libpng cannot complain about others."""
    pieces: list[Piece] = [*chunks, (b"IEND", b"")]
    return b"".join([SIGNATURE, *(part for piece in pieces for part in _chunk_parts(*piece))])


def _chunk_parts(name: bytes, payload: bytes | memoryview) -> tuple[bytes, bytes, bytes | memoryview, bytes]:
    """The length, name, content and checksum of a chunk."""
    checksum = zlib.crc32(payload, zlib.crc32(name))
    return struct.pack(">I", len(payload)), name, payload, struct.pack(">I", checksum)
