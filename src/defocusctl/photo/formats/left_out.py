"""One warning about everything in a file that results cannot carry, such as the second block of a kind."""

from collections.abc import Iterable

PADDING = b"\0\xff\t\n\r "
MAX_NAMES = 8
LONGEST_NAME = 24
FURTHER_PICTURES = "further pictures"


def warning(parts: Iterable[str]) -> tuple[str, ...]:
    """One warning that names each of ``parts`` once; none if there are none."""
    names = list(dict.fromkeys(parts))
    if len(names) > MAX_NAMES:
        names = [*names[:MAX_NAMES], f"{len(names) - MAX_NAMES} more"]
    return (f"left out, because the result cannot carry it: {', '.join(names)}",) if names else ()


def first_of(contents: Iterable[bytes | None], another: str, lost: list[str]) -> bytes | None:
    """The first content that is not empty; empty (broken) if all are, None if there are none.

    If another content differs in more than padding, ``another`` is appended to ``lost``.
    """
    given = [content for content in contents if content is not None]
    whole = [content for content in given if content]
    if any(content.rstrip(PADDING) != whole[0].rstrip(PADDING) for content in whole):
        lost.append(another)
    return next(iter(whole), b"" if given else None)


def after_the_end(data: bytes, end: int) -> list[str]:
    """Names for the data after the picture's ``end``: a phone's video, further pictures, or unknown bytes."""
    rest = data[end:]
    content = rest.strip(PADDING)
    if not content:
        return []
    length = f"{len(rest)} byte{'s' * (len(rest) != 1)} after the end of the picture"
    if any(head in rest for head in (b"ftyp", b"mpvd")):
        return [f"the video of a motion photo ({length})"]
    if content.startswith(b"\xd8\xff"):
        return [f"{FURTHER_PICTURES} ({length})"]
    if content.endswith(b"SEFT"):
        return [f"data of a Samsung phone ({length})"]
    return [length]


def printable(name: bytes) -> str:
    """The letters, digits and punctuation at the start of an identifier, shortened."""
    letters = name[:LONGEST_NAME].split(b"\0")[0]
    text = "".join(chr(letter) for letter in letters if 32 < letter < 127)
    return text or "unnamed"
