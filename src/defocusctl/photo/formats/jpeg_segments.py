"""Reads (without decoding) and writes the marker segments of a JPEG file (ITU-T T.81, annex B)."""

import re
import struct
from dataclasses import dataclass

from defocusctl.photo.header import damaged

DHT, EOI, SOS, DQT, DNL, DRI, COM = 0xC4, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE
APP0, APP1, APP2, APP3, APP12, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xE3, 0xEC, 0xED, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
FRAMES = {0xC0 + n for n in range(16)} - {0xC4, 0xC8, 0xCC} | {0xF7}  # the last is JPEG-LS
BETWEEN_SCANS = {DHT, DQT, DRI, SOS, DNL, COM, *range(APP0, APP0 + 16)}
NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither a stuffed byte nor a restart marker
LAST_DATA = re.compile(rb"(?:\xff\x00)*\x00?")
COEFFICIENTS = 64
MAX_COMPONENTS_PER_SCAN = 4
LARGEST_PAYLOAD = 65533
MAX_SEGMENTS = 10_000


def _along_diagonals(place: int) -> tuple[int, int]:
    row, column = divmod(place, 8)
    diagonal = row + column
    return diagonal, row if diagonal % 2 else column


ZIGZAG = tuple(sorted(range(64), key=_along_diagonals))
"""The row-major position of the n-th coefficient in zigzag order."""


@dataclass(frozen=True)
class Component:
    """A colour component of the frame: identifier, sampling factors, number of the quantisation table."""

    identifier: int
    horizontal: int
    vertical: int
    table: int


@dataclass(frozen=True)
class Frame:
    """The frame header (SOF): process, bits per sample, size, components."""

    marker: int
    precision: int
    width: int
    height: int
    components: tuple[Component, ...]


@dataclass(frozen=True)
class JpegLayout:
    """The structure of a JPEG file: everything except its pixels.

    ``end`` is the end of the last scan's compressed data, ``closing`` the marker after it (None if there is
    no EOI), and ``after`` the position after the EOI. ``strays`` are the positions of markers that cannot be
    in a scan. ``complete`` means that the scans hold every coefficient at full precision. ``further`` counts
    the segments beyond the limit, which are not in ``segments``.
    """

    frame: Frame
    segments: list[tuple[int, bytes]]
    end: int
    closing: int | None
    after: int
    strays: list[int]
    complete: bool
    scans: int
    further: int
    tables: dict[int, tuple[int, ...]]


def read_layout(data: bytes) -> JpegLayout:
    """Walk through the markers of a JPEG file up to its EOI, or to the end of the file.

    Compressed data are left to libjpeg: like it, this skips misplaced markers and impossible lengths.
    """
    segments: list[tuple[int, bytes]] = []
    tables: dict[int, tuple[int, ...]] = {}
    strays: list[int] = []
    finished: set[tuple[int, int]] = set()
    frame, scans, further = None, 0, 0
    position, end, closing, after = 2, len(data), None, len(data)
    within_scan = False
    while found := NEXT_MARKER.search(data, position):
        marker, position = data[found.end() - 1], found.end()
        length = int.from_bytes(data[position : position + 2], "big")
        possible = marker in BETWEEN_SCANS or not scans
        if marker != EOI and not (possible and 2 <= length <= len(data) - position):
            if scans:
                strays.append(found.start())
            continue
        if within_scan:
            end, closing = found.start(), marker
        if marker == EOI:
            after = position
            break
        payload = data[position + 2 : position + length]
        position += length
        within_scan = marker == SOS
        if marker in FRAMES:
            frame = frame or _read_frame(marker, payload)
        elif marker == DQT:
            tables |= _read_tables(payload)
        elif marker == SOS:
            scans += 1
            finished |= _finished_by(payload)
        elif marker < APP0 and marker != DNL:
            continue
        elif len(segments) < MAX_SEGMENTS:
            segments.append((marker, payload))
        else:
            further += 1
    else:  # the end marker is missing
        closing = None
        end = _without_padding(data, position) if within_scan else end
    if frame is None:
        raise damaged("there is no picture in it")
    complete = len(finished) >= COEFFICIENTS * len(frame.components)
    end = len(data[:end].rstrip(b"\xff"))  # fill bytes may precede a marker
    return JpegLayout(frame, segments, end, closing, after, strays, complete, scans, further, tables)


def _without_padding(data: bytes, start: int) -> int:
    """The end of the compressed data that begin at ``start`` and run to the end of the file.

    Trailing zeros and 0xFF are unwritten disk or flash memory. The first zero may belong to the data, where
    0xFF 0x00 stands for one byte.
    """
    bare = max(len(data.rstrip(b"\0\xff")), start)
    kept = LAST_DATA.match(data, bare)
    return kept.end() if kept else bare


def write_segment(marker: int, payload: bytes) -> bytes:
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
    """Quantisation tables by number, in row-major order."""
    tables = {}
    position = 0
    while position < len(payload):
        number, wide = payload[position] & 15, payload[position] >> 4
        length = 128 if wide else 64
        stored = payload[position + 1 : position + 1 + length]
        if len(stored) < length:  # libjpeg reports it
            break
        values = struct.unpack(">64H" if wide else "64B", stored)
        table = [0] * 64
        for place, value in zip(ZIGZAG, values, strict=True):
            table[place] = value
        tables[number] = tuple(table)
        position += 1 + length
    return tables


def _finished_by(payload: bytes) -> set[tuple[int, int]]:
    """The coefficients (component, position) that a scan with this header brings to full precision."""
    count = payload[0] if payload else 0
    if count > MAX_COMPONENTS_PER_SCAN or len(payload) < 4 + 2 * count:
        return set()
    first, last, approximation = payload[1 + 2 * count : 4 + 2 * count]
    if approximation & 15:
        return set()
    positions = range(first, min(last, COEFFICIENTS - 1) + 1)
    return {(payload[1 + 2 * index], place) for index in range(count) for place in positions}
