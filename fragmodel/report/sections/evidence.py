"""What evidence does to a task: the model with it and without it beside the best baseline, part by part."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fragmodel.report import labels, plots
from fragmodel.report.metric_tables import Cell, Verdict
from fragmodel.report.style import Gallery, Picture
from fragmodel.vocabulary import MODEL, WITHOUT_EVIDENCE

_PARTS = (*labels.EVIDENCE, "clean")


def evidence_figure(
    gallery: Gallery, verdict: Verdict | None, parts: Sequence[Mapping[str, Any]]
) -> list[Picture]:
    """The figure, from the rows of :func:`fragmodel.report.metric_tables.subset_table`; none without evidence.

    Values are means over the records of all data sets.
    """
    if verdict is None or verdict.without_evidence is None:
        return []
    systems = [MODEL, WITHOUT_EVIDENCE, *filter(None, [verdict.baseline_name])]
    groups = {}
    for part in _PARTS:
        rows = [row for row in parts if row["part"] == part]
        size = sum(row["n"] for row in rows)
        if size:
            name = f"{labels.part(part)} ({labels.count(size)})"
            groups[name] = {system: Cell(value) for system, value in _pooled(rows, systems).items()}
    if not groups:
        return []
    values = "; ".join(
        f"{name}: "
        + ", ".join(f"{labels.system(s)} {verdict.metric.text(cell.value)}" for s, cell in cells.items())
        for name, cells in groups.items()
    )
    title = f"{verdict.metric.marked_label} by evidence, over records"
    figure = plots.comparison(verdict.metric, groups)
    name = f"{labels.task(verdict.task)}, {verdict.metric.label} by evidence. {values}."
    return [gallery.add(f"evidence-{verdict.task}", title, name, figure)]


def _pooled(rows: Sequence[Mapping[str, Any]], systems: Sequence[str]) -> dict[str, float]:
    """Each system's mean over the records of all rows, where it has a value in each."""
    sums: dict[str, float] = defaultdict(float)
    for row in rows:
        for system in systems:
            if system in row["values"]:
                sums[system] += row["n"] * row["values"][system]
    size = sum(row["n"] for row in rows)
    return {system: sums[system] / size for system in systems if all(system in row["values"] for row in rows)}
