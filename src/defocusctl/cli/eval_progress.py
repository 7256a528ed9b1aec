"""The running means that the bar of ``defocusctl eval`` shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from defocusctl.evaluation.results import Row


class RunningMeans:
    """The mean PSNR of every method so far, under the protocol of the first row."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, rows: "Sequence[Row]") -> str:
        """Take the rows of one more image; all means as one line, empty where nothing can be scored."""
        for row in rows:
            if row.protocol == rows[0].protocol and row.psnr == row.psnr:
                total, count = self._sums.get(row.method, (0.0, 0))
                self._sums[row.method] = (total + row.psnr, count + 1)
        means = [f"{method} {total / count:.2f}" for method, (total, count) in self._sums.items()]
        return f"PSNR in dB: {', '.join(means)}" if means else ""
