"""Whether an ICC profile is whole and belongs to the pixels (ICC.1:2022, section 7.2)."""

HEADER_BYTES = 128


def is_valid(profile: bytes) -> bool:
    """True for a profile with an intact header, as long as it says, of a known kind of colour."""
    if len(profile) < HEADER_BYTES + 4 or profile[36:40] != b"acsp":
        return False
    return int.from_bytes(profile[:4], "big") <= len(profile) and profile[16:20] in (b"RGB ", b"GRAY")


def fits(profile: bytes, colours: int) -> bool:
    """Whether the profile describes pictures with this number of colours."""
    return profile[16:20] == (b"GRAY" if colours == 1 else b"RGB ")
