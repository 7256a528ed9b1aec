"""Turns write failures of standard output (full disk, closed pipe) into errors of this program.

Failures of standard error are ignored: there is nowhere left to report them.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

from defocusctl.errors import OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Guarded(io.RawIOBase):
    """The bytes of a stream; after a failure the rest is discarded, so that it is reported at most once."""

    def __init__(self, stream: BinaryIO, *, reports: bool) -> None:
        self._stream = stream
        self._reports = reports

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
            if not self._reports:
                return memoryview(data).nbytes
            raise OutputError(
                f"cannot write to standard output ({error.strerror})",
                "redirect it elsewhere, or write to a file",
            ) from error


def guard_standard_streams() -> None:
    """Make ``sys.stdout`` raise OutputError if writing fails, and ``sys.stderr`` ignore it.

    Both escape what they cannot encode. Closed streams fail in the same way; their file descriptors are
    taken, so that no file of ours gets them.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDONLY)  # so that writing fails
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            closed = io.BufferedWriter(io.FileIO(number, "wb", closefd=False))
            stream = io.TextIOWrapper(closed, encoding="utf-8", line_buffering=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # keeps it open, as of any other stream
    sys.stdout = _guarded(sys.stdout, reports=True)
    sys.stderr = _guarded(sys.stderr, reports=False)


def _guarded(plain: TextIO, *, reports: bool) -> TextIO:
    if not isinstance(plain, io.TextIOWrapper) or isinstance(getattr(plain.buffer, "raw", None), _Guarded):
        return plain  # not a file, or guarded already
    return io.TextIOWrapper(
        io.BufferedWriter(_Guarded(plain.buffer, reports=reports)),
        encoding=plain.encoding,
        errors="backslashreplace",
        line_buffering=plain.line_buffering,
    )
