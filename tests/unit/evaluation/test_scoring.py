import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_tables import grounding_record, prediction, record, write_predictions, write_records

from fragmodel.errors import UserError
from fragmodel.evaluation.score import score
from fragmodel.tables import LEAKAGE, SCORED, read_rows, write_table


@pytest.fixture
def references(tmp_path):
    return write_records(
        tmp_path,
        [
            record("c1", "P1", "referring_class", classes=["SH3 domain"], answer="SH3 domain", ref=[0, 1]),
            record("c2", "P1", "referring_class", classes=["SH2 domain"], answer="SH2 domain", ref=[3, 40]),
            record("c3", "P2", "referring_class", classes=["SH3 domain"], answer="SH3 domain", ref=[0, 30]),
            record("d1", "P2", "referring_desc", classes=["SH3 domain"], answer="Binds ATP.", ref=[0, 30]),
            grounding_record("g1", "P3", {"A": [(0, 10)], "B": [(20, 30)]}),
        ],
    )


@pytest.fixture
def predictions(tmp_path):
    return write_predictions(
        tmp_path,
        [
            prediction("c1", "referring_class", "SH3 domain."),
            prediction("c2", "referring_class", "It is an SH3 domain"),
            prediction("d1", "referring_desc", "Binds ATP."),
            prediction("g1", "grounding_group", "A: (0,10)\nB: (20,130)"),
            *(
                prediction(name, "referring_class", "SH3 domain", system="majority")
                for name in ("c1", "c2", "c3")
            ),
        ],
    )


def run(predictions, references, tmp_path, **options):
    options = {"bootstrap_samples": 0, "encode": None, "table_output": tmp_path / "scored.parquet", **options}
    return score([predictions], [references], metrics_output=tmp_path / "metrics.json", **options)


