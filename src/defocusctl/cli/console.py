"""Everything that is shown: results on stdout; messages on stderr, as is the progress of ``bars``.

Control characters and markup in names and other foreign text are escaped here. Rich is imported by what draws
with it: it would take a third of the time of ``--help``.
"""

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from typer import TyperException

from defocusctl.errors import BugError, DefocusctlError, InterruptedByUserError, UsageError, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


@cache
def console() -> "Console":
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """One plain line."""
    console().print(plain(line))


def say_error(line: str) -> None:
    """One line that begins with a red 'error:'."""
    _say_marked("error: ", "bold red", line)


def say_warning(line: str) -> None:
    """One line that begins with a yellow 'warning:'."""
    _say_marked("warning: ", "bold yellow", line)


def _say_marked(mark: str, style: str, line: str) -> None:
    from rich.text import Text

    console().print(Text.assemble((mark, style), plain(line)))


def put(line: str) -> None:
    """One line of a result on stdout."""
    print(printable(line), flush=True)


def put_json(value: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout, in ASCII, so that stdout can have any encoding."""
    print(json.dumps(value, indent=indent), flush=True)


def put_table(table: "Table") -> None:
    """A table on stdout; its cells should be ``plain``."""
    from rich.console import Console

    Console(highlight=False).print(table)


def plain(text: str, style: str = "") -> "Text":
    """``text`` as Rich shows it: no markup, no control characters."""
    from rich.text import Text

    return Text(printable(text), style)


def as_problem(error: Exception | KeyboardInterrupt) -> DefocusctlError:
    """Errors of this program unchanged, those of the command-line parser in our form, others as bugs."""
    if isinstance(error, DefocusctlError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return InterruptedByUserError()
    if isinstance(error, TyperException):
        message = " ".join(error.format_message().split()).rstrip(".")
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "defocusctl"
        message = re.sub(r"\. (Did you mean .*)\?$", r" (\1?)", message)
        return UsageError(message[:1].lower() + message[1:], f"see '{command} --help'")
    return BugError(error)


def requested_help(error: Exception) -> str | None:
    """The help text that the parser raises as an error for a command called without its arguments."""
    context = getattr(error, "ctx", None)
    if isinstance(error, TyperException) and context and error.message == context.get_help():
        return error.message
    return None
