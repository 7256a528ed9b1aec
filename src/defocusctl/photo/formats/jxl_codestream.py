"""The header of a JPEG XL codestream (ISO/IEC 18181-1, annexes C to E): reading it, inserting an ICC profile.

It is read here because the decoder's bindings do not report animations or half floats. The encoders available
to Python write colours only as enumerated codes, so their header is copied bit by bit, with the colour
description replaced by "see the profile"; the profile follows the header, in a prefix code in which each byte
stands for itself. The frames are unchanged: lossless samples are stored as given, whatever they mean.
"""

from dataclasses import dataclass

from defocusctl.photo.header import damaged

SIGNATURE = b"\xff\x0a"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
LARGE_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))
PREVIEW_SIZES = ((1, 6), (65, 8), (321, 10), (1345, 12))
PREVIEW_BLOCKS = ((16, 0), (32, 0), (1, 5), (33, 9))
TICKS = ((100, 0), (1000, 0), (1, 10), (1, 30))
TICK_DIVISORS = ((1, 0), (1001, 0), (1, 8), (1, 10))
REPETITIONS = ((0, 0), (0, 3), (0, 16), (0, 32))
INTEGER_DEPTHS = ((8, 0), (10, 0), (12, 0), (1, 6))
FLOAT_DEPTHS = ((32, 0), (16, 0), (24, 0), (1, 6))
EXTRA_CHANNELS = ((0, 0), (1, 0), (2, 4), (1, 12))
ENUMERATION = ((0, 0), (1, 0), (2, 4), (18, 6))
SHIFTS = ((0, 0), (3, 0), (4, 0), (1, 3))
NAME_LENGTHS = ((0, 0), (0, 4), (16, 5), (48, 10))
ALPHA, SPOT_COLOUR, BLACK, FILTER_ARRAY = 0, 2, 4, 5
FILTER_NUMBERS = ((1, 0), (0, 2), (3, 4), (19, 8))

GREY, D65, SRGB = 1, 1, 1
HEADER_BYTES = 128
PREDICTED = {8: b"\4", 12: b"mntrRGB XYZ ", 36: b"acsp", 68: b"\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d"}
PLATFORMS = {b"A": b"PPL", b"M": b"SFT"}
LONG_PLATFORMS = {b"SG": b"I ", b"SU": b"NW"}
INSERT = 1
CONTEXTS_IN_ONE_CLUSTER, NO_REPEATS, PREFIX_CODE = "100", "0", "1"


@dataclass(frozen=True)
class CodestreamHeader:
    """The header's description of the stored picture, before its orientation is applied.

    ``extended`` means that it has fields for orientation, preview, animation and tone mapping, ``lossy`` that
    colours are XYB, ``black`` that an extra channel is K. ``alpha`` is the index of the first alpha among
    them.
    """

    width: int
    height: int
    extended: bool = False
    animated: bool = False
    bits: int = 8
    extra_channels: int = 0
    alpha: int | None = None
    alpha_associated: bool = False
    black: bool = False
    lossy: bool = True


def read_header(codestream: bytes) -> CodestreamHeader:
    if not codestream.startswith(SIGNATURE):
        raise damaged("its codestream does not begin as it should")
    return _read_header(Bits(codestream[2:2050]))


