"""Tables and verdicts from metrics, on small hand-made numbers."""

import pytest

from fragmodel.evaluation.claims import Standing
from fragmodel.report import metric_tables


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


METRICS = {
    "A": {
        "grounding_single": {
            "n": 10,
            "proteins": 10,
            "against": {
                "majority": {"difference": 0.4, "p": 0.002},
                "alignment": {"difference": 0.2, "p": 0.01},
            },
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
            "proteins": 4,
            "against": {"majority": {"difference": 0.05, "p": None}},
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
    assert not rows["B", "random_span"].best and rows["B", "model"].too_few
    equal = {
        "A": {
            "grounding_single": {
                "n": 20,
                "proteins": 20,
                "model": {"iou_mean": 0.5},
                "baselines": {"b": {"iou_mean": 0.5}},
            }
        }
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


def test_verdict_averages_baselines_that_all_data_sets_have():
    verdict = metric_tables.verdict(metric_tables.task_table(METRICS, "grounding_single"))
    assert (verdict.model.data_sets, verdict.model.records) == pytest.approx(
        ((0.6 + 0.5) / 2, (10 * 0.6 + 5 * 0.5) / 15)
    )
    # alignment and random_span are better on the data set that they have, yet do not cover both
    assert verdict.baseline_name == "majority"
    assert (verdict.baseline.data_sets, verdict.baseline.records) == pytest.approx(
        ((0.2 + 0.45) / 2, (10 * 0.2 + 5 * 0.45) / 15)
    )
    assert (verdict.data_sets, verdict.records) == (2, 15)


def test_records_without_anything_to_find_have_no_weight_in_what_is_conditional_on_presence():
    metrics = {}
    for name, absent, value in (("A", 6, 1.0), ("B", 0, 0.5)):
        part = {"n": 8, "absent": absent, "model": {"iou_mean": value}, "baselines": {}}
        metrics[name] = {"grounding_single": {**part, "proteins": 8, "subsets": {"clean": part}}}
    table = metric_tables.task_table(metrics, "grounding_single")
    found = metric_tables.verdict(table)
    assert (found.records, found.model.records) == pytest.approx((2 + 8, (2 * 1.0 + 8 * 0.5) / 10))
    assert found.scored == 16
    assert [row["n"] for row in metric_tables.subset_table(metrics, "grounding_single")] == [2, 8]
    assert [row[3] for row in metric_tables.csv_rows(table)[1]] == [2, 8]


def test_a_set_of_one_record_weighs_as_one_of_fourteen_in_one_mean_alone():
    metrics = {
        name: {"referring_class": {"n": n, "proteins": n, "model": {"accuracy": value}, "baselines": {}}}
        for name, n, value in (("A", 1, 1.0), ("B", 14, 0.5))
    }
    found = metric_tables.verdict(metric_tables.task_table(metrics, "referring_class")).model
    assert (found.data_sets, found.records) == pytest.approx((0.75, 8 / 15))


def test_claims_are_those_of_the_tests_not_of_intervals_apart():
    """The intervals of A's alignment and model overlap, those of majority do not: neither matters."""
    table = metric_tables.task_table(METRICS, "grounding_single")
    assert table.standings == {"A": Standing.BETTER, "B": Standing.TOO_FEW}
    verdict = metric_tables.verdict(table)
    assert (verdict.better, verdict.too_few, len(verdict.standings)) == (1, 1, 2)


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
    summary = {
        "n": 40,
        "proteins": 20,
        "absent": 2,
        "model": model,
        "baselines": {"majority": {"false_positive_rate": 1.0}},
    }
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
