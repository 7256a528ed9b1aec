"""The program: subcommands, guarded output streams, and how errors become one line and an exit code."""

import io
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from defocusctl import __version__
from defocusctl.cli import datasets, deblur, export, info, reproduce, serve, train, weights
from defocusctl.cli.batch_options import batch
from defocusctl.cli.console import as_problem, put, requested_help, say_error
from defocusctl.cli.eval_options import evaluate
from defocusctl.cli.options import command_of
from defocusctl.errors import ExitCode, InputError, InterruptedByUserError, OutputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DEBUG = "--debug"


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Remove out-of-focus blur from single photographs.",
    epilog="Exit codes: 0 done, 2 usage, 3 input, 4 output, 5 weights, 6 device or memory, "
    "7 some of several inputs failed, 8 recipe or data, 9 figures not as expected, 130 interrupted, "
    "1 a bug in this program.",
)
app.command("deblur")(command_of(deblur.deblur))
app.command("batch")(command_of(batch))
app.command("train")(train.train)
app.command("contact-sheet")(train.contact_sheet)
app.command("eval")(command_of(evaluate))
app.command("reproduce")(command_of(reproduce.reproduce))
app.command("export")(export.export)
app.command("serve")(command_of(serve.serve))
app.command("info")(info.info)
app.add_typer(weights.app, name="weights")
app.add_typer(datasets.app, name="datasets")


def _print_version(requested: bool) -> None:
    if requested:
        put(f"defocusctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error; works anywhere on the command line.")
    ] = False,
) -> None:
    """The program's own options, handled before a command runs."""
    del version, debug


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    debug = DEBUG in arguments
    guard_standard_streams()
    sys.exit(run([argument for argument in arguments if argument != DEBUG], debug=debug))


def run(arguments: list[str], *, debug: bool) -> int:
    """Run one command and return its exit code; an error is one line on stderr."""
    try:
        _check_folder()
        code = app(args=arguments, prog_name="defocusctl", standalone_mode=False)
        sys.stdout.flush()
        if code == ExitCode.INTERRUPTED:  # what Typer makes of Ctrl-C
            raise InterruptedByUserError
    except Exception as error:
        if text := requested_help(error):
            typer.echo(text, err=True)
            return int(ExitCode.USAGE)
        if debug:
            traceback.print_exc()
        problem = as_problem(error)
        say_error(str(problem))
        return int(problem.exit_code)
    return int(code or ExitCode.OK)


def _check_folder() -> None:
    """Refuse to work in a folder that was deleted, where libraries fail without a helpful word."""
    try:
        Path.cwd()
    except OSError as error:
        cause = f"the current folder cannot be used ({error.strerror})"
        raise InputError(cause, "change to another") from error


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
            cause = f"cannot write to standard output ({error.strerror})"
            raise OutputError(cause, "redirect it elsewhere, or write to a file") from error


def guard_standard_streams() -> None:
    """Make ``sys.stdout`` raise OutputError if writing fails, and ``sys.stderr`` ignore it.

    Both escape what they cannot encode. Closed streams fail in the same way; their file descriptors are
    taken, so that no file of ours gets them.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - takes descriptor 0
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
