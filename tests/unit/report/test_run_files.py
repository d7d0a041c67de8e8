"""Reading the files of a run."""

import json

import numpy as np
import pyarrow as pa
import pytest
from report_run import build_run
from small_tables import grounding_record

from fragmodel.data.grammar import NONE
from fragmodel.errors import UserError
from fragmodel.report import run_files
from fragmodel.tables import RECORDS, read_rows, write_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("run"), ("VenusX_Dom",))


def test_splits_agree_with_a_plain_count(run):
    for part, path in zip(
        run_files.read_splits(run["records"], run["rejects"]), run_files.by_place(run["records"]), strict=True
    ):
        rows = read_rows(path, RECORDS)
        assert (part.data_name, part.task_type, part.split) == run_files.place_of(path)
        assert part.records == len(rows)
        assert part.proteins == len({row["uid"] for row in rows})
        spans = [row["position_ref"] for row in rows if row["position_ref"]]
        spans += [span for row in rows for group in row["position_grd"] or [] for span in group]
        assert sorted(part.fragment_lengths) == sorted(end - start for start, end in spans)
        absent = [row for row in rows if row["answer"] == NONE]
        assert part.absent == len(absent) == (len(rows) // 4 if part.task_type == "grounding_single" else 0)
        assert part.classes.total() == sum(len(row["classes"]) for row in rows if row not in absent)


def test_rejects_are_counted_by_reason(run):
    rows = run_files.read_rejects(run["rejects"])
    assert sum(row["counts"].total() for row in rows) == 24  # 3 + 0 + 3 in each of four tasks
    assert [row["counts"].total() for row in rows] == [8, 8, 8]
    assert rows[0]["example"].startswith("VenusX_Dom/train.json, record ")


def test_a_step_that_ran_twice_counts_once_as_run_last(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [
        {"step": 5, "loss": 3},
        {"step": 10, "loss": 2},
        {"step": 10, "eval_loss": 2.5},
        {"step": 10, "loss": 1},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "\n")
    log = run_files.read_log(path)
    assert [(entry["step"], entry["loss"]) for entry in log.train] == [(5, 3), (10, 1)]
    assert [entry["eval_loss"] for entry in log.valid] == [2.5]
    assert log.well_formed == log.score == []
    assert log.chosen is None


def test_the_log_says_which_step_became_the_model(tmp_path):
    path = tmp_path / "log.jsonl"
    chosen = {"step": 10, "chosen": "eval_score", "value": 0.5}
    lines = [
        {"step": 10, "loss": 2},
        {"step": 10, "well_formed": 1.0, "score": 0.5},
        {"step": 20, "score": 0.25},
        chosen,
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = run_files.read_log(path)
    assert [entry["score"] for entry in log.score] == [0.5, 0.25]
    assert log.chosen == chosen


@pytest.mark.parametrize(
    "train, valid, warning",
    [
        ([3.0, 1.0], [], ""),
        ([3.0, 1.0], [2.0, 1.4], ""),
        (
            [3.0, 1.51],
            [4.0, 3.34],
            "The model is overfitted: the last validation loss is 3.34, the training loss 1.51.",
        ),
        (
            [3.0, 1.0],
            [1.2, 1.5],
            "The model is overfitted: the last validation loss is 1.50, the training loss 1.00; it was 1.20 at step 1.",
        ),
    ],
)
def test_overfitting_is_a_validation_loss_of_one_and_a_half_training_losses(train, valid, warning):
    log = run_files.Log(
        [{"step": step, "loss": value} for step, value in enumerate(train, start=1)],
        [{"step": step, "eval_loss": value} for step, value in enumerate(valid, start=1)],
        [],
    )
    assert log.losses.warning() == warning and log.steps == 2


def test_the_loss_of_the_model_is_that_of_the_step_that_was_chosen():
    train = [{"step": step, "loss": 1.0} for step in (10, 20)]
    valid = [{"step": 10, "eval_loss": 1.2}, {"step": 20, "eval_loss": 1.5}]
    losses = run_files.Log(train, valid, [], chosen={"step": 10, "chosen": "eval_loss"}).losses
    assert (losses.valid, losses.kept, losses.chosen_step) == (1.5, 1.2, 10)
    assert losses.warning() == (
        "The training ended overfitted: the last validation loss is 1.50, the training loss 1.00; it was 1.20 at "
        "step 10. The model is that of step 10."
    )
    losses = run_files.Log(train, valid, [], chosen={"step": 20, "chosen": "eval_score"}).losses
    assert (losses.kept, losses.chosen_step) == (1.5, None) and losses.warning().startswith(
        "The model is overfitted"
    )


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 2}'])
def test_a_broken_log_line_is_named(tmp_path, line):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": 2}\n' + line + "\n")
    with pytest.raises(UserError, match="line 2"):
        run_files.read_log(path)


def test_residues_count_once_and_ignored_ones_only_where_they_are_true():
    places = run_files.of_any_class
    truth = run_files.Truth(20, places([[[0, 5], [3, 8]], [[7, 9]]]), [])
    assert truth.residues(places([[[0, 2]], [[1, 3], [15, 20]]])) == (9, 8)
    cut = run_files.Truth(20, truth.spans, places([[[8, 18]]]))
    assert cut.residues(places([[[0, 2]], [[1, 3], [8, 20]]])) == (9, 3 + 1 + 2)
    assert cut.residues(places(None)) == (9, 0)


def test_truths_are_those_of_the_scored_records(run):
    scored = run_files.read_scored(run["scored"])
    truths = run_files.read_truths(run["records"], scored)
    rows = read_rows(
        run["scored"][0].parent.parent / "data/VenusX_Dom/grounding_single/test.parquet", RECORDS
    )
    for row in rows:
        mask = np.zeros(len(row["sequence"]), bool)
        for start, end in row["position_grd"][0]:
            mask[start:end] = True
        truth = truths["VenusX_Dom", "grounding_single", row["record_id"]]
        assert truth.residues(truth.spans) == (mask.sum(), mask.sum()) and truth.length == len(mask)


@pytest.mark.parametrize("ignored, expected", [(None, (10, 25)), ([(25, 40)], (10, 10))])
def test_parts_that_scores_pass_over_count_in_no_figure(tmp_path, ignored, expected):
    """The dot of a record in the figure of lengths has the residues of its scores: TP + FN and TP + FP."""
    row = grounding_record("r1", "P", {"A": [(5, 15)]}) | {
        "position_ignored": ignored and [{"class_name": "B", "start": s, "end": e} for s, e in ignored]
    }
    path = tmp_path / row["data_name"] / row["task_type"] / "test.parquet"
    path.parent.mkdir(parents=True)
    write_table(path, RECORDS, [row])
    (truth,) = run_files.read_truths([path], pa.table({"record_id": ["r1"]})).values()
    assert truth.residues(run_files.of_any_class([[[5, 15], [25, 40]]])) == expected


def test_the_family_is_the_one_that_the_records_were_made_with(tmp_path):
    paths = []
    for data_name, arguments in (("Mine_A", {"family": "epitope"}), ("Mine_Act", {})):
        path = tmp_path / data_name / "grounding_single" / "test.parquet"
        path.parent.mkdir(parents=True)
        write_table(path, RECORDS, [], {"arguments": arguments})
        paths.append(path)
    assert run_files.read_families(paths) == {"Mine_A": "epitope", "Mine_Act": "active site"}
