"""From an evaluation to the page: fills ``page.html`` and writes it whole or not at all."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from defocusctl.atomic import atomic_write
from defocusctl.evaluate.report.distribution import distribution
from defocusctl.evaluate.report.numbers import signed
from defocusctl.evaluate.report.pictures import ReportPicture, by_method
from defocusctl.evaluate.report.rows import table_data
from defocusctl.evaluate.report.tables import method_facts, summary
from defocusctl.evaluate.results import Evaluation

HERE = Path(__file__).parent
MANY_PROBLEMS = 8  # more are folded away


def write_report(
    path: Path, evaluation: Evaluation, pictures: Sequence[ReportPicture], *, force: bool
) -> None:
    """Write the report as one HTML file with all its styles, scripts and pictures inside.

    Raises:
        OutputError: if the file exists (without ``force``) or cannot be written; nothing is left behind then.
    """
    page = render(evaluation, pictures)
    with atomic_write(path, force=force) as handle:
        handle.write(page.encode("utf-8", "backslashreplace"))  # names of files need not be valid Unicode


def render(evaluation: Evaluation, pictures: Sequence[ReportPicture]) -> str:
    """The page as text; everything that comes from outside is escaped by the template engine.

    The page's own policy forbids it to load anything and to run any script but its own.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["signed"] = signed
    script = (HERE / "script.js").read_text(encoding="utf-8")
    style = (HERE / "style.css").read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    plots = [distribution(evaluation, protocol) for protocol in evaluation.protocols]
    return environment.get_template("page.html").render(
        evaluation=evaluation,
        policy=(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        facts=method_facts(evaluation),
        summaries=[summary(evaluation, protocol) for protocol in evaluation.protocols],
        plots=[plot for plot in plots if plot is not None],
        picture_groups=by_method(pictures),
        data=table_data(evaluation),
        many_problems=MANY_PROBLEMS,
    )
