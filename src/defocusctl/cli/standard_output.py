"""Turns write failures of standard output (full disk, closed pipe) into errors of this program."""

import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

from defocusctl.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Guarded(io.RawIOBase):
    """The bytes of stdout; after a failure the rest is discarded, so that it is reported only once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            written = self._stream.write(data)
            self._stream.flush()
            return written
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            raise OutputError(
                f"cannot write to standard output ({error.strerror})",
                "redirect it elsewhere, or write to a file",
            ) from error


def guard_standard_output() -> None:
    """Make ``sys.stdout`` raise OutputError if writing fails, and escape what it cannot encode."""
    plain = sys.stdout
    if isinstance(plain, io.TextIOWrapper):
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Guarded(plain.buffer)),
            encoding=plain.encoding,
            errors="backslashreplace",
            line_buffering=plain.line_buffering,
        )
