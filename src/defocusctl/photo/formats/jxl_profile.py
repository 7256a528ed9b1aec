"""Inserts an ICC profile into the header of a JPEG XL codestream (ISO/IEC 18181-1, annexes C to E).

The encoders available to Python write colours only as enumerated codes. Their header is therefore copied bit
by bit, with the colour description replaced by "see the profile"; the profile follows the header, in a prefix
code in which each byte stands for itself. The frames are unchanged: lossless samples are stored as given,
whatever they mean.
"""

from defocusctl.photo.formats.jxl_header import (
    ALPHA,
    ENUMERATION,
    EXTRA_CHANNELS,
    NAME_LENGTHS,
    SHIFTS,
    SIGNATURE,
    Bits,
    read_size,
    skip_depth,
)

GREY, D65, SRGB = 1, 1, 1
HEADER_BYTES = 128
PREDICTED = {8: b"\4", 12: b"mntrRGB XYZ ", 36: b"acsp", 68: b"\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d"}
PLATFORMS = {b"A": b"PPL", b"M": b"SFT"}
LONG_PLATFORMS = {b"SG": b"I ", b"SU": b"NW"}
INSERT = 1
CONTEXTS_IN_ONE_CLUSTER, NO_REPEATS, PREFIX_CODE = "100", "0", "1"


def with_profile(codestream: bytes, profile: bytes) -> bytes:
    """A lossless codestream that was encoded as sRGB or grey, with this profile instead.

    Raises:
        ValueError: if its header is not what libjxl writes for such pictures.
    """
    before, after, end, grey = _colour_description(codestream)
    bits = _as_text(codestream[2 : 2 + -(-end // 8)])
    described = "0" + "1" + ("10" if grey else "00")  # not all_default, with a profile, the colour space
    header = bits[:before] + described + bits[after:end] + _coded(_predicted_away(profile))
    return SIGNATURE + _as_bytes(header) + codestream[2 + -(-end // 8) :]


def _colour_description(codestream: bytes) -> tuple[int, int, int, bool]:
    """Start and end of the colour description, end of the header, and whether the picture is grey."""
    bits = Bits(codestream[2:2050])
    read_size(bits)
    if bits.take(1):
        raise ValueError("a lossy codestream")
    further = bits.take(1)
    if further and bits.take(6):
        raise ValueError("an orientation, a preview or an animation")
    skip_depth(bits)
    bits.take(1)
    for _ in range(bits.choose(EXTRA_CHANNELS)):
        _skip_channel(bits)
    if bits.take(1):
        raise ValueError("a lossy codestream")
    before = bits.position
    grey = _skip_colours(bits)
    after = bits.position
    if further and not bits.take(1):
        raise ValueError("tone mapping")
    if bits.take(2):
        raise ValueError("extensions")
    if not bits.take(1):
        raise ValueError("a custom transform")
    return before, after, bits.position, grey


def _skip_channel(bits: Bits) -> None:
    if bits.take(1):  # alpha of 8 bits
        return
    if bits.choose(ENUMERATION) != ALPHA:
        raise ValueError("a channel beside colours and alpha")
    skip_depth(bits)
    bits.choose(SHIFTS)
    bits.take(8 * bits.choose(NAME_LENGTHS))
    bits.take(1)


def _skip_colours(bits: Bits) -> bool:
    """Skip enumerated colours with the white point and primaries of sRGB; True if they are grey."""
    if bits.take(1):
        return False
    if bits.take(1):
        raise ValueError("a profile already")
    grey = bits.choose(ENUMERATION) == GREY
    if bits.choose(ENUMERATION) != D65 or (not grey and bits.choose(ENUMERATION) != SRGB):
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
    return f"{value:0{count}b}"[::-1] if count else ""


def _long_number(value: int) -> str:
    """The format's variable-length number: 0, 1 to 16, 17 to 272, or in groups of bits."""
    if value <= 16:
        return _number(0, 2) if value == 0 else _number(1, 2) + _number(value - 1, 4)
    if value <= 272:
        return _number(2, 2) + _number(value - 17, 8)
    text = _number(3, 2) + _number(value & 0xFFF, 12)
    value >>= 12
    while value:
        text += "1" + _number(value & 0xFF, 8)
        value >>= 8
    return text + "0"


def _as_text(data: bytes) -> str:
    return "".join(f"{byte:08b}"[::-1] for byte in data)


def _as_bytes(bits: str) -> bytes:
    padded = bits + "0" * (-len(bits) % 8)
    return int(padded[::-1], 2).to_bytes(len(padded) // 8, "little")
