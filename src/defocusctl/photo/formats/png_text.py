"""PNG text chunks, and the profiles that ImageMagick writes into them as hexadecimal text."""

import re
import zlib
from collections.abc import Callable

from defocusctl.photo import embedded_pictures
from defocusctl.photo.model import Chunk

TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
RAW_PROFILES = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"Raw profile type xmp\0")
ICC_PROFILES = (b"Raw profile type icc\0", b"Raw profile type icm\0")
PHOTOSHOP_PROFILES = (b"Raw profile type 8bim\0", b"Raw profile type iptc\0")
RAW_PROFILE = re.compile(rb"\s{0,9}\S{1,99}\s{1,99}(\d{1,9})\s(.*)", re.DOTALL)
GEOMETRY = re.compile(  # what ImageMagick copies from EXIF and the header
    rb"(exif:(Orientation|PixelXDimension|PixelYDimension|ImageWidth|ImageLength|Subject\w+|RelatedImage\w+"
    rb"|thumbnail:\w+)|Thumb::(Image::\w+|Size)|png:(IHDR|oFFs|vpAg|caNv)[^\0]*)\0"
)
SIDES = re.compile(rb"(exif:(FocalPlane)?[XY]Resolution|png:pHYs)\0")
LARGEST_PROFILE = 16 * 2**20


def text_of(name: bytes, payload: bytes) -> bytes | None:
    """The text of a text chunk, without its keyword and inflated if compressed; None if it is broken."""
    text, compressed = _stored_text(name, payload)
    return inflate(text) if compressed else text


def is_picture(name: bytes, payload: bytes) -> bool:
    """Whether the text of a text chunk is an encoded picture; inflates no more than its beginning."""
    text, compressed = _stored_text(name, payload)
    if compressed:
        try:
            text = zlib.decompressobj().decompress(text, embedded_pictures.HEAD)
        except zlib.error:
            return False
    return embedded_pictures.is_encoded(text)


def _stored_text(name: bytes, payload: bytes) -> tuple[bytes, bool]:
    """The text of a text chunk as stored, and whether it is compressed."""
    text = payload.partition(b"\0")[2]
    if name == b"zTXt":
        return text[1:], True
    if name == b"iTXt":  # compression flag, method, language, translated keyword, text
        return text[2:].partition(b"\0")[2].partition(b"\0")[2], text[:1] == b"\1"
    return text, False


def is_about_geometry(chunk: Chunk, *, swaps_sides: bool) -> bool:
    """Whether it is text about the picture's size, orientation or places, as ImageMagick writes.

    With ``swaps_sides``, values along x and y count, too.
    """
    name, payload = chunk
    patterns = (GEOMETRY, SIDES) if swaps_sides else (GEOMETRY,)
    return name in TEXT_CHUNKS and any(pattern.match(payload) for pattern in patterns)


def edited_photoshop(chunk: Chunk, edit: Callable[[bytes], bytes]) -> Chunk | None:
    """The chunk with its Photoshop resources edited by ``edit``; None if none remain.

    Chunks with other contents are returned unchanged.
    """
    name, payload = chunk
    keyword = next(filter(payload.startswith, PHOTOSHOP_PROFILES), None)
    if name not in TEXT_CHUNKS or keyword is None:
        return chunk
    resources = raw_profile(name, payload) or b""
    edited = edit(resources)
    if edited == resources:
        return chunk if resources else None
    kind = keyword.rstrip(b"\0").rpartition(b" ")[2]
    text = b"\n%s\n%8d\n%s\n" % (kind, len(edited), edited.hex().encode())
    return (b"zTXt", keyword + b"\0" + zlib.compress(text)) if edited else None


def raw_profile(name: bytes, payload: bytes) -> bytes | None:
    """Decode an ImageMagick profile: its name, its length, then hexadecimal text of that length.

    Anything beyond that length is ignored. None if it is broken.
    """
    found = RAW_PROFILE.match(text_of(name, payload) or b"")
    if found is None:
        return None
    digits = found[2].translate(None, b" \t\r\n\0")[: 2 * int(found[1])]
    try:
        block = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    return block if len(block) == int(found[1]) else None


def inflate(compressed: bytes) -> bytes | None:
    """The inflated bytes, or None if they are broken or suspiciously many."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(compressed, LARGEST_PROFILE)
    except zlib.error:
        return None
    return inflated if stream.eof else None
