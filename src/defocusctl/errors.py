"""The errors that users see. Each states its cause and remedy, and carries the command's exit code.

``DefocusctlError`` is the base class; the command line prints one line and exits with its ``exit_code``.
Any other exception that reaches the command line is a bug.
"""

import unicodedata
from enum import IntEnum

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control and bidirectional characters, lone surrogates and line separators."""
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Format characters that occur in words and emoji."""


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
    """An unexpected error: a bug in this program."""

    def __init__(self, error: Exception) -> None:
        message = " ".join(str(error).split())
        super().__init__(
            f"a bug in defocusctl ({type(error).__name__}: {message})", "please report it with --debug"
        )
        self.__cause__ = error


class UsageError(DefocusctlError):
    """Options or arguments that do not fit together or lie outside their range."""

    exit_code = ExitCode.USAGE


class ModelError(DefocusctlError):
    """A network that is unknown, or whose package is broken."""

    exit_code = ExitCode.USAGE


class InputError(DefocusctlError):
    """A photo that is missing, unreadable, damaged, or of a kind this program does not handle."""

    exit_code = ExitCode.INPUT


class OutputError(DefocusctlError):
    """A result that cannot, or must not, be written where requested."""

    exit_code = ExitCode.OUTPUT


class WeightsError(DefocusctlError):
    """Weights that are unknown, unavailable, fail their checksum, or belong to another model."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(DefocusctlError):
    """A device or precision that this machine lacks, or too little memory."""

    exit_code = ExitCode.DEVICE


class SomeFailedError(DefocusctlError):
    """Some of several inputs failed; the others are done."""

    exit_code = ExitCode.SOME_FAILED


class DataError(DefocusctlError):
    """An invalid recipe or dataset for training or evaluation."""

    exit_code = ExitCode.DATA


class ExpectationError(DefocusctlError):
    """Measured figures that differ from the expected ones."""

    exit_code = ExitCode.EXPECTATION


class InterruptedByUserError(DefocusctlError):
    """Ctrl-C: finished outputs are kept, the unfinished one is removed."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, remedy: str = "finished results are kept") -> None:
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
    """The character as a Python escape; a surrogate-escaped byte as ``\\xNN``."""
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(character)[1:-1]
