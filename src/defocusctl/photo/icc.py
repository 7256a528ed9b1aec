"""ICC profiles (ICC.1:2022): whether one is intact and fits the pixels, and adapting it to them."""

import struct

HEADER_BYTES = 128
MAX_TAGS = 100
SPACES = {1: b"GRAY", 3: b"RGB "}  # by the number of colours

COLORANTS = {  # sRGB's, adapted to D50, in 1/65536
    b"rXYZ": (28579, 14581, 912),
    b"gXYZ": (25241, 46981, 6362),
    b"bXYZ": (9376, 3972, 46799),
}
RGB_CURVES, GREY_CURVE, WHITE_POINT = (b"rTRC", b"gTRC", b"bTRC"), b"kTRC", b"wtpt"
TEXTS = (b"desc", b"cprt")


def fitting(profile: bytes, colours: int) -> tuple[bytes | None, list[str]]:
    """The profile of a file for pixels of 1 or 3 colours, if any, and what is wrong with the file's own."""
    length = int.from_bytes(profile[:4], "big")  # what follows is no part of it
    if profile[36:40] != b"acsp" or not HEADER_BYTES + 4 <= length <= len(profile):
        return None, ["broken ICC profile left out"]
    profile = profile[:length]
    if fits(profile, colours):
        return profile, []
    other = for_colours(profile, colours)
    fate = "left out" if other is None else "replaced by one of the same tone curve"
    space, pixels = profile[16:20].decode("ascii", "replace").strip(), "grey" if colours == 1 else "RGB"
    return other, [f"its ICC profile is for {space}, not for {pixels} pixels: {fate}"]


def fits(profile: bytes, colours: int) -> bool:
    """Whether the profile is for pictures with this number of colours."""
    return profile[16:20] == SPACES[colours]


def for_colours(profile: bytes, colours: int) -> bytes | None:
    """The profile if it fits 1 or 3 colours, else one that is equivalent for grey pixels, or None.

    A grey profile's tone curve is used for all three colours, and an RGB profile's common curve for grey:
    where colours are equal, nothing else matters. There is none for profiles with tables instead of curves,
    or with Lab as connection space.
    """
    if fits(profile, colours):
        return profile
    if profile[16:20] not in SPACES.values():
        return None
    tags = _tags(profile)
    curves = {tags.get(name) for name in ((GREY_CURVE,) if colours == 3 else RGB_CURVES)}
    curve = next(iter(curves))
    described = all(name in tags for name in (WHITE_POINT, *TEXTS))
    if len(curves) > 1 or curve is None or not described or b"A2B0" in tags or profile[20:24] != b"XYZ ":
        return None
    kept = {name: tags[name] for name in (*TEXTS, WHITE_POINT)}
    if colours == 1:
        return _profile(profile, SPACES[1], {**kept, GREY_CURVE: curve})
    points = {name: struct.pack(">4s4x3i", b"XYZ ", *point) for name, point in COLORANTS.items()}
    return _profile(profile, SPACES[3], {**kept, **points, **dict.fromkeys(RGB_CURVES, curve)})


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The contents of the profile's tags, by signature; those outside of it are skipped."""
    count = min(int.from_bytes(profile[HEADER_BYTES : HEADER_BYTES + 4], "big"), MAX_TAGS)
    table = profile[HEADER_BYTES + 4 : HEADER_BYTES + 4 + 12 * count]
    entries = struct.iter_unpack(">4sII", table[: len(table) // 12 * 12])
    return {
        name: profile[start : start + size] for name, start, size in entries if start + size <= len(profile)
    }


def _profile(model: bytes, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A new profile with the header of ``model``, for this colour space; equal contents are stored once."""
    table, body = b"", b""
    positions: dict[bytes, int] = {}
    first = HEADER_BYTES + 4 + 12 * len(tags)
    for name, content in tags.items():
        if content not in positions:
            positions[content] = first + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, positions[content], len(content))
    header = bytearray(model[:HEADER_BYTES])
    header[:4] = (first + len(body)).to_bytes(4, "big")
    header[16:20] = space
    header[84:100] = bytes(16)  # the checksum of the other profile
    return bytes(header) + len(tags).to_bytes(4, "big") + table + body
