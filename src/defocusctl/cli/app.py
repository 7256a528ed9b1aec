"""The program: subcommands, and how errors become one line and an exit code."""

import sys
import traceback
from typing import Annotated

import typer

from defocusctl import __version__
from defocusctl.cli import batch, datasets, deblur, export, info, train, weights
from defocusctl.cli import eval as eval_command
from defocusctl.cli.batch_options import BatchCall
from defocusctl.cli.console import put, say_error
from defocusctl.cli.deblur_options import DeblurCall
from defocusctl.cli.options import command_of
from defocusctl.cli.problems import as_problem, requested_help
from defocusctl.cli.standard_output import guard_standard_streams
from defocusctl.errors import ExitCode, InterruptedByUserError

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
app.command("deblur")(command_of(DeblurCall, deblur.deblur))
app.command("batch")(command_of(BatchCall, batch.batch))
app.command("train")(train.train)
app.command("contact-sheet")(train.contact_sheet)
app.command("eval")(eval_command.evaluate)
app.command("export")(export.export)
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
