from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.evaluation.compare import compare, holm, permutation_p
from fragmodel.tables import SCORED, write_table


def scored(path, values, system="model", **extra):
    """``values``: record -> (protein, metrics)."""
    rows = [
        {
            "record_id": record,
            "uid": uid,
            "data_name": "D",
            "task_type": "grounding_single",
            "system": system,
            "reference": "",
            "text": "",
            "parse_status": "ok",
            "predicted_classes": [],
            "predicted_spans": [],
            "metrics": metrics,
        }
        for record, (uid, metrics) in values.items()
    ]
    write_table(path, SCORED, rows)
    return path


def test_permutation_test_agrees_with_scipy_and_with_all_arrangements():
    differences = np.array([0.3, 0.1, -0.2, 0.6, 0.4, 0.05])
    every = [
        abs(np.dot(signs, differences)) >= abs(differences.sum()) - 1e-9
        for signs in product((-1, 1), repeat=6)
    ]
    ours = permutation_p(differences, list("abcdef"), samples=20_000, seed=1)
    assert ours == pytest.approx(np.mean(every), abs=0.01)
    theirs = permutation_test(
        (differences, np.zeros(6)), lambda a, b: np.mean(a - b), permutation_type="samples"
    )
    assert ours == pytest.approx(theirs.pvalue, abs=0.01)


def test_records_of_a_protein_are_exchanged_together():
    # Three records of one protein are one observation: its two arrangements are equally extreme.
    assert permutation_p(np.ones(3), ["P", "P", "P"], samples=500, seed=1) == 1
    assert permutation_p(np.ones(12), [str(i) for i in range(12)], samples=5000, seed=1) < 0.01


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(values):
    corrected = holm(values)
    assert all(0 <= value <= new <= 1 for value, new in zip(values, corrected, strict=True))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_comparison_of_paired_records(tmp_path):
    rng = np.random.default_rng(0)
    a = rng.uniform(size=60)
    b = a + rng.normal(0.1, 0.2, size=60)
    one, two = (
        scored(
            tmp_path / f"{name}.parquet",
            {f"r{i}": (f"P{i}", {"iou": v, "spans_true": 1}) for i, v in enumerate(values)},
        )
        for name, values in (("a", a), ("b", np.append(b, 1.0)))  # B has a record that A lacks
    )
    (row,) = compare(one, two)
    assert (row.metric, row.records) == ("iou", 60)
    assert (row.a, row.b, row.difference) == pytest.approx((a.mean(), b.mean(), (b - a).mean()), abs=1e-6)
    theirs = bootstrap((b - a,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    assert (row.low, row.high) == pytest.approx(tuple(theirs), abs=0.01)
    assert row.p == row.p_holm < 0.05
    assert compare(one, two) == [row]


def test_undefined_metrics_are_left_out_of_both(tmp_path):
    one = scored(tmp_path / "a.parquet", {"x": ("P", {"boundary_error": 4.0}), "y": ("Q", {})})
    two = scored(
        tmp_path / "b.parquet", {"x": ("P", {"boundary_error": 1.0}), "y": ("Q", {"boundary_error": 9.0})}
    )
    (row,) = compare(one, two, samples=100)
    assert (row.records, row.difference) == (1, -3)


def test_command_prints_a_table_for_folders_and_systems(tmp_path):
    values = {f"r{i}": (f"P{i}", {"iou": 0.5}) for i in range(5)}
    for name in ("one", "two"):
        (tmp_path / name / "scores").mkdir(parents=True)
        scored(tmp_path / name / "scores" / "D.parquet", values)
    result = CliRunner().invoke(
        app, ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--samples", "100"]
    )
    assert result.exit_code == 0
    head, line = result.stdout.splitlines()
    assert head.split()[:4] == ["data", "set", "task", "metric"]
    assert line.split()[:7] == ["D", "grounding_single", "iou", "5", "0.5000", "0.5000", "+0.0000"]
    assert line.split()[-1] == "1.0000"
    result = CliRunner().invoke(
        app, ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--system-b", "majority"]
    )
    assert result.exit_code == 2
    assert "no scores of system 'majority'" in result.stderr


def test_faults_are_named(tmp_path):
    one = scored(tmp_path / "a.parquet", {"x": ("P", {"iou": 1.0})})
    two = scored(tmp_path / "b.parquet", {"y": ("P", {"iou": 1.0})})
    with pytest.raises(UserError, match="no record in common"):
        compare(one, two)
    with pytest.raises(UserError, match=r"no scores/\*\.parquet"):
        compare(tmp_path, two)
