"""Scores of questions about what a protein does not have."""

import csv

import pytest
from raw_files import SAMPLE
from small_tables import prediction, write_predictions, write_records

from fragmodel import metric_names
from fragmodel.data.catalogue import Negatives
from fragmodel.data.grammar import format_spans
from fragmodel.data.ingest import ingest
from fragmodel.evaluation.claims import by_data_set
from fragmodel.evaluation.score import score
from fragmodel.tables import RECORDS, SCORED, read_rows
from fragmodel.vocabulary import Span


@pytest.fixture(scope="module")
def absent_too(tmp_path_factory):
    """Real test records of two families, with some about what their proteins do not have."""
    folder, tables = tmp_path_factory.mktemp("absent"), []
    for name in ("VenusX_Act", "VenusX_Motif"):
        for task in ("grounding_single", "grounding_group"):
            tables.append(folder / f"{name}-{task}.parquet")
            ingest(
                [SAMPLE / name / "test.json"], task=task, data_name=name, output=tables[-1],
                rejects=folder / "rejects.parquet", negatives=Negatives(1.0),
            )  # fmt: skip
    return tables


def answers(tables, say):
    rows = [row for table in tables for row in read_rows(table, RECORDS)]
    return [prediction(row["record_id"], row["task_type"], say(row), data=row["data_name"]) for row in rows]


def test_a_system_that_always_answers_and_one_that_never_does(absent_too, tmp_path):
    """Each finds a place for every question, or none for any; a third one knows, and places all rightly."""
    first = format_spans([Span(0, 9)])
    systems = {
        "model": lambda row: first if row["task_type"] == "grounding_single" else f"Motif: {first}",
        "never": lambda row: "none",
        "knows": lambda row: row["answer"],
        "silent": lambda row: "",
    }
    rows = [row | {"system": name} for name, say in systems.items() for row in answers(absent_too, say)]
    predictions = write_predictions(tmp_path, rows)
    options = {"bootstrap_samples": 0, "encode": None}
    result = score(
        [predictions],
        absent_too,
        metrics_output=tmp_path / "m.json",
        table_output=tmp_path / "s.parquet",
        **options,
    )
    for data_name in ("VenusX_Act", "VenusX_Motif"):
        summary = result[data_name]["grounding_single"]
        assert 2 <= summary["absent"] <= summary["n"] / 2
        parts = [part for name, part in summary["subsets"].items() if name.startswith("fragment_length")]
        assert sum(part["n"] for part in parts) == summary["n"] - summary["absent"]
        assert not any(part["absent"] for part in parts)  # what is absent has no length
        found = {"model": summary["model"], **summary["baselines"]}
        share = round(1 - summary["absent"] / summary["n"], 6)
        wanted = {
            "false_positive_rate": 1,
            "specificity": 0,
            "detection_precision": share,
            "detection_recall": 1,
        }
        assert {key: found["model"][key] for key in wanted} == wanted
        wanted = {"false_positive_rate": 0, "specificity": 1, "detection_precision": 0, "detection_recall": 0}
        assert {key: found["never"][key] for key in wanted} == wanted
        assert found["never"]["parse_failure_rate"] == found["never"]["iou_mean"] == 0
        assert found["never"]["residue_mcc_all"] == 0
        perfect = {
            "false_positive_rate": 0,
            "detection_precision": 1,
            "detection_recall": 1,
            "residue_mcc_all": 1,
        }
        assert {key: found["knows"][key] for key in perfect} == perfect
        assert found["knows"]["iou_mean"] == found["knows"]["f1_95"] == 1
        assert found["silent"]["parse_failure_rate"] == 1 and found["silent"]["false_positive_rate"] == 0
        # No protein of the sample is without any fragment.
        group = result[data_name]["grounding_group"]
        assert group["absent"] == 0 and not set(group["model"]) & set(metric_names.DETECTION)
    scored = read_rows(tmp_path / "s.parquet", SCORED)
    assert {row["metrics"]["specificity"] for row in scored if row["reference"] == "none"} == {0.0, 1.0}
    assert not any("iou" in row["metrics"] for row in scored if row["reference"] == "none")
    positive = [[row for row in read_rows(table, RECORDS) if row["answer"] != "none"] for table in absent_too]
    alone = [write_records(tmp_path, rows, f"{n}.parquet") for n, rows in enumerate(positive)]
    kept = {row["record_id"] for rows in positive for row in rows}
    predictions = write_predictions(tmp_path, [row for row in rows if row["record_id"] in kept])
    before = score([predictions], alone, metrics_output=tmp_path / "m.json", table_output=None, **options)
    for data_name, tasks in by_data_set(before).items():
        for task, summary in tasks.items():
            for key, value in summary["model"].items():
                if metric_names.metric(key).given_presence:
                    assert result[data_name][task]["model"][key] == value


def test_confidences_of_a_file_give_auroc(absent_too, tmp_path):
    rows = [row for table in absent_too for row in read_rows(table, RECORDS)]
    with (tmp_path / "made.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["record_id", "data_name", "task_type", "text", "confidence"])
        for row in rows:
            sure = 0.2 if row["answer"] == "none" else 0.9
            writer.writerow([row["record_id"], row["data_name"], row["task_type"], "(0,9)", sure])
    options = {"metrics_output": tmp_path / "m.json", "table_output": None, "encode": None}
    result = score([tmp_path / "made.csv"], absent_too, bootstrap_samples=50, **options)
    found = result["VenusX_Motif"]["grounding_single"]["model"]
    assert found["detection_auroc"] == found["false_positive_rate"] == 1  # too few proteins for an interval
