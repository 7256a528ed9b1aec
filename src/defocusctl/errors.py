"""The errors a user can meet. Each names its cause and its remedy, and carries the exit code of the command.

``DefocusctlError`` is the root; the command line prints its one line and ends with ``exit_code``.
Anything else that reaches the command line is a bug of this program.
"""

import unicodedata
from enum import IntEnum

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of what a terminal obeys, what turns the order of a line, what no encoding holds, line ends."""
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Parts of words and of emoji."""


class ExitCode(IntEnum):
    """The exit codes of the process; documented for users in ``docs/cli.md``."""

    OK = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    OUTPUT = 4
    WEIGHTS = 5
    DEVICE = 6
    SOME_FAILED = 7
    DATA = 8
    EXPECTATION = 9
    INTERRUPTED = 130


class DefocusctlError(Exception):
    """A problem the user can understand and fix: one line of cause, one of remedy."""

    exit_code = ExitCode.BUG

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        """Cause and remedy in one line, safe to print."""
        return printable(f"{self.cause}: {self.remedy}" if self.remedy else self.cause)


class BugError(DefocusctlError):
    """What no one foresaw."""

    def __init__(self, error: Exception) -> None:
        message = " ".join(str(error).split())
        super().__init__(
            f"a bug of defocusctl ({type(error).__name__}: {message})", "please report it with --debug"
        )
        self.__cause__ = error


class UsageError(DefocusctlError):
    """Options or arguments that do not fit together or lie outside their range."""

    exit_code = ExitCode.USAGE


class ModelError(DefocusctlError):
    """A network that no one has heard of, or whose package is broken."""

    exit_code = ExitCode.USAGE


class InputError(DefocusctlError):
    """A photo that is missing, unreadable, damaged, or of a kind this program does not handle."""

    exit_code = ExitCode.INPUT


class OutputError(DefocusctlError):
    """A result that cannot be written where it was asked for, or must not be."""

    exit_code = ExitCode.OUTPUT


class WeightsError(DefocusctlError):
    """Weights that are unknown, unavailable, not what their hash says, or of another model."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(DefocusctlError):
    """A device or precision that this machine does not have, or too little memory on it."""

    exit_code = ExitCode.DEVICE


class SomeFailedError(DefocusctlError):
    """Several inputs were given, and some of them failed; the others are done."""

    exit_code = ExitCode.SOME_FAILED


class DataError(DefocusctlError):
    """A recipe or data set for training or evaluation that is not as it should be."""

    exit_code = ExitCode.DATA


class ExpectationError(DefocusctlError):
    """Measured figures that are not what was expected of them."""

    exit_code = ExitCode.EXPECTATION


class InterruptedByUserError(DefocusctlError):
    """Ctrl-C: finished outputs stay, the unfinished one leaves nothing."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, remedy: str = "what was finished is kept") -> None:
        super().__init__("interrupted", remedy)


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
