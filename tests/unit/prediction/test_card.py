"""Rows of results in the model card."""

import json

import pytest

from fragmodel.errors import UserError
from fragmodel.prediction.card import clean_below, headline_rows, read_metrics

WRONG = json.dumps(
    {"A": {"function": {"n": 1, "model": {}, "baselines": {}, "against": {"majority": {"p": 0.5}}}}}
)


def rows_of(model, **baselines):
    metrics = {"A": {"grounding_single": {"n": 4, "model": model, "baselines": baselines}}}
    return {row["metric"]: (row["model"], row["baseline"]) for row in headline_rows(metrics)}


def test_the_best_baseline_goes_by_direction_and_of_equal_ones_by_name():
    rows = rows_of(
        {"iou_mean": 0.5, "boundary_error": 3.25},
        majority={"iou_mean": 0.25, "boundary_error": 9.0},
        alignment={"iou_mean": 0.25, "boundary_error": {"value": 4.0, "low": 2.0, "high": 6.0}},
    )
    assert rows == {
        "iou_mean †": ("0.500", "0.250, alignment"),
        "boundary_error † ↓": ("3.2", "4.0 [2.0, 6.0], alignment"),
    }


def test_records_are_those_of_the_metric():
    summary = {"n": 9, "absent": 4, "model": {"iou_mean": 0.5, "false_positive_rate": 0.5}, "baselines": {}}
    rows = headline_rows({"A": {"grounding_single": summary}})
    assert {row["metric"]: row["n"] for row in rows} == {"iou_mean †": 5, "false_positive_rate ↓": 9}


def test_what_is_undefined_is_a_dash():
    undefined = {"value": None, "low": None, "high": None}
    rows = rows_of({"iou_mean": undefined, "f1_50": 0.5, "something": 1.0}, a={"iou_mean": undefined})
    assert rows == {"iou_mean †": ("–", "–"), "f1_50 †": ("0.500", "–")}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"A": {"poetry": {}}}', '{"A": {"function": {"n": 1}}}', WRONG]
)
def test_a_file_that_is_no_metrics_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"other\.json: (not the metrics\.json of a run|not valid JSON|no JSON object)"
    ):
        read_metrics(path)


def test_metrics_are_read_whole(tmp_path):
    metrics = {"A": {"function": {"n": 1, "model": {"rouge_l": 0.5}, "baselines": {}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert read_metrics(tmp_path / "metrics.json") == metrics
    with pytest.raises(UserError, match="no such file"):
        read_metrics(tmp_path / "absent.json")


def test_what_was_left_out_of_the_evaluation_is_known():
    part = {"n": 4, "model": {}, "baselines": {}}
    assert clean_below({"A": {"function": part}}) is None
    assert clean_below({"A": {"function": part}, "B": {"function": part | {"clean_below": 0.3}}}) == 0.3
