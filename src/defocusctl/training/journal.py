"""What a run leaves to look at: ``log.jsonl``, TensorBoard events, sample pictures."""

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from defocusctl.errors import DataError, OutputError
from defocusctl.system import atomic
from defocusctl.system.json_lines import JsonLinesWriter, json_line, read_json_lines

LOG, SAMPLES = "log.jsonl", "samples"


def is_log(path: Path) -> bool:
    """Whether a file is the log of a run: all lines name their steps, but perhaps one that was cut off."""
    try:
        return all(_step(line) < inf for line in read_json_lines(path))
    except OutputError:
        return False


class Journal:
    """Appends to the logs of one run folder; what they say of steps after ``step`` is forgotten.

    A run that was killed has logged steps which its checkpoint does not have, and takes them again.

    Raises:
        DataError: if TensorBoard is not installed.
        OutputError: if the folder's name is not UTF-8, or a log cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            remedy = "install it with: pip install 'defocusctl[train]'"
            raise DataError("training needs TensorBoard for its logs", remedy) from error
        self._folder = folder
        log = folder / LOG
        kept = [line for line in read_json_lines(log) if _step(line) <= step]
        with atomic.atomic_write(log, force=True) as handle:
            handle.writelines(map(json_line, kept))
        try:
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        except UnicodeEncodeError as error:
            cause = f"the name of the folder '{folder}' is not UTF-8, which TensorBoard requires"
            raise OutputError(cause, "choose another one") from error
        self._lines = JsonLinesWriter(log)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._lines.append([{"step": step, **values}])
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, pixels: NDArray[np.uint8]) -> None:
        """A sample sheet (H, W, 3)."""
        folder = self._folder / SAMPLES
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{step:07d}.png")

    def close(self) -> None:
        self._lines.close()
        self._board.close()


def _step(line: Mapping[str, Any]) -> float:
    """The step of a line of the log; infinite where it has none."""
    step = line.get("step")
    return step if isinstance(step, int) else inf