def test_metrics_by_task_and_system(references, predictions, tmp_path):
    result = run(predictions, references, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == result
    summary = result["D"]["referring_class"]
    assert (summary["n"], summary["proteins"]) == (3, 2)
    assert summary["missing"] == {"model": 1, "majority": 0}
    assert summary["model"]["accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert summary["model"]["unknown_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert summary["baselines"]["majority"]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary["per_class"][0]["class"] == "SH3 domain"
    assert result["D"]["referring_desc"]["model"]["chrf"] == 100
    assert result["D"]["referring_desc"]["baselines"] == {}  # it has no answer to any record of the task
    assert result["D"]["grounding_group"]["model"]["out_of_range_rate"] == 1


def test_scored_table_has_a_row_for_each_record_and_system(references, predictions, tmp_path):
    run(predictions, references, tmp_path)
    rows = {(row["record_id"], row["system"]): row for row in read_rows(tmp_path / "scored.parquet", SCORED)}
    assert len(rows) == 8
    assert rows["c3", "model"]["parse_status"] == "missing"
    assert rows["c2", "model"]["predicted_classes"] == ["sh3 domain"]
    assert rows["c1", "majority"]["metrics"] == {"accuracy": 1.0, "exact_match": 1.0, "unknown": 0.0}
    group = rows["g1", "model"]
    assert group["predicted_classes"] == ["A", "B"]
    assert group["predicted_spans"] == [[[0, 10]], [[20, 100]]]
    assert group["metrics"]["iou"] == pytest.approx((1 + 10 / 80) / 2)
    assert group["reference"].startswith("A: ")


def test_files_are_the_same_twice(references, predictions, tmp_path):
    run(predictions, references, tmp_path, bootstrap_samples=200)
    names = ("metrics.json", "scored.parquet")
    before = [(tmp_path / name).read_bytes() for name in names]
    run(predictions, references, tmp_path, bootstrap_samples=200)
    assert before == [(tmp_path / name).read_bytes() for name in names]


@pytest.fixture
def many(tmp_path):
    """Twelve proteins with a record each; the model names the right class of eleven, the baselines of none or ten."""
    references = write_records(
        tmp_path,
        [
            record(f"r{i}", f"P{i}", "referring_class", classes=["A"], answer="A", ref=[0, 9])
            for i in range(12)
        ],
    )
    right = {"model": range(11), "majority": [], "alignment": range(10)}
    answers = [
        prediction(f"r{i}", "referring_class", "A" if i in known else "B", system=system)
        for system, known in right.items()
        for i in range(12)
    ]
    return write_predictions(tmp_path, answers), references


def test_intervals_and_tests_of_enough_proteins(many, tmp_path):
    summary = run(*many, tmp_path, bootstrap_samples=200)["D"]["referring_class"]
    accuracy = summary["model"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] == round(11 / 12, 6) < accuracy["high"] < 1
    assert summary["against"]["majority"] == {
        "metric": "accuracy",
        "records": 12,
        "proteins": 12,
        "difference": round(11 / 12, 6),
        "low": pytest.approx(0.733, abs=1e-3),
        "high": pytest.approx(1.1, abs=1e-3),
        "p": round(2 / 2**11, 6),  # eleven proteins differ, all one way
    }
    assert summary["against"]["alignment"]["p"] == 1  # one protein differs: both arrangements are as extreme


def test_all_data_sets_together_are_tested_as_one(tmp_path):
    """Six proteins in each of two data sets, one of them in both; a system that leaves one out is not compared."""
    rows = [(data, f"P{n + 5 * (data == 'E')}", f"{data}{n}") for data in "DE" for n in range(6)]
    references = write_records(
        tmp_path,
        [
            record(name, uid, "referring_class", classes=["A"], answer="A", ref=[0, 9], data=data)
            for data, uid, name in rows
        ],
    )
    answers = [
        prediction(name, "referring_class", text, system=system, data=data)
        for system, text in {"model": "A", "majority": "B", "alignment": "B"}.items()
        for data, _, name in rows
        if (system, data) != ("alignment", "E")
    ]
    found = run(write_predictions(tmp_path, answers), references, tmp_path)
    assert found["D"]["referring_class"]["against"]["majority"]["p"] is None, "six proteins are too few"
    whole = found["all data sets"]["referring_class"]
    assert (whole["n"], whole["proteins"], list(whole["against"])) == (12, 11, ["majority"])
    assert whole["against"]["majority"]["p"] == round(2 / 2**11, 6)


def test_few_proteins_have_numbers_alone(references, predictions, tmp_path):
    """One record right against one wrong is no better system."""
    summary = run(predictions, references, tmp_path, bootstrap_samples=200)["D"]["referring_class"]
    assert all(isinstance(value, float) for value in summary["model"].values())
    assert summary["proteins"] == 2 and summary["against"]["majority"]["p"] is None
    json.dumps(summary, allow_nan=False)


def test_parts_by_length_and_identity(references, predictions, tmp_path):
    audit = tmp_path / "leakage.parquet"
    identities = {"c1": (0.0, 0.9), "c2": (1.0, None), "c3": (0.29, 0.0)}
    rows = [
        {
            "record_id": name,
            "uid": "",
            "data_name": "D",
            "task_type": "referring_class",
            "identity": identity,
            "fragment_identity": of_fragment,
        }
        for name, (identity, of_fragment) in identities.items()
    ]
    write_table(audit, LEAKAGE, rows)
    options = {"leakage": audit, "task": "referring_class"}
    parts = run(predictions, references, tmp_path, **options)["D"]["referring_class"]["subsets"]
    assert {name: part["n"] for name, part in parts.items()} == {
        "fragment_length_1": 1,
        "fragment_length_21-100": 2,
        "clean": 1,
        "identity_0-0.3": 2,
        "identity_0.9-1": 1,
        "fragment_identity_0-0.3": 1,
        "fragment_identity_0.9-1": 1,
    }
    assert parts["clean"]["model"]["accuracy"] == 0  # c3 alone, which has no prediction
    assert parts["clean"]["baselines"]["majority"]["accuracy"] == 1
    clean = run(predictions, references, tmp_path, clean_only=True, **options)["D"]["referring_class"]
    assert (clean["n"], clean["clean_below"]) == (1, 0.3)
    assert clean["baselines"]["majority"] == parts["clean"]["baselines"]["majority"]
    with pytest.raises(UserError, match="every test record has a relative of 20% identity"):
        run(predictions, references, tmp_path, clean_only=True, identity_threshold=0.2, **options)
    with pytest.raises(UserError, match="give the audit's leakage table"):
        run(predictions, references, tmp_path, clean_only=True)
    write_table(audit, LEAKAGE, rows[:2])
    with pytest.raises(UserError, match="record 'c3' is not in the leakage table"):
        run(predictions, references, tmp_path, **options)


@pytest.mark.parametrize("name", ["made.csv", "made.parquet"])
def test_predictions_made_elsewhere(references, tmp_path, name):
    rows = {"record_id": ["c1", "c2"], "text": ["SH3 domain", "SH2\ndomain"]}
    if name.endswith(".csv"):
        (tmp_path / name).write_text('record_id,text\nc1,SH3 domain\nc2,"SH2\ndomain"\n')
    else:
        pq.write_table(pa.table(rows), tmp_path / name)
    result = run(tmp_path / name, references, tmp_path, task="referring_class")
    assert list(result["D"]) == ["referring_class"]
    assert result["D"]["referring_class"]["model"]["exact_match"] == pytest.approx(2 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record_id,answer\nc1,x\n", "column 'text' is missing"),
        ("record_id,text\nc9,x\n", "row 1: record_id 'c9' is not among the references"),
        ("record_id,text\nc1,x\nc1,y\n", "row 2: a second answer to record 'c1'"),
        ("record_id,text\n", "no predictions"),
    ],
)
def test_faulty_predictions_are_refused_and_leave_no_output(references, tmp_path, text, message):
    (tmp_path / "made.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        run(tmp_path / "made.csv", references, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_an_id_of_two_tasks_needs_the_task(tmp_path):
    rows = [
        record("x", "P", task, classes=["A"], answer="A", ref=[0, 3])
        for task in ("referring_class", "referring_desc")
    ]
    (tmp_path / "made.csv").write_text("record_id,text\nx,A\n")
    with pytest.raises(UserError, match="add columns data_name and task_type"):
        run(tmp_path / "made.csv", write_records(tmp_path, rows), tmp_path)
    (tmp_path / "made.csv").write_text("record_id,text,task_type\nx,A,referring_desc\n")
    result = run(tmp_path / "made.csv", tmp_path / "records.parquet", tmp_path)
    assert result["D"]["referring_class"]["missing"] == {"model": 1}


def test_retrieval_searches_the_training_descriptions(references, predictions, tmp_path):
    train = write_records(
        tmp_path,
        [
            record("t1", "T1", "referring_desc", classes=["SH3 domain"], answer="ATP", ref=[0, 3]),
            record("t2", "T2", "referring_desc", classes=["other"], answer="zinc", ref=[0, 3]),
        ],
        "train.parquet",
    )

    def encode(texts):
        return np.array([["ATP" in text, "zinc" in text] for text in texts], dtype=np.float32)

    metrics = run(predictions, references, tmp_path, train=[train], encode=encode)["D"]["referring_desc"][
        "model"
    ]
    assert (metrics["similarity"], metrics["retrieval_top1"], metrics["retrieval_mrr"]) == (1, 1, 1)
