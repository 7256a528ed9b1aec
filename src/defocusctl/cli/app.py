"""The program: subcommands, and how errors become one line and an exit code."""

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from defocusctl import __version__
from defocusctl.cli import deblur, info, train, weights
from defocusctl.cli.console import say_error
from defocusctl.cli.options import with_optional_values
from defocusctl.errors import DefocusctlError, ExitCode, InterruptedByUserError

DEBUG = "--debug"


class Commands(TyperGroup):
    """Turns Ctrl-C into an error of this program, which has an exit code of its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise InterruptedByUserError from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half of the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Take the out-of-focus blur out of single photographs.",
    epilog="Exit codes: 0 done, 2 usage, 3 input, 4 output, 5 weights, 6 device or memory, "
    "7 some of several inputs failed, 8 recipe or data, 130 interrupted, 1 a bug of this program.",
)
app.command("deblur")(deblur.deblur)
app.command("train")(train.train)
app.command("contact-sheet")(train.contact_sheet)
app.command("info")(info.info)
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"defocusctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """The options of the program itself; both act before a command runs."""
    del version, debug


def main() -> None:
    """Run the command line; the console script."""
    arguments = sys.argv[1:]
    debug = DEBUG in arguments
    sys.exit(run([argument for argument in arguments if argument != DEBUG], debug=debug))


def run(arguments: list[str], *, debug: bool) -> int:
    """Run one command and answer its exit code; errors are told in one line on stderr."""
    try:
        app(args=with_optional_values(arguments), prog_name="defocusctl")
    except SystemExit as end:
        return int(end.code or 0)
    except DefocusctlError as error:
        if debug:
            traceback.print_exc()
        say_error(str(error))
        return int(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone, as 'head' does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OUTPUT)
    except Exception as error:
        if debug:
            traceback.print_exc()
        say_error(f"a bug of defocusctl ({type(error).__name__}: {error}): please report it with --debug")
        return int(ExitCode.BUG)
    return int(ExitCode.OK)
