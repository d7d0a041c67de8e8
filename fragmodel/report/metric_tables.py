"""From metrics.json to the tables and sentences of the report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fragmodel import metric_names
from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.evaluation.claims import Standing, by_data_set, standings, together, told, told_together
from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.metric_names import Metric
from fragmodel.vocabulary import MODEL, OURS, TASK_TYPES, WITHOUT_EVIDENCE

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric's value and its 95 % interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def read(cls, found: Any) -> "Cell":
        """From a number or ``{"value", "low", "high"}``."""
        if isinstance(found, Mapping):
            return cls(float(found["value"]), found.get("low"), found.get("high"))
        return cls(float(found))


@dataclass(slots=True)
class Row:
    """A system's metrics on one data set; ``best`` names those in which no other system has a better value.

    With too few proteins for an interval there is no best.
    """

    data_name: str
    system: str
    n: int
    proteins: int
    cells: dict[str, Cell]
    best: set[str] = field(default_factory=set)
    absent: int = 0  # of the n records: about what is absent

    def records(self, metric: Metric) -> int:
        """The records that a metric is computed on."""
        return metric.records(self.n, self.absent)

    @property
    def too_few(self) -> bool:
        """Whether the proteins are too few for intervals and claims."""
        return self.proteins < FEWEST_PROTEINS


@dataclass(slots=True)
class TaskTable:
    """All systems on all data sets of a task; ``standings`` tell by data set what the model is beside the baselines."""

    task: str
    headline: list[Metric]
    metrics: list[Metric]
    rows: list[Row]
    standings: dict[str, Standing]
    together: Standing | None = None  # over all data sets, where there are several

    def detection(self) -> "TaskTable":
        """The metrics of presence, on the data sets with records about what is absent; no rows where none has any."""
        rows = [row for row in self.rows if row.absent]
        found = {key for row in rows for key in row.cells}
        metrics = [metric_names.metric(key) for key in metric_names.DETECTION if key in found]
        return TaskTable(self.task, metrics, metrics, rows, {})

    def confidence(self) -> "TaskTable":
        """The metrics of confidences and of candidates, of the systems that state any."""
        keys = metric_names.CONFIDENCE + metric_names.CANDIDATES
        rows = [row for row in self.rows if not row.cells.keys().isdisjoint(keys)]
        found = {key for row in rows for key in row.cells}
        metrics = [metric_names.metric(key) for key in keys if key in found]
        return TaskTable(self.task, metrics, metrics, rows, {})

    def groups(self) -> dict[str, list[Row]]:
        """Rows by data set."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.data_name, []).append(row)
        return found


@dataclass(frozen=True, slots=True)
class Means:
    """A system's means of a metric: over data sets, each with the same weight, and over all records."""

    data_sets: float
    records: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the model did on a task by its first metric, on the data sets that both have."""

    task: str
    metric: Metric
    model: Means
    without_evidence: Means | None  # the same model, asked without evidence
    baseline: Means | None  # the best by its mean over data sets
    baseline_name: str | None
    data_sets: int
    records: int  # that the metric is computed on
    scored: int  # and those without anything to find
    standings: list[Standing]  # of the data sets that have baselines
    together: Standing | None  # over all of them

    @property
    def better(self) -> int:
        """Data sets on which the model is clearly better than every baseline."""
        return self.standings.count(Standing.BETTER)

    @property
    def too_few(self) -> int:
        """Data sets with too few proteins to tell."""
        return self.standings.count(Standing.TOO_FEW)


def read_tables(path: Path) -> tuple[Metrics, list[TaskTable]]:
    """A run's ``metrics.json`` and the table of each task. Raises :class:`UserError` when it is none."""
    found = read_json(path)
    try:
        metrics, pooled = by_data_set(found), together(found)
        tables = [task_table(metrics, task) for task in tasks_of(metrics)]
        return metrics, [replace(table, together=pooled.get(table.task)) for table in tables]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: not the metrics.json of a run; have `fragmodel score` write it anew"
        ) from None


def tasks_of(metrics: Metrics) -> list[str]:
    """Task types that were scored, in the package's order."""
    found = {task for tasks in metrics.values() for task in tasks}
    return [task for task in TASK_TYPES if task in found] + sorted(found - set(TASK_TYPES))


def task_table(metrics: Metrics, task: str) -> TaskTable:
    """The table of a task: for each data set the model, then the baselines."""
    rows = [
        row for name in sorted(metrics) if task in metrics[name] for row in _rows(name, metrics[name][task])
    ]
    found = {key for row in rows for key in row.cells}
    headline = [key for key in metric_names.HEADLINE.get(task, ()) if key in found] or sorted(found)[:6]
    return TaskTable(
        task=task,
        headline=[metric_names.metric(key) for key in headline],
        metrics=[metric_names.metric(key) for key in [*headline, *sorted(found - set(headline))]],
        rows=rows,
        standings={c.data_name: found for c, found in standings(metrics).items() if c.task_type == task},
    )


