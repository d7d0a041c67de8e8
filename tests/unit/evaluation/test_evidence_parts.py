"""Scores of a model that was asked with evidence and without."""

import json

from small_tables import grounding_record, prediction, write_records

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.evaluation.claims import standings
from fragmodel.evaluation.score import score
from fragmodel.tables import PREDICTIONS, SCORED, read_rows, write_table
from fragmodel.vocabulary import MODEL, WITHOUT_EVIDENCE

PLACE = f"{SPAN_OPEN}(10,20){SPAN_CLOSE}"


def answer(record_id, text, system, prompt):
    row = prediction(record_id, "grounding_single", text, system) | {"prompt": prompt}
    return row | {"confidence": None, "place_confidences": None, "residue_scores": None}


def test_parts_are_those_whose_question_has_evidence(tmp_path):
    rows = [
        grounding_record(f"r{number}", f"P{number}", {"A": [(10, 20)]}, "grounding_single")
        for number in range(12)
    ]
    write_records(tmp_path, rows)
    helped = f"Where?\nRelatives:\n1. 40 %: {PLACE}"
    alone = "Where?\nRelatives: none known"
    answers = [answer(f"r{n}", PLACE, MODEL, helped) for n in range(8)]
    answers += [answer(f"r{n}", "none", MODEL, alone) for n in range(8, 12)]
    without = [answer(f"r{n}", "none", WITHOUT_EVIDENCE, alone) for n in range(12)]
    for name, some in (("model", answers), ("without", without)):
        write_table(tmp_path / f"{name}.parquet", PREDICTIONS, some)
    records = tmp_path / "records.parquet"
    metrics = score(
        [tmp_path / "model.parquet", tmp_path / "without.parquet"],
        [records],
        train=[records],
        metrics_output=tmp_path / "metrics.json",
        table_output=tmp_path / "scored.parquet",
        bootstrap_samples=0,
    )
    found = json.loads((tmp_path / "metrics.json").read_text())["D"]["grounding_single"]
    assert found["subsets"]["evidence_some"]["n"] == 8
    assert found["subsets"]["evidence_some"][MODEL]["iou_mean"] == 1
    assert found["subsets"]["evidence_none"][MODEL]["iou_mean"] == 0
    assert found["baselines"][WITHOUT_EVIDENCE]["iou_mean"] == 0
    assert standings(metrics) == {}, "a model is no baseline of itself"
    prompts = {row["prompt"] for row in read_rows(tmp_path / "scored.parquet", SCORED)}
    assert prompts == {helped, alone}, "those of the model, not of its repetition"
