"""What a run leaves to look at: ``log.jsonl``, TensorBoard events, sample pictures."""

import json
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from defocusctl.errors import DataError
from defocusctl.system import atomic

LOG, SAMPLES = "log.jsonl", "samples"


def is_log(path: Path) -> bool:
    """Whether a file is the log of a run: all lines name their steps, but perhaps one that was cut off."""
    *whole, _ = path.read_bytes().split(b"\n")
    return all(_step(line) < inf for line in whole)


class Journal:
    """Appends to the logs of one run folder; what they say of steps after ``step`` is forgotten.

    A run that was killed has logged steps which its checkpoint does not have, and takes them again.

    Raises:
        DataError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            remedy = "install it with: pip install 'defocusctl[train]'"
            raise DataError("training needs TensorBoard for its logs", remedy) from error
        self._folder = folder
        log = folder / LOG
        if log.exists():
            kept = [line for line in log.read_bytes().splitlines(keepends=True) if _step(line) <= step]
            with atomic.atomic_write(log, force=True) as handle:
                handle.write(b"".join(kept))
        self._lines = log.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One line of numbers for one step."""
        self._lines.write(json.dumps({"step": step, **values}) + "\n")
        self._lines.flush()
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


def _step(line: bytes) -> float:
    """The step of a line of the log; a line that was cut off belongs to no step."""
    with suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)["step"])
    return inf