def _rows(data_name: str, summary: Mapping[str, Any]) -> list[Row]:
    systems = {MODEL: summary.get(MODEL, {}), **dict(sorted(summary.get("baselines", {}).items()))}
    rows = [
        Row(
            data_name,
            system,
            int(summary.get("n", 0)),
            int(summary.get("proteins", 0)),
            {key: Cell.read(found) for key, found in values.items()},
            absent=int(summary.get("absent", 0)),
        )
        for system, values in systems.items()
        if values
    ]
    for key in {key for row in rows for key in row.cells}:
        having = [row for row in rows if key in row.cells and not row.too_few]
        if not having:
            continue
        values = [row.cells[key].value for row in having]
        best = max(values) if metric_names.metric(key).higher_is_better else min(values)
        # Where all are equal, none is the best.
        if len(set(values)) > 1:
            for row in having:
                if row.cells[key].value == best:
                    row.best.add(key)
    return rows


def verdict(table: TaskTable) -> Verdict | None:
    """Model beside its best baseline; ``None`` when the model was not scored by the task's first metric."""
    key = table.headline[0].key if table.headline else ""
    groups = {
        name: {row.system: row for row in rows if key in row.cells} for name, rows in table.groups().items()
    }
    groups = {name: rows for name, rows in groups.items() if MODEL in rows}
    if not groups:
        return None
    sign = 1 if table.headline[0].higher_is_better else -1
    # A baseline that is missing on a data set cannot stand for all of them.
    everywhere = set.intersection(*(set(rows) for rows in groups.values()))
    means = {
        system: _means([rows[system] for rows in groups.values()], table.headline[0]) for system in everywhere
    }
    best = max(sorted(everywhere - OURS), key=lambda system: sign * means[system].data_sets, default=None)
    return Verdict(
        task=table.task,
        metric=table.headline[0],
        model=means[MODEL],
        without_evidence=means.get(WITHOUT_EVIDENCE),
        baseline=means[best] if best else None,
        baseline_name=best,
        data_sets=len(groups),
        records=sum(rows[MODEL].records(table.headline[0]) for rows in groups.values()),
        scored=sum(rows[MODEL].n for rows in groups.values()),
        standings=[table.standings[name] for name in groups if name in table.standings],
        together=table.together,
    )


def claim(verdicts: Sequence[Verdict]) -> str:
    """What may be said of the model: over all data sets, then of single ones."""
    over_all = {each.task: each.together for each in verdicts if each.together is not None}
    return " ".join(
        filter(None, [told_together(over_all), told(one for each in verdicts for one in each.standings)])
    )


def _means(rows: Sequence[Row], metric: Metric) -> Means:
    """The first metric of a task is a mean over records, so that of several data sets weighs them by their size."""
    values = [row.cells[metric.key].value for row in rows]
    weights = [row.records(metric) for row in rows]
    return Means(
        sum(values) / len(values),
        sum(n * value for n, value in zip(weights, values, strict=True)) / (sum(weights) or 1),
    )


def subset_table(metrics: Metrics, task: str) -> list[dict[str, Any]]:
    """Rows of the parts of the test sets: part, data set, n, the model's and the best baseline's first metric, and its
    values by system; ``n`` are the records that this metric is computed on."""
    metric = metric_names.primary(task) if task in metric_names.HEADLINE else None
    rows = []
    for data_name, name, summary in _parts(metrics, task):
        systems = {MODEL: summary.get(MODEL, {}), **summary.get("baselines", {})}
        cells = {
            system: Cell.read(v[metric.key]) for system, v in systems.items() if metric and metric.key in v
        }
        others = sorted((cell.value, system) for system, cell in cells.items() if system not in OURS)
        if MODEL in cells:
            best = (others[-1] if metric.higher_is_better else others[0]) if others else (None, None)
            rows.append(
                {"part": name, "data_name": data_name, "model": cells[MODEL]}
                | {"n": metric.records(summary.get("n", 0), summary.get("absent", 0))}
                | {"baseline": best[0], "baseline_name": best[1]}
                | {"values": {system: cell.value for system, cell in cells.items()}}
            )  # fmt: skip
    return rows


def _parts(metrics: Metrics, task: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for data_name in sorted(metrics):
        for name, summary in metrics[data_name].get(task, {}).get("subsets", {}).items():
            yield data_name, name, summary


def per_class(metrics: Metrics, task: str) -> dict[str, list[Mapping[str, Any]]]:
    """Rows of the per-class table by data set, the most frequent class first."""
    found = {name: metrics[name].get(task, {}).get("per_class", []) for name in sorted(metrics)}
    return {name: sorted(rows, key=lambda row: -_support(row)) for name, rows in found.items() if rows}


def _support(row: Mapping[str, Any]) -> float:
    return float(row.get("support", row.get("n", 0)))


def csv_rows(table: TaskTable) -> tuple[list[str], list[Sequence[Any]]]:
    """Header and rows of a task's full table: a row for each data set, system and metric."""
    header = ["data_set", "task", "system", "n", "metric", "value", "low", "high", "best", "given_presence"]
    rows = [
        (
            row.data_name,
            table.task,
            row.system,
            row.records(metric),
            metric.key,
            cell.value,
            cell.low,
            cell.high,
            int(metric.key in row.best),
            int(metric.given_presence),
        )
        for row in table.rows
        for metric in table.metrics
        if (cell := row.cells.get(metric.key)) is not None
    ]
    return header, rows