class Bits:
    """Reads numbers from bytes, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")
        self._end = 8 * len(data)
        self.position = 0

    def take(self, count: int) -> int:
        if self.position + count > self._end:
            raise damaged("its codestream is cut short")
        value = self._bits >> self.position & ((1 << count) - 1)
        self.position += count
        return value

    def choose(self, distributions: tuple[tuple[int, int], ...]) -> int:
        """A number in one of four encodings, each an offset and a number of bits to add."""
        offset, count = distributions[self.take(2)]
        return offset + self.take(count)


def read_size(bits: Bits) -> tuple[int, int]:
    """Height and width of the stored picture."""
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.choose(LARGE_SIZES)
    ratio = bits.take(3)
    if ratio:
        across, down = RATIOS[ratio - 1]
        return height, height * across // down
    return height, 8 * (bits.take(5) + 1) if small else bits.choose(LARGE_SIZES)


def read_depth(bits: Bits) -> int:
    """The number of bits of a sample, integer or floating-point."""
    if not bits.take(1):
        return bits.choose(INTEGER_DEPTHS)
    depth = bits.choose(FLOAT_DEPTHS)
    bits.take(4)  # the exponent's
    return depth


def _read_header(bits: Bits) -> CodestreamHeader:
    height, width = read_size(bits)
    if bits.take(1):  # all_default
        return CodestreamHeader(width, height)
    animated = False
    if extended := bool(bits.take(1)):
        bits.take(3)  # the orientation
        if bits.take(1):
            read_size(bits)
        if bits.take(1):  # the preview's size
            way = PREVIEW_BLOCKS if bits.take(1) else PREVIEW_SIZES
            bits.choose(way)
            if not bits.take(3):
                bits.choose(way)
        animated = bool(bits.take(1))
        if animated:
            for way in TICKS, TICK_DIVISORS, REPETITIONS:
                bits.choose(way)
            bits.take(1)
    depth = read_depth(bits)
    bits.take(1)  # whether 16-bit buffers suffice
    extra = bits.choose(EXTRA_CHANNELS)
    channels = [_extra_channel(bits) for _ in range(extra)]
    kinds = [kind for kind, _ in channels]
    alpha = kinds.index(ALPHA) if ALPHA in kinds else None
    associated = alpha is not None and channels[alpha][1]
    black, lossy = BLACK in kinds, bool(bits.take(1))
    return CodestreamHeader(width, height, extended, animated, depth, extra, alpha, associated, black, lossy)


def _extra_channel(bits: Bits) -> tuple[int, bool]:
    """The kind of an extra channel, and whether the colours are multiplied by it."""
    if bits.take(1):  # straight alpha of 8 bits
        return ALPHA, False
    kind = bits.choose(ENUMERATION)
    read_depth(bits)
    bits.choose(SHIFTS)
    bits.take(8 * bits.choose(NAME_LENGTHS))
    if kind == SPOT_COLOUR:
        bits.take(64)
    elif kind == FILTER_ARRAY:
        bits.choose(FILTER_NUMBERS)
    return kind, kind == ALPHA and bool(bits.take(1))


def with_profile(codestream: bytes, profile: bytes) -> bytes:
    """A lossless codestream that was encoded as sRGB or grey, with this profile instead.

    Raises:
        ValueError: if its header is not what libjxl writes for such pictures.
    """
    bits = Bits(codestream[2:2050])
    header = _read_header(bits)
    if header.lossy:
        raise ValueError("a lossy codestream")
    before = bits.position
    grey = _skip_colours(bits)
    after = bits.position
    tone_mapped = header.extended and not bits.take(1)
    if tone_mapped or bits.take(2) or not bits.take(1):
        raise ValueError("tone mapping, extensions or a custom transform")
    end = bits.position
    text = "".join(f"{byte:08b}"[::-1] for byte in codestream[2 : 2 + -(-end // 8)])  # lowest bit first
    described = "0" + "1" + ("10" if grey else "00")  # not all_default, with a profile, the colour space
    replaced = text[:before] + described + text[after:end] + _coded(_predicted_away(profile))
    return SIGNATURE + _as_bytes(replaced) + codestream[2 + -(-end // 8) :]


def _skip_colours(bits: Bits) -> bool:
    """Skip enumerated colours with the white point and primaries of sRGB; True if they are grey."""
    if bits.take(1):
        return False
    described = bits.take(1)  # by a profile
    grey = bits.choose(ENUMERATION) == GREY
    if described or bits.choose(ENUMERATION) != D65 or not (grey or bits.choose(ENUMERATION) == SRGB):
        raise ValueError("other colours than sRGB's")
    if bits.take(1):
        bits.take(24)
    else:
        bits.choose(ENUMERATION)
    bits.choose(ENUMERATION)
    return grey


def _predicted_away(profile: bytes) -> bytes:
    """The profile as the format stores it: its header minus the predicted one, the rest as one insertion."""
    header = bytearray(HEADER_BYTES)
    header[:4] = len(profile).to_bytes(4, "big")
    for place, value in PREDICTED.items():
        header[place : place + len(value)] = value
    header[80:84] = profile[4:8]
    if rest := PLATFORMS.get(profile[40:41]):
        header[41:44] = rest
    elif rest := LONG_PLATFORMS.get(profile[40:42]):
        header[42:44] = rest
    residual = bytes((a - b) % 256 for a, b in zip(profile[:HEADER_BYTES], header, strict=True))
    body = profile[HEADER_BYTES:]
    commands = _varint(0) + bytes([INSERT]) + _varint(len(body))
    return _varint(len(profile)) + _varint(len(commands)) + commands + residual + body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _coded(content: bytes) -> str:
    """The bits of a length and of a byte stream in which every byte has an eight-bit code.

    All contexts share one code, in which all 256 symbols have length 8, so the table needs no bits per
    symbol; codes are in the order of the symbols, highest bit first.
    """
    whole_bytes = _number(8, 4) + _number(0, 4) + _number(0, 4)  # 256 tokens, no extra bits
    symbols = "1" + _number(7, 4) + _number(127, 7)  # 1 + 128 + 127 of them
    order = (1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    table = _number(0, 2) + "".join("10" if length == 8 else "00" for length in order)
    code = NO_REPEATS + CONTEXTS_IN_ONE_CLUSTER + PREFIX_CODE + whole_bytes + symbols + table
    return _long_number(len(content)) + code + "".join(f"{byte:08b}" for byte in content)


def _number(value: int, count: int) -> str:
    return f"{value:0{count}b}"[::-1]


def _long_number(value: int) -> str:
    """The format's variable-length number, of at least 17: up to 272, or in groups of bits."""
    if value <= 272:
        return _number(2, 2) + _number(value - 17, 8)
    text = _number(3, 2) + _number(value & 0xFFF, 12)
    value >>= 12
    while value:
        text += "1" + _number(value & 0xFF, 8)
        value >>= 8
    return text + "0"


def _as_bytes(bits: str) -> bytes:
    padded = bits + "0" * (-len(bits) % 8)
    return int(padded[::-1], 2).to_bytes(len(padded) // 8, "little")
