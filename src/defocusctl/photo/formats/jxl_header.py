"""The first bits of a JPEG XL codestream (ISO/IEC 18181-1, annex D): size, animation, kind of samples.

Read here because the decoder's bindings do not report animations or half floats.
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


@dataclass(frozen=True)
class CodestreamHeader:
    """The header's description of the stored picture, before its orientation is applied.

    ``alpha`` is the index of the first alpha among the extra channels; ``black`` means that one is K.
    """

    width: int
    height: int
    animated: bool
    floating_point: bool
    bits: int
    extra_channels: int
    alpha: int | None = None
    alpha_associated: bool = False
    black: bool = False


def read_header(codestream: bytes) -> CodestreamHeader:
    """Read the header.

    Raises:
        InputError: if this is not a codestream, or it is truncated.
    """
    if not codestream.startswith(SIGNATURE):
        raise damaged("its codestream does not begin as it should")
    bits = Bits(codestream[2:2050])
    height, width = read_size(bits)
    if bits.take(1):  # all_default
        return CodestreamHeader(width, height, False, False, 8, 0)
    animated = False
    if bits.take(1):
        bits.take(3)  # the orientation
        if bits.take(1):
            read_size(bits)
        if bits.take(1):
            _skip_preview(bits)
        animated = bool(bits.take(1))
        if animated:
            _skip_animation(bits)
    floating_point = bool(bits.take(1))
    depth = bits.choose(FLOAT_DEPTHS if floating_point else INTEGER_DEPTHS)
    if floating_point:
        bits.take(4)
    bits.take(1)  # whether 16-bit buffers suffice
    extra = bits.choose(EXTRA_CHANNELS)
    channels = [_extra_channel(bits) for _ in range(extra)]
    kinds = [kind for kind, _ in channels]
    alpha = kinds.index(ALPHA) if ALPHA in kinds else None
    associated = alpha is not None and channels[alpha][1]
    return CodestreamHeader(
        width, height, animated, floating_point, depth, extra, alpha, associated, BLACK in kinds
    )


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


def skip_depth(bits: Bits) -> None:
    """Skip the kind of samples."""
    if bits.take(1):
        bits.choose(FLOAT_DEPTHS)
        bits.take(4)
    else:
        bits.choose(INTEGER_DEPTHS)


def _extra_channel(bits: Bits) -> tuple[int, bool]:
    """The kind of an extra channel, and whether the colours are multiplied by it."""
    if bits.take(1):  # straight alpha of 8 bits
        return ALPHA, False
    kind = bits.choose(ENUMERATION)
    skip_depth(bits)
    bits.choose(SHIFTS)
    bits.take(8 * bits.choose(NAME_LENGTHS))
    if kind == SPOT_COLOUR:
        bits.take(64)
    elif kind == FILTER_ARRAY:
        bits.choose(FILTER_NUMBERS)
    return kind, kind == ALPHA and bool(bits.take(1))


def _skip_animation(bits: Bits) -> None:
    for way in TICKS, TICK_DIVISORS, REPETITIONS:
        bits.choose(way)
    bits.take(1)


def _skip_preview(bits: Bits) -> None:
    way = PREVIEW_BLOCKS if bits.take(1) else PREVIEW_SIZES
    bits.choose(way)
    if not bits.take(3):
        bits.choose(way)
