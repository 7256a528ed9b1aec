"""What ``defocusctl eval`` draws: running means beside its bar, and the tables at the end."""

from collections.abc import Sequence

from rich import box
from rich.table import Column, Table

from defocusctl.cli.console import plain, put, put_table
from defocusctl.evaluation.results import Evaluation, Row
from defocusctl.evaluation.table import (
    GAIN_DECIMALS,
    ScoreTable,
    interval_text,
    score_table,
    seconds_per_megapixel,
)


class RunningMeans:
    """The mean PSNR of every method so far, under the protocol of the first row."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, rows: Sequence[Row]) -> str:
        """Add the rows of another image; return all means as one line, empty if there are none."""
        for row in rows:
            if row.protocol == rows[0].protocol and row.psnr == row.psnr:
                total, count = self._sums.get(row.method, (0.0, 0))
                self._sums[row.method] = (total + row.psnr, count + 1)
        means = [f"{method} {total / count:.2f}" for method, (total, count) in self._sums.items()]
        return f"PSNR in dB: {', '.join(means)}" if means else ""


def print_tables(evaluation: Evaluation) -> None:
    """Print a table of scores per protocol, comparisons of the networks, and their costs."""
    count = len({row.image for row in evaluation.rows})
    title = f"{evaluation.title}, {count} image{'' if count == 1 else 's'}"
    tables = [score_table(evaluation, protocol) for protocol in evaluation.protocols]
    if not evaluation.metrics:
        put(f"{title}: no reference to score them against")
        tables = []
    for table in tables:
        put_table(_scores(table, f"{title}, protocol {table.protocol}"))
        for item in table.comparisons:
            if item.metric == "psnr" and item.against != evaluation.input_label:
                gain = interval_text(item.difference, GAIN_DECIMALS)
                put(f"{item.method} minus {item.against}: {gain} dB")
    if any(method.is_reported_in(row) for row in evaluation.published for method in evaluation.methods):
        put("Δ: this run minus the published figure")
    for source, protocol in dict.fromkeys((row.source, row.protocol) for row in evaluation.published):
        put(f"published: {source}, protocol {protocol}")
    if any(method.kind != "input" for method in evaluation.methods):
        put_table(_costs(evaluation))


def _scores(scores: ScoreTable, title: str) -> Table:
    heads = [f"{name.removesuffix(' (dB)')} {arrow}" for name, arrow in scores.headings]
    table = _table([*heads, "gain (dB, 95 %)"], title)
    for group in scores.groups:
        if group.title:
            table.add_section()
            table.add_row(plain(group.title, "bold"))
        style = "dim italic" if group.is_published else ""
        for line in group.lines:
            table.add_row(plain(line.label), *(cell.text for cell in line.cells), line.gain, style=style)
            # below a published line, how much the methods of the same name differ
            for label in dict.fromkeys(label for cell in line.cells for label in cell.differences):
                table.add_row(plain(f"Δ {label}"), *(cell.differences.get(label, "") for cell in line.cells))
    return table


def _costs(evaluation: Evaluation) -> Table:
    table = _table(["seconds/megapixel", "parameters", "MACs/pixel"])
    for method in evaluation.methods:
        if method.kind != "input":
            parameters = f"{method.parameters:,}" if method.parameters else ""
            macs = f"{method.macs:,.0f}" if method.macs else ""
            table.add_row(plain(method.label), seconds_per_megapixel(evaluation, method), parameters, macs)
    return table


def _table(heads: Sequence[str], title: str | None = None) -> Table:
    return Table(
        Column("method", overflow="fold"),
        *(Column(head, justify="right", no_wrap=True) for head in heads),
        box=box.HORIZONTALS,
        pad_edge=False,
        title=plain(title) if title else None,
    )
