"""Two runs on the same records: paired differences, their intervals, and paired permutation tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fragmodel.errors import UserError
from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.evaluation.metrics.paired import PERMUTATIONS, Paired, holm, paired
from fragmodel.evaluation.references import Key
from fragmodel.tables import SCORED, iter_columns
from fragmodel.vocabulary import MODEL

_HEAD = ("data set", "task", "metric", "n", "proteins", "A", "B", "B - A", "95 % interval", "p", "p (Holm)")
_SIZES = ("spans_true", "spans_predicted")  # counts, no scores


class Comparison(NamedTuple):
    """One metric on the records that both runs have."""

    data_name: str
    task_type: str
    metric: str
    found: Paired
    p_holm: float | None  # corrected for the metrics of the task; None with too few proteins


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A record's protein, and its scores by metric."""

    uid: str
    metrics: dict[str, float]


def compare(
    run_a: Path,
    run_b: Path,
    *,
    system_a: str = MODEL,
    system_b: str = MODEL,
    samples: int = PERMUTATIONS,
    seed: int = 1,
) -> list[Comparison]:
    """Compare the means of each metric of single records between two runs, or two systems: B - A.

    p-values come from a paired permutation test that exchanges the runs for whole proteins, see
    :mod:`fragmodel.evaluation.metrics.paired`. Records that one side lacks, or for which it has no value of the metric,
    are left out of both.

    Args:
        run_a, run_b: a results folder (with ``scores/*.parquet``) or a SCORED table.
        system_a, system_b: what to compare, `model` or a baseline.
        samples: permutations, where there are more.
        seed: their seed.

    Raises:
        UserError: no table, no row of the system, or no record in common.
    """
    rows_a, rows_b = read_system(run_a, system_a), read_system(run_b, system_b)
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise UserError(f"{run_a} and {run_b} have no record in common; compare runs on the same test set")
    result = []
    for data_name, task_type in sorted({key[:2] for key in common}):
        pairs = [(rows_a[key], rows_b[key]) for key in common if key[:2] == (data_name, task_type)]
        names = sorted({name for a, b in pairs for name in a.metrics if name in b.metrics} - {*_SIZES})
        found = {name: _paired(pairs, name, samples, seed) for name in names}
        tested = [name for name in names if found[name].p is not None]
        corrected = dict(zip(tested, holm([found[name].p for name in tested]), strict=True))
        result += [Comparison(data_name, task_type, name, found[name], corrected.get(name)) for name in names]
    return result


def _paired(pairs: Sequence[tuple[ScoredRow, ScoredRow]], name: str, samples: int, seed: int) -> Paired:
    both = [(a, b) for a, b in pairs if name in a.metrics and name in b.metrics]
    a, b = (np.array([pair[side].metrics[name] for pair in both]) for side in (0, 1))
    return paired(a, b, [row.uid for row, _ in both], samples=samples, seed=seed)


def format_table(rows: Iterable[Comparison]) -> str:
    """The comparison as text, a line for each metric."""
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEAD, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (_HEAD, *cells)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Comparison) -> tuple[str, ...]:
    found = row.found
    if found.p is None:
        judged = (f"fewer than {FEWEST_PROTEINS} proteins: too few", "–", "–")
    else:
        interval = "–" if found.low is None else f"{found.low:+.4f} … {found.high:+.4f}"
        judged = (interval, f"{found.p:.4f}", f"{row.p_holm:.4f}")
    place = (row.data_name, row.task_type, row.metric, str(found.records), str(found.proteins))
    return (*place, f"{found.a:.4f}", f"{found.b:.4f}", f"{found.difference:+.4f}", *judged)


def read_system(run: Path, system: str) -> dict[Key, ScoredRow]:
    """Scores of a system in a results folder or a SCORED table. Raises :class:`UserError` where there are none."""
    run = Path(run)
    tables = sorted((run / "scores").glob("*.parquet")) if run.is_dir() else [run]
    if not tables:
        raise UserError(
            f"{run}: no scores/*.parquet; give the results folder of a finished run or a scored table"
        )
    columns = [*Key._fields, "uid", "system", "metrics"]
    rows = {
        Key(*key): ScoredRow(uid, metrics)
        for table in tables
        for *key, uid, name, metrics in iter_columns(table, SCORED, columns)
        if name == system
    }
    if not rows:
        raise UserError(f"{run}: no scores of system '{system}'")
    return rows
