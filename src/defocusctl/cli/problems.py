"""Every exception as an error of this program, with its one line and its exit code."""

from typer._click.exceptions import UsageError as ClickUsageError

from defocusctl.errors import BugError, DefocusctlError, UsageError


def as_problem(error: Exception) -> DefocusctlError:
    """An error of this program as it is, one of the command line's parser in our form, others as a bug."""
    if isinstance(error, DefocusctlError):
        return error
    if isinstance(error, ClickUsageError):
        message = error.format_message().rstrip(".")
        command = error.ctx.command_path if error.ctx else "defocusctl"
        return UsageError(message[:1].lower() + message[1:], f"see '{command} --help'")
    return BugError(error)
