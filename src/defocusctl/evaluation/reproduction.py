"""The papers' tables that can be run again: their sets and weights, and measured beside published."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from defocusctl.evaluation.results import METRICS, Evaluation
from defocusctl.evaluation.table import published_tables
from defocusctl.models.plugins import BUILT_IN
from defocusctl.weights.registry import Registry, WeightsEntry

PAPER = re.compile(r"(\w+) paper, Table (\d+)")


@dataclass(frozen=True)
class PaperSet:
    """One data set of a paper's table for one training set, scored under the paper's protocol."""

    model: str
    source: str
    protocol: str
    dataset: str
    trained_on: str

    def weights(self, registry: Registry) -> WeightsEntry | None:
        """The first published weights of that training set, if any are known."""
        entries = registry.of_model(self.model)
        return next((each for each in entries if each.trained_on == self.trained_on), None)


def paper_tables() -> Mapping[str, tuple[PaperSet, ...]]:
    """The tables that compare a built-in network with others, by names such as ``iniknet-table-1``."""
    found: dict[str, tuple[PaperSet, ...]] = {}
    for table in published_tables():
        matched = PAPER.fullmatch(table.source)
        if matched is None or matched[1].lower() not in BUILT_IN or table.ablation_of is not None:
            continue
        model = matched[1].lower()
        name = f"{model}-table-{matched[2]}"
        part = PaperSet(model, table.source, table.protocol, table.data, table.trained_on)
        found[name] = (*found.get(name, ()), part)
    return found


class Figure(NamedTuple):
    """A measured mean beside the published one."""

    method: str
    metric: str
    published: float
    measured: float

    @property
    def difference(self) -> float:
        return self.measured - self.published


def figures(evaluation: Evaluation, part: PaperSet) -> list[Figure]:
    """What the table says of the methods that were run, the untouched input among them."""
    means = {method.label: evaluation.means(method.label, part.protocol) for method in evaluation.methods}
    return [
        Figure(method.label, metric, value, measured)
        for row in evaluation.published
        if (row.source, row.trained_on) == (part.source, part.trained_on)
        for method in evaluation.methods
        if method.is_reported_in(row)
        for metric in METRICS
        if (value := getattr(row, metric)) is not None
        if not isnan(measured := means[method.label][metric])
    ]
