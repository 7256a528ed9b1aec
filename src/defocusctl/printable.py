"""Text from names, files and other programs, made safe to print."""

import unicodedata

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of what a terminal obeys, what turns the order of a line, what no encoding holds, line ends."""
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Parts of words and of emoji."""


def printable(text: str) -> str:
    """``text`` with control characters as escapes (``\\n``, ``\\x1b``), so that it is one harmless line."""
    if text.isprintable():
        return text
    return "".join(
        _escaped(character)
        if unicodedata.category(character) in UNSAFE and character not in JOINERS
        else character
        for character in text
    )


def _escaped(character: str) -> str:
    """As Python writes it; a byte that is not UTF-8 as that byte."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(character)[1:-1]
