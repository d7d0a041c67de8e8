"""Tables and verdicts from metrics, on small hand-made numbers."""

import pytest

from fragmodel.report import metric_tables


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


METRICS = {
    "A": {
        "grounding_single": {
            "n": 10,
            "model": {"iou_mean": interval(0.6, 0.5, 0.7), "boundary_error": 4.0},
            "baselines": {
                "majority": {"iou_mean": interval(0.2, 0.1, 0.3), "boundary_error": 4.0},
                "alignment": {"iou_mean": interval(0.4, 0.3, 0.45), "boundary_error": 9.0},
            },
            "subsets": {
                "clean": {"n": 3, "model": {"iou_mean": 0.5}, "baselines": {"alignment": {"iou_mean": 0.1}}}
            },
            "per_class": [
                {"class": "rare", "support": 1, "f1_50": 1.0},
                {"class": "common", "support": 9, "f1_50": 0.5},
            ],
        }
    },
    "B": {
        "grounding_single": {
            "n": 5,
            "model": {"iou_mean": 0.5},
            "baselines": {"majority": {"iou_mean": 0.45}, "random_span": {"iou_mean": 0.9}},
        }
    },
}


def rows_of(table):
    return {(row.data_name, row.system): row for row in table.rows}


def test_best_is_marked_by_direction_and_not_where_all_are_equal():
    rows = rows_of(metric_tables.task_table(METRICS, "grounding_single"))
    assert rows["A", "model"].best == {
        "iou_mean",
        "boundary_error",
    }  # the error is lower, ties share the mark
    assert rows["A", "majority"].best == {"boundary_error"}
    assert rows["B", "random_span"].best == {"iou_mean"}
    equal = {
        "A": {"grounding_single": {"n": 1, "model": {"iou_mean": 0.5}, "baselines": {"b": {"iou_mean": 0.5}}}}
    }
    assert not any(row.best for row in metric_tables.task_table(equal, "grounding_single").rows)


def test_model_comes_first_and_numbers_need_no_interval():
    table = metric_tables.task_table(METRICS, "grounding_single")
    assert [row.system for row in table.rows] == [
        "model",
        "alignment",
        "majority",
        "model",
        "majority",
        "random_span",
    ]
    assert rows_of(table)["B", "model"].cells["iou_mean"] == metric_tables.Cell(0.5)
    assert [metric.key for metric in table.headline] == ["iou_mean", "boundary_error"]


def test_verdict_counts_data_sets_and_averages_baselines_that_all_have():
    verdict = metric_tables.verdict(metric_tables.task_table(METRICS, "grounding_single"))
    assert verdict.model == pytest.approx((0.6 + 0.5) / 2)
    # alignment and random_span are better on the data set that they have, yet do not cover both
    assert (verdict.baseline_name, verdict.baseline) == ("majority", pytest.approx((0.2 + 0.45) / 2))
    assert (verdict.wins, verdict.clear_wins, verdict.data_sets) == (1, 1, 2)
    assert verdict.difference == pytest.approx(0.55 - 0.325)


def test_overlapping_intervals_are_no_clear_win():
    metrics = {
        "A": {
            "referring_class": {
                "n": 4,
                "model": {"accuracy": interval(0.6, 0.4, 0.8)},
                "baselines": {"majority": {"accuracy": interval(0.5, 0.3, 0.7)}},
            }
        }
    }
    verdict = metric_tables.verdict(metric_tables.task_table(metrics, "referring_class"))
    assert (verdict.wins, verdict.clear_wins) == (1, 0)


def test_no_verdict_without_a_model():
    metrics = {"A": {"referring_class": {"n": 4, "model": {}, "baselines": {"majority": {"accuracy": 0.5}}}}}
    assert metric_tables.verdict(metric_tables.task_table(metrics, "referring_class")) is None


def test_parts_and_classes():
    (row,) = metric_tables.subset_table(METRICS, "grounding_single")
    assert (row["part"], row["data_name"], row["n"], row["model"].value) == ("clean", "A", 3, 0.5)
    assert (row["baseline_name"], row["baseline"]) == ("alignment", 0.1)
    assert [found["class"] for found in metric_tables.per_class(METRICS, "grounding_single")["A"]] == [
        "common",
        "rare",
    ]
    assert "B" not in metric_tables.per_class(METRICS, "grounding_single")


def test_metrics_of_presence_are_those_of_data_sets_with_something_absent():
    model = {"iou_mean": 0.5, "false_positive_rate": 0.25, "residue_mcc_all": 0.5}
    summary = {"n": 4, "absent": 2, "model": model, "baselines": {"majority": {"false_positive_rate": 1.0}}}
    other = {"n": 4, "absent": 0, "model": {"iou_mean": 0.5}, "baselines": {}}
    metrics = {"A": {"grounding_single": summary}, "B": {"grounding_single": other}}
    table = metric_tables.task_table(metrics, "grounding_single").detection()
    assert [metric.key for metric in table.metrics] == ["false_positive_rate", "residue_mcc_all"]
    assert {name: [row.system for row in rows] for name, rows in table.groups().items()} == {
        "A": ["model", "majority"]
    }
    assert table.rows[0].best == {"false_positive_rate"}  # the lower one
    assert metric_tables.task_table({"B": metrics["B"]}, "grounding_single").detection().rows == []


def test_csv_has_a_row_for_each_number():
    header, rows = metric_tables.csv_rows(metric_tables.task_table(METRICS, "grounding_single"))
    assert header[:6] == ["data_set", "task", "system", "n", "metric", "value"]
    assert len(rows) == 9
    assert ("A", "grounding_single", "model", 10, "iou_mean", 0.6, 0.5, 0.7, 1, 1) in map(tuple, rows)
    assert {row[4] for row in rows if row[-1]} == {"iou_mean", "boundary_error"}
