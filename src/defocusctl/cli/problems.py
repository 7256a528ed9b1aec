"""Turns every exception into an error of this program, with one line and an exit code."""

from typing import Any

from typer import TyperException

from defocusctl.errors import BugError, DefocusctlError, UsageError


def as_problem(error: Exception) -> DefocusctlError:
    """Errors of this program unchanged, those of the command-line parser in our form, others as bugs."""
    if isinstance(error, DefocusctlError):
        return error
    if isinstance(error, TyperException):
        message = " ".join(error.format_message().split()).rstrip(".")
        context = _context(error)
        command = context.command_path if context else "defocusctl"
        return UsageError(message[:1].lower() + message[1:], f"see '{command} --help'")
    return BugError(error)


def requested_help(error: Exception) -> str | None:
    """The help text that the parser raises as an error for a command called without its arguments."""
    context = _context(error)
    if isinstance(error, TyperException) and context and error.message == context.get_help():
        return error.message
    return None


def _context(error: Exception) -> Any:
    """The parser's context, if known."""
    return getattr(error, "ctx", None)
