"""The papers' tables as data: figures that others report for a data set."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from defocusctl.errors import DataError
from defocusctl.system.toml import Table, read_toml

FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class PublishedRow:
    """A row of a paper's table for a data set, scored under the paper's own ``protocol``.

    Figures that the paper does not give are None.
    """

    method: str
    trained_on: str
    source: str
    protocol: str
    psnr: float | None = None
    ssim: float | None = None
    mae: float | None = None
    lpips: float | None = None


class _PaperTable(Table):
    source: str
    protocol: str
    data: str
    trained_on: str
    rows: tuple[tuple[str, float, float, float], ...]
    """(method, PSNR, SSIM, LPIPS)"""


class _Papers(Table):
    table: tuple[_PaperTable, ...]


def published_rows(dataset: str, trained_on: frozenset[str]) -> tuple[PublishedRow, ...]:
    """The rows for a data set and models trained on any of ``trained_on``, or all rows if there are none."""
    tables = [table for table in _papers().table if table.data == dataset]
    chosen = [table for table in tables if table.trained_on in trained_on] or tables
    return tuple(
        PublishedRow(method, table.trained_on, table.source, table.protocol, psnr, ssim, lpips=lpips)
        for table in chosen
        for method, psnr, ssim, lpips in table.rows
    )


@cache
def _papers() -> _Papers:
    return read_toml(FILE, _Papers, DataError, "reinstall defocusctl")
