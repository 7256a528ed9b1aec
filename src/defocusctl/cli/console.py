"""Everything that is shown: results on stdout; messages and progress on stderr.

Control characters and markup in names and other foreign text are escaped here.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text
from typer import TyperException

from defocusctl.errors import BugError, DefocusctlError, UsageError, printable

console = Console(stderr=True, highlight=False, soft_wrap=True)

Advance = Callable[[int, int], None]
"""Called with the parts done and in total."""


def say(line: str) -> None:
    """One plain line."""
    console.print(plain(line))


def say_error(line: str) -> None:
    """One line that begins with a red 'error:'."""
    console.print(Text.assemble(("error: ", "bold red"), plain(line)))


def say_warning(line: str) -> None:
    """One line that begins with a yellow 'warning:'."""
    console.print(Text.assemble(("warning: ", "bold yellow"), plain(line)))


def put(line: str) -> None:
    """One line of a result on stdout."""
    print(printable(line), flush=True)


def put_json(value: Any, *, indent: int | None = None) -> None:
    """One JSON value on stdout, in ASCII, so that stdout can have any encoding."""
    print(json.dumps(value, indent=indent), flush=True)


def put_table(table: Table) -> None:
    """A table on stdout; its cells should be ``plain``."""
    Console(highlight=False).print(table)


def plain(text: str, style: str = "") -> Text:
    """``text`` as Rich shows it: no markup, no control characters."""
    return Text(printable(text), style)


class Words(ProgressColumn):
    """The description of a task, or one of its fields, in a progress bar."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Text:
        return plain(task.description if self._field is None else task.fields[self._field])


@contextmanager
def tile_bar(title: str, megapixels: Callable[[], float], *, quiet: bool) -> Iterator[Advance]:
    """A progress bar over the tiles of one photo, with megapixels per second and the time left."""
    columns = (
        Words(),
        BarColumn(),
        MofNCompleteColumn(),
        Words("rate"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=None, rate="tiles")

        def advance(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed or 0.0
            share = done / total if total else 1.0  # in a photo that is in focus, there is nothing to do
            rate = f"tiles {megapixels() * share / elapsed:.2f} MP/s" if elapsed > 0 else "tiles"
            progress.update(task, completed=done, total=total, rate=rate)

        yield advance


class _RemarkedProgress(Progress):
    """A bar with a remark on a line of its own, cut off where the terminal ends."""

    remark = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        if self.remark:
            yield Text(printable(self.remark), style="dim", no_wrap=True, overflow="ellipsis")


@contextmanager
def step_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar over steps or images; call it with the number done, the total, and a remark below.

    It is drawn only from the first call on: until then the total is unknown, and there may be an error.
    """
    columns = (
        Words(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = _RemarkedProgress(*columns, console=console, disable=quiet)
    task = progress.add_task(title, total=None)

    def advance(done: int, total: int, remark: str) -> None:
        progress.remark = remark
        progress.update(task, completed=done, total=total)
        progress.start()

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def download_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar over the bytes of a download; shown only once the first ones arrive."""
    from rich.progress import DownloadColumn, TransferSpeedColumn

    columns = (
        Words(),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


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
