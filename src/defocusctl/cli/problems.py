"""Every exception as an error of this program, with its one line and its exit code."""

from typing import Any

from typer import TyperException

from defocusctl.errors import BugError, DefocusctlError, UsageError


def as_problem(error: Exception) -> DefocusctlError:
    """An error of this program as it is, one of the command line's parser in our form, others as a bug."""
    if isinstance(error, DefocusctlError):
        return error
    if isinstance(error, TyperException):
        message = " ".join(error.format_message().split()).rstrip(".")
        context = _context(error)
        command = context.command_path if context else "defocusctl"
        return UsageError(message[:1].lower() + message[1:], f"see '{command} --help'")
    return BugError(error)


def help_called_for(error: Exception) -> str | None:
    """The help of a command that needs arguments and was given none, which the parser raises as an error."""
    context = _context(error)
    if isinstance(error, TyperException) and context and error.message == context.get_help():
        return error.message
    return None


def _context(error: Exception) -> Any:
    """Where on the command line the parser was, if that is known."""
    return getattr(error, "ctx", None)
