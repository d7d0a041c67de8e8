"""Two runs on the same records: paired differences, their intervals, and paired permutation tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fragmodel.errors import UserError
from fragmodel.evaluation.metrics.bootstrap import estimate
from fragmodel.evaluation.references import Key
from fragmodel.tables import SCORED, iter_columns
from fragmodel.vocabulary import MODEL

_SIZES = ("spans_true", "spans_predicted")  # counts, no scores
_CELLS = 10_000_000  # signs held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric on the records that both runs have; ``difference`` is B - A."""

    data_name: str
    task_type: str
    metric: str
    records: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float  # of the permutation test
    p_holm: float  # corrected for the metrics of the task


@dataclass(frozen=True, slots=True)
class _Row:
    uid: str
    metrics: dict[str, float]


def compare(
    run_a: Path,
    run_b: Path,
    *,
    system_a: str = MODEL,
    system_b: str = MODEL,
    samples: int = 10_000,
    seed: int = 1,
) -> list[Comparison]:
    """Compare the means of each metric of single records between two runs, or two systems.

    Intervals come from the bootstrap over proteins, p-values from a paired permutation test that exchanges
    the runs for whole proteins (two-sided; Good 2005, *Permutation, Parametric and Bootstrap Tests of
    Hypotheses*). Records that one side lacks, or for which it has no value of the metric, are left out of
    both.

    Args:
        run_a, run_b: a results folder (with ``scores/*.parquet``) or a SCORED table.
        system_a, system_b: what to compare, `model` or a baseline.
        samples: bootstrap resamples, and permutations.
        seed: seed of both.

    Raises:
        UserError: no table, no row of the system, or no record in common.
    """
    rows_a, rows_b = _read(run_a, system_a), _read(run_b, system_b)
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise UserError(f"{run_a} and {run_b} have no record in common; compare runs on the same test set")
    result = []
    for data_name, task_type in sorted({key[:2] for key in common}):
        pairs = [(rows_a[key], rows_b[key]) for key in common if key[:2] == (data_name, task_type)]
        names = sorted({name for a, b in pairs for name in a.metrics if name in b.metrics} - {*_SIZES})
        tests = [_test([p for p in pairs if name in p[0].metrics and name in p[1].metrics], name, samples,
        seed)
                 for name in names]  # fmt: skip
        corrected = holm([test["p"] for test in tests])
        result += [
            Comparison(data_name=data_name, task_type=task_type, metric=name, p_holm=p_holm, **test)
            for name, test, p_holm in zip(names, tests, corrected, strict=True)
        ]
    return result


def _test(pairs: Sequence[tuple[_Row, _Row]], name: str, samples: int, seed: int) -> dict[str, float]:
    a, b = (np.array([pair[side].metrics[name] for pair in pairs]) for side in (0, 1))
    proteins = [row.uid for row, _ in pairs]
    interval = estimate(
        lambda weights: {"difference": weights @ (b - a) / weights.sum(axis=1)},
        proteins,
        samples=samples,
        seed=seed,
    )["difference"]
    return {
        "records": len(pairs),
        "a": float(a.mean()),
        "b": float(b.mean()),
        "difference": interval["value"],
        "low": interval["low"],
        "high": interval["high"],
        "p": permutation_p(b - a, proteins, samples=samples, seed=seed),
    }


def permutation_p(differences: np.ndarray, proteins: Sequence[str], *, samples: int, seed: int) -> float:
    """Two-sided p-value of the mean of paired ``differences`` ([records]), with signs flipped protein by
    protein.

    The observed arrangement counts as one of the permutations, so that p is never 0 (Phipson & Smyth 2010).
    """
    names, codes = np.unique(np.asarray(proteins, dtype=str), return_inverse=True)
    sums = np.bincount(codes, weights=differences, minlength=len(names))
    observed = abs(sums.sum())
    rng = np.random.default_rng(seed)
    extreme, block = 0, max(1, _CELLS // len(names))
    for first in range(0, samples, block):
        signs = rng.choice([-1.0, 1.0], size=(min(block, samples - first), len(names)))
        # The tolerance makes ties of equal arrangements, whatever the order of the additions.
        extreme += int((np.abs(signs @ sums) >= observed - 1e-9).sum())
    return (1 + extreme) / (1 + samples)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, as Holm (1979) does step by step."""
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected


def format_table(rows: Iterable[Comparison]) -> str:
    """The comparison as text, a line for each metric."""
    head = ("data set", "task", "metric", "n", "A", "B", "B - A", "95 % interval", "p", "p (Holm)")
    cells = [
        (
            row.data_name,
            row.task_type,
            row.metric,
            str(row.records),
            f"{row.a:.4f}",
            f"{row.b:.4f}",
            f"{row.difference:+.4f}",
            f"{row.low:+.4f} … {row.high:+.4f}",
            f"{row.p:.4f}",
            f"{row.p_holm:.4f}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *cells)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _read(run: Path, system: str) -> dict[Key, _Row]:
    run = Path(run)
    tables = sorted((run / "scores").glob("*.parquet")) if run.is_dir() else [run]
    if not tables:
        raise UserError(
            f"{run}: no scores/*.parquet; give the results folder of a finished run or a scored table"
        )
    columns = [*Key._fields, "uid", "system", "metrics"]
    rows = {
        Key(*key): _Row(uid, metrics)
        for table in tables
        for *key, uid, name, metrics in iter_columns(table, SCORED, columns)
        if name == system
    }
    if not rows:
        raise UserError(f"{run}: no scores of system '{system}'")
    return rows
