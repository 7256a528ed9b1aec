"""Everything that is drawn on the terminal: always on stderr, so that stdout holds results only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(stderr=True, highlight=False, soft_wrap=True)

Advance = Callable[[int, int], None]
"""Told the parts done and the parts in all."""


def say(line: str) -> None:
    """One plain line."""
    console.print(Text(" ".join(line.split())))


def say_error(line: str) -> None:
    """One line that begins with a red 'error:'."""
    console.print(Text.assemble(("error: ", "bold red"), " ".join(line.split())))


def say_warning(line: str) -> None:
    """One line that begins with a yellow 'warning:'."""
    console.print(Text.assemble(("warning: ", "bold yellow"), " ".join(line.split())))


@contextmanager
def tile_bar(title: str, megapixels: Callable[[], float], *, quiet: bool) -> Iterator[Advance]:
    """A progress bar over the tiles of one photo, with megapixels per second and the time left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("tiles {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=None, rate="")

        def advance(done: int, total: int) -> None:
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{megapixels() * done / total / elapsed:.2f} MP/s" if elapsed > 0 else ""
            progress.update(task, completed=done, total=total, rate=rate)

        yield advance


class _RemarkedProgress(Progress):
    """A bar with a remark on a line of its own, cut off where the terminal ends."""

    remark = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        if self.remark:
            yield Text(self.remark, style="dim", no_wrap=True, overflow="ellipsis")


@contextmanager
def step_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar over steps or images; told how many are done and there are, and a remark for below.

    It is drawn from the first that is told: before, there is no total, and perhaps an error instead.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
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
    """A progress bar over the bytes of a download; shown only once some arrive."""
    from rich.progress import DownloadColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
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
