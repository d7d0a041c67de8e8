import numpy as np
import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.evaluation.compare import compare
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
    assert (row.metric, row.found.records, row.found.proteins) == ("iou", 60, 60)
    assert row.found[2:5] == pytest.approx((a.mean(), b.mean(), (b - a).mean()))
    assert row.found.p == row.p_holm < 0.05
    assert compare(one, two) == [row]


def test_undefined_metrics_are_left_out_of_both(tmp_path):
    one = scored(tmp_path / "a.parquet", {"x": ("P", {"boundary_error": 4.0}), "y": ("Q", {})})
    two = scored(
        tmp_path / "b.parquet", {"x": ("P", {"boundary_error": 1.0}), "y": ("Q", {"boundary_error": 9.0})}
    )
    (row,) = compare(one, two, samples=100)
    assert (row.found.records, row.found.difference, row.found.p, row.p_holm) == (1, -3, None, None)


def test_command_prints_a_table_for_folders_and_systems(tmp_path):
    values = {f"r{i}": (f"P{i}", {"iou": 0.5} | ({"hit": 1.0} if i < 9 else {})) for i in range(10)}
    for name in ("one", "two"):
        (tmp_path / name / "scores").mkdir(parents=True)
        scored(tmp_path / name / "scores" / "D.parquet", values)
    result = CliRunner().invoke(
        app, ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--samples", "100"]
    )
    assert result.exit_code == 0
    head, few, line = result.stdout.splitlines()
    assert head.split()[:4] == ["data", "set", "task", "metric"]
    equal = [
        "D",
        "grounding_single",
        "iou",
        "10",
        "10",
        "0.5000",
        "0.5000",
        "+0.0000",
        "–",
        "1.0000",
        "1.0000",
    ]
    assert line.split() == equal
    assert few.split()[3:5] == ["9", "9"]
    assert few.split()[-8:] == ["fewer", "than", "10", "proteins:", "too", "few", "–", "–"]
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
