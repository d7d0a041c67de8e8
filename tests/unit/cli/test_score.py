import json

from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.tables import RECORDS, write_table

ROW = {
    "record_id": "r1",
    "uid": "P1",
    "data_name": "D",
    "task_type": "grounding_single",
    "sequence": "M" * 50,
    "start": 0,
    "full_length": 50,
    "position_ref": None,
    "position_grd": [[[3, 9]]],
    "classes": ["A"],
    "class_ids": [""],
    "conversation": [],
    "answer": "(3,9)",
    "flags": [],
}


def call(tmp_path, text, *options, rows=(ROW,)):
    write_table(tmp_path / "records.parquet", RECORDS, list(rows))
    (tmp_path / "predictions.csv").write_text(text)
    files = [str(tmp_path / name) for name in ("predictions.csv", "records.parquet", "metrics.json")]
    arguments = ["score", files[0], "--references", files[1], "--output", files[2], *options]
    return CliRunner().invoke(app, arguments)


def test_documented_command(tmp_path):
    result = call(tmp_path, 'record_id,text\nr1,"(3,9)"\n', "--task", "grounding_single")
    assert result.exit_code == 0, result.output
    assert result.stdout == "D grounding_single: 1 records, 0 missing predictions\n"
    metrics = json.loads((tmp_path / "metrics.json").read_text())["D"]["grounding_single"]["model"]
    assert metrics["iou_mean"] == 1.0  # of too few proteins for an interval


def test_several_data_sets(tmp_path):
    rows = [ROW, ROW | {"record_id": "r2", "data_name": "E"}]
    result = call(tmp_path, 'record_id,text\nr1,"(3,9)"\n', rows=rows)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "D grounding_single: 1 records, 0 missing predictions\n"
        "E grounding_single: 1 records, 1 missing predictions\n"
    )


def test_user_errors_are_one_line_with_status_2(tmp_path):
    result = call(tmp_path, "record_id,text\nr2,x\n", "--task", "grounding_single")
    assert result.exit_code == 2
    assert "record_id 'r2' is not among the references" in result.stderr
    assert not (tmp_path / "metrics.json").exists()
    result = call(tmp_path, "record_id,text\nr1,x\n", "--task", "grounding")
    assert result.exit_code == 2
    assert "unknown task type" in result.stderr
