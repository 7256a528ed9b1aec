"""The marker segments of a JPEG file (ITU-T T.81, annex B): walked without decoding, and written."""

import re
import struct
from dataclasses import dataclass, field

from defocusctl.errors import InputError
from defocusctl.photo.header import damaged

SOI, EOI, SOS, DQT, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xFE
APP0, APP1, APP2, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
FRAMES = {0xC0 + n for n in range(16)} - {0xC4, 0xC8, 0xCC}
STANDALONE = {0x01, *range(0xD0, 0xD8)}

NEXT_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
LARGEST_PAYLOAD = 65533


def _zigzag() -> tuple[int, ...]:
    """The position in rows of the n-th coefficient in zigzag order."""
    cells = [(row, column) for row in range(8) for column in range(8)]

    def along_diagonals(cell: tuple[int, int]) -> tuple[int, int]:
        diagonal = sum(cell)
        return diagonal, cell[0] if diagonal % 2 else cell[1]

    return tuple(8 * row + column for row, column in sorted(cells, key=along_diagonals))


ZIGZAG = _zigzag()


@dataclass(frozen=True)
class Component:
    """A colour component of the frame: identifier, sampling factors, number of its quantisation table."""

    identifier: int
    horizontal: int
    vertical: int
    table: int


@dataclass(frozen=True)
class Frame:
    """The frame header (SOF): which process, bits per sample, size, components."""

    marker: int
    precision: int
    width: int
    height: int
    components: tuple[Component, ...]


@dataclass(frozen=True)
class JpegLayout:
    """Everything about a JPEG file but its pixels; ``end`` is the position of the closing EOI marker."""

    frame: Frame
    segments: tuple[tuple[int, bytes], ...]
    end: int
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)


def read_layout(data: bytes) -> JpegLayout:
    """Walk the markers of a whole JPEG file up to its EOI.

    Raises:
        InputError: if the file is cut short or its structure is broken.
    """
    segments: list[tuple[int, bytes]] = []
    tables: dict[int, tuple[int, ...]] = {}
    frame = None
    position = 2
    while True:
        found = NEXT_MARKER.search(data, position)
        if found is None:
            raise damaged("the end of the picture is missing")
        marker, position = data[found.end() - 1], found.end()
        if marker == EOI:
            break
        if marker in STANDALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        payload = data[position + 2 : position + length]
        if length < 2 or len(payload) < length - 2:
            raise damaged("a segment is cut short")
        position += length
        if marker in FRAMES:
            frame = frame or _read_frame(marker, payload)
        elif marker == DQT:
            tables.update(_read_tables(payload))
        elif marker >= APP0:
            segments.append((marker, payload))
    if frame is None:
        raise damaged("there is no picture in it")
    return JpegLayout(frame, tuple(segments), found.start(), tables)


def write_segment(marker: int, payload: bytes) -> bytes:
    """A segment with its marker and length."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _read_frame(marker: int, payload: bytes) -> Frame:
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise damaged("its frame header is cut short")
    precision, height, width, count = struct.unpack_from(">BHHB", payload)
    components = []
    for index in range(count):
        identifier, sampling, table = payload[6 + 3 * index : 9 + 3 * index]
        components.append(Component(identifier, sampling >> 4, sampling & 15, table))
    return Frame(marker, precision, width, height, tuple(components))


def _read_tables(payload: bytes) -> dict[int, tuple[int, ...]]:
    """Quantisation tables by number, in rows."""
    tables = {}
    position = 0
    while position < len(payload):
        number, wide = payload[position] & 15, payload[position] >> 4
        length = 128 if wide else 64
        stored = payload[position + 1 : position + 1 + length]
        if len(stored) < length:
            raise InputError("its quantisation tables are cut short", "copy it again from where it came from")
        values = struct.unpack(">64H" if wide else "64B", stored)
        table = [0] * 64
        for place, value in zip(ZIGZAG, values, strict=True):
            table[place] = value
        tables[number] = tuple(table)
        position += 1 + length
    return tables
