"""Pictures inside other data, such as previews in maker notes, comments, texts and private tags."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from defocusctl.photo.formats.jpeg_segments import EOI, NEXT_MARKER, SOS

START = b"\xff\xd8\xff"
FIRST_MARKERS = frozenset((0xC0, 0xC2, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)))
FILL = 0xFF

PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
CONTAINERS = re.compile(re.escape(PNG) + rb".{4}IHDR|RIFF.{4}WEBP", re.DOTALL)
ENCODED = re.compile(  # JPEG, PNG or WebP in base64, or as hexadecimal text after its name and length
    rb"\s{0,99}(?:ASCII\0\0\0)?(?:data:image/|/9j/|iVBORw0KGgo|UklGR.{6}XRUJQ)"
    rb"|\s{0,9}\S{1,99}\s{1,99}\d{1,9}\s{1,9}(?i:ffd8ff|89504e47)"
)
HEAD = 512  # enough to recognise encoded pictures

Span = tuple[int, int]  # start and end (exclusive)


def blanked(data: bytes) -> bytes:
    """The data with zeros instead of the pictures in them."""
    patched = bytearray(data)
    for start, end in spans(data):
        patched[start:end] = bytes(end - start)
    return bytes(patched)


def is_encoded(text: bytes) -> bool:
    """Whether this is the beginning of a picture written as text."""
    return ENCODED.match(text[:HEAD]) is not None


def spans(data: bytes) -> list[Span]:
    """Where the JPEG, PNG and WebP pictures in the data are; one without an end extends to that of the data.

    Data that begin with a picture written as text count as a whole.
    """
    return [(0, len(data))] if is_encoded(data) else binary_spans(data)


def binary_spans(data: bytes) -> list[Span]:
    """Like ``spans``, without pictures written as text."""
    return [*_jpegs(data), *_containers(data)]


def _containers(data: bytes) -> Iterator[Span]:
    """Where PNG and WebP pictures are, which say how long they are."""
    end = 0
    for found in CONTAINERS.finditer(data):
        start = found.start()
        if start < end:
            continue
        if data.startswith(PNG, start):
            end = _end_of_png(data, start + len(PNG))
        else:
            end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
        yield start, min(end, len(data))


def _end_of_png(data: bytes, position: int) -> int:
    while position + 12 <= len(data):
        name = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if name == PNG_END:
            return position
    return len(data)


def _jpegs(data: bytes) -> list[Span]:
    found: list[Span] = []
    start = data.find(START)
    if start < 0:
        return found
    markers = array("q", (match.start() for match in NEXT_MARKER.finditer(data)))
    nowhere: set[int] = set()  # positions that lead to no end, to visit none twice
    while start >= 0:
        end = 0
        first = _next_marker(start + 2, markers, len(data))
        if data[first + 1 : first + 2] and data[first + 1] in FIRST_MARKERS:
            end = _end(data, first, markers, nowhere)
            if not end and _follows(data, first):
                found.append((start, len(data)))
                break
        if end:
            found.append((start, end))
        start = data.find(START, end or start + 2)
    return found


def _follows(data: bytes, marker: int) -> bool:
    """Whether the segment at ``marker`` is followed by another, which three bytes by chance are not."""
    length = int.from_bytes(data[marker + 2 : marker + 4], "big")
    following = marker + 2 + length
    return length >= 2 and data[following : following + 1] == b"\xff"


def _next_marker(position: int, markers: Sequence[int], length: int) -> int:
    following = bisect_left(markers, position)
    return markers[following] if following < len(markers) else length


def _end(data: bytes, position: int, markers: Sequence[int], nowhere: set[int]) -> int:
    """The end of the JPEG whose first marker is at ``position``; 0 if its segments lead to none."""
    passed = set()
    while position not in nowhere and data[position : position + 1] == b"\xff" and position + 2 <= len(data):
        marker = data[position + 1]
        if marker == EOI:
            return position + 2
        passed.add(position)
        if marker != FILL:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in (SOS, FILL):
            position = _next_marker(position, markers, len(data))
    nowhere |= passed
    return 0
