"""Results by family: the records of all data sets of a family together."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fragmodel import metric_names
from fragmodel.evaluation.metrics.bootstrap import Values, Weights, estimate
from fragmodel.report.examples import RecordScore, record_scores
from fragmodel.report.metric_tables import Cell
from fragmodel.vocabulary import MODEL, family_of

_SAMPLES, _SEED = 1000, 1


class FamilyRow(NamedTuple):
    """Mean of a metric over the records of a family, by system."""

    family: str
    data_sets: int
    n: int
    cells: dict[str, Cell]


def families_section(
    scored: pa.Table, task: str, family_of: Callable[[str], str] = family_of
) -> dict[str, Any]:
    """Tables of one task by its primary metric and by specificity; empty where no record has a score by the first.

    Each row is a family, by name, which ``family_of`` tells of a data set; the model is the first among the systems,
    which each answered records of the family. The intervals are over proteins, as everywhere. Metrics that
    belong to no single record, such as BLEU or macro F1, cannot be pooled in this way.
    """
    if task not in metric_names.HEADLINE:
        return {}
    tables = [
        {
            "metric": metric,
            "systems": list(dict.fromkeys(system for row in rows for system in row.cells)),
            "rows": rows,
        }
        for metric in (metric_names.record_metric(task), metric_names.metric("specificity"))
        if (rows := _rows(scored, task, metric.key, family_of))
    ]
    if not tables:
        return {}
    header = ["family", "data_sets", "n", "system", "metric", "value", "low", "high", "given_presence"]
    lines = [
        [*row[:3], system, metric.key, cell.value, cell.low, cell.high, int(metric.given_presence)]
        for table, metric in ((table, table["metric"]) for table in tables)
        for row in table["rows"]
        for system, cell in row.cells.items()
    ]
    return {"tables": tables, "csv": {f"families-{task}": (header, lines)}}


def _rows(scored: pa.Table, task: str, key: str, family_of: Callable[[str], str]) -> list[FamilyRow]:
    systems = pc.unique(scored.filter(pc.equal(scored["task_type"], task))["system"]).to_pylist()
    found: dict[str, dict[str, list[RecordScore]]] = {}
    for system in sorted(systems, key=lambda name: (name != MODEL, name)):
        for item in record_scores(scored, task, system, key):
            found.setdefault(family_of(item.data_name), {}).setdefault(system, []).append(item)
    return [
        FamilyRow(
            family,
            len({item.data_name for items in of.values() for item in items}),
            max(map(len, of.values())),
            {system: _mean(items, key) for system, items in of.items()},
        )
        for family, of in sorted(found.items())
    ]


def _mean(items: Sequence[RecordScore], metric: str) -> Cell:
    scores = np.array([item.score for item in items])

    def mean(weights: Weights) -> Values:
        return {metric: weights @ scores / weights.sum(axis=1)}

    return Cell.read(estimate(mean, [item.uid for item in items], samples=_SAMPLES, seed=_SEED)[metric])
