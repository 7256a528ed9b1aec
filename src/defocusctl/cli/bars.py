"""What long work shows on stderr: bars at a terminal, elsewhere plain lines.

The first line comes after ten seconds, so that an error that is found soon stays the only line; the following
ones come at growing intervals, so that logs stay short.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Protocol

from rich.console import RenderableType
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from defocusctl.cli.console import console, plain, say
from defocusctl.errors import printable

FIRST_LINE = 10.0  # seconds after which work that goes on is named in a plain line
LONGEST_PAUSE = 60.0
TICK = 0.5
SPEED_PERIOD = 600.0  # seconds that the time left is estimated from: a tile can take many


class Advance(Protocol):
    """Called with the parts done and in total, and a remark for the line below the bar."""

    def __call__(self, done: int, total: int, remark: str = "") -> None: ...


class Words(ProgressColumn):
    """The description of a task, or one of its fields, in a progress bar."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__()
        self._field = field

    def render(self, task: Task) -> Text:
        return plain(task.description if self._field is None else task.fields[self._field])


def counted(task: Task) -> str:
    """The parts done and in total, if that is known, and the task's remark, if it has one."""
    parts = "" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}"
    return f"{parts} {task.fields.get('remark', '')}".strip()


class Bars(Progress):
    """Progress bars, with a remark on a line of its own, cut off where the terminal ends.

    Elsewhere than at a terminal, and where it is ``quiet``, nothing is drawn.
    """

    remark = ""

    def __init__(self, *columns: ProgressColumn, quiet: bool, transient: bool = True) -> None:
        super().__init__(
            *columns,
            console=console(),
            transient=transient,
            disable=quiet or not console().is_interactive,
            speed_estimate_period=SPEED_PERIOD,
        )
        self.quiet = quiet

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        if self.remark:
            yield Text(printable(self.remark), style="dim", no_wrap=True, overflow="ellipsis")

    @contextmanager
    def lines(self, text: Callable[[Task], str] = counted) -> Iterator[None]:
        """Where no bars are drawn, say in lines of ``text`` how far the tasks are, unless ``quiet``."""
        if self.quiet or not self.disable:
            yield
            return
        due: dict[TaskID, float] = {}
        ended = Event()

        def print_due(tasks: list[Task]) -> None:
            for task in tasks:
                elapsed = task.elapsed or 0.0
                if task.visible and elapsed >= due.get(task.id, FIRST_LINE):
                    due[task.id] = elapsed + min(elapsed, LONGEST_PAUSE)
                    say(_line(task, text(task)))

        def print_until_ended() -> None:
            while not ended.wait(TICK):
                print_due(self.tasks)

        thread = Thread(target=print_until_ended, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            print_due([task for task in self.tasks if task.id not in due])  # ended between two checks


def _line(task: Task, text: str) -> str:
    left = task.time_remaining
    parts = (text, f"{timedelta(seconds=round(left))} left" if left else "")
    done = ", ".join(part for part in parts if part)
    what = task.description.strip()
    return f"{what}: {done}" if done else f"{what} ..."


@contextmanager
def doing(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Say what is being done, with the time that it has taken: work of which no parts are known."""
    bars = Bars(SpinnerColumn(), Words(), TimeElapsedColumn(), quiet=quiet)
    bars.add_task(what, total=None)
    with bars, bars.lines():
        yield


@contextmanager
def tile_bar(
    title: str, megapixels: Callable[[], float], *, quiet: bool
) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over the tiles of one photo, with megapixels per second and the time left."""
    bars = Bars(
        Words(), BarColumn(), MofNCompleteColumn(), Words("remark"), TimeRemainingColumn(), quiet=quiet
    )
    task = bars.add_task(title, total=None, remark="reading")

    def advance(done: int, total: int) -> None:
        elapsed = bars.tasks[0].elapsed or 0.0
        share = done / total if total else 1.0  # in a photo that is in focus, there is nothing to do
        rate = f"tiles, {megapixels() * share / elapsed:.2f} MP/s" if elapsed > 0 else "tiles"
        bars.update(task, completed=done, total=total, remark="tiles, writing" if done == total else rate)

    with bars, bars.lines():
        yield advance


@contextmanager
def step_bar(title: str, *, quiet: bool = False) -> Iterator[Advance]:
    """A progress bar over steps or images.

    It is drawn only from the first call on: until then the total is unknown, and there may be an error.
    """
    start = ExitStack()
    bars = Bars(
        Words(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        quiet=quiet,
        transient=False,
    )
    task = bars.add_task(title, total=None, visible=False)

    def advance(done: int, total: int, remark: str = "") -> None:
        start.close()
        bars.remark = remark
        bars.update(task, completed=done, total=total, visible=True)
        bars.start()

    try:
        with start, bars.lines(lambda task: ", ".join(filter(None, (counted(task), bars.remark)))):
            start.enter_context(doing(f"{title}: starting", quiet=quiet))
            yield advance
    finally:
        if bars.live.is_started:
            bars.stop()


@contextmanager
def download_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar over the bytes of a download; shown only once the first ones arrive."""
    bars = Bars(
        Words(), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(), quiet=quiet
    )
    task = bars.add_task(title, total=None, visible=False)
    with bars, bars.lines(_bytes):
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)


def _bytes(task: Task) -> str:
    whole = "" if task.total is None else f" of {decimal(int(task.total))}"
    return f"{decimal(int(task.completed))}{whole}"
