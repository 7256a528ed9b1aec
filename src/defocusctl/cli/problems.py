"""Every exception as an error of this program, with its one line and its exit code."""

from typer._click.exceptions import UsageError as ClickUsageError

from defocusctl.errors import DefocusctlError, UsageError


class BugError(DefocusctlError):
    """What no one foresaw."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"a bug of defocusctl ({type(error).__name__}: {error})", "please report it with --debug"
        )
        self.__cause__ = error


def as_problem(error: Exception) -> DefocusctlError:
    """An error of this program as it is, one of the command line's parser in our form, others as a bug."""
    if isinstance(error, DefocusctlError):
        return error
    if isinstance(error, ClickUsageError):
        message = error.format_message().rstrip(".")
        command = error.ctx.command_path if error.ctx else "defocusctl"
        return UsageError(message[:1].lower() + message[1:], f"see '{command} --help'")
    return BugError(error)
