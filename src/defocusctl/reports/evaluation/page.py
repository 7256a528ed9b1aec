"""From an evaluation to the page: what ``page.html`` is filled with."""

from collections.abc import Sequence
from pathlib import Path

from defocusctl.evaluation.results import Evaluation
from defocusctl.reports.evaluation.distribution import distribution
from defocusctl.reports.evaluation.numbers import signed
from defocusctl.reports.evaluation.pictures import ReportPicture, by_method
from defocusctl.reports.evaluation.rows import table_data
from defocusctl.reports.evaluation.tables import method_facts, summary
from defocusctl.reports.page import write_page

HERE = Path(__file__).parent
MANY_PROBLEMS = 8  # more are folded away


def write_report(
    path: Path, evaluation: Evaluation, pictures: Sequence[ReportPicture], *, force: bool
) -> None:
    """Write the report as one HTML file with all its styles, scripts and pictures inside.

    Raises:
        OutputError: if the file exists (without ``force``) or cannot be written; nothing is left behind then.
    """
    plots = [distribution(evaluation, protocol) for protocol in evaluation.protocols]
    values = {
        "evaluation": evaluation,
        "facts": method_facts(evaluation),
        "summaries": [summary(evaluation, protocol) for protocol in evaluation.protocols],
        "plots": [plot for plot in plots if plot is not None],
        "picture_groups": by_method(pictures),
        "data": table_data(evaluation),
        "many_problems": MANY_PROBLEMS,
        "signed": signed,
    }
    write_page(path, HERE, values, force=force)
