"""Evidence of planted relatives: where it comes from, what it says, and what a training record may not hear."""

import pytest
from planted import SPAN, protein, records, relative, write

from fragmodel.evidence.block import NOTHING, suggestions
from fragmodel.evidence.splits import limits_like
from fragmodel.evidence.stage import Tables, add_evidence
from fragmodel.tables import EVIDENCE, RECORDS, RELATIVES, read_rows

FAMILY, OTHER = protein(1), protein(2)
TRAINING = {"A1", "A2", "A3", "A1-copy", "B1", "LONE"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two families in training; validation and test have a far and a near member of the first."""
    folder = tmp_path_factory.mktemp("evidence")
    near = relative(FAMILY, 0.8, 3)
    splits = {
        "train": [
            records("A1", FAMILY),
            records("A2", near),
            records("A3", relative(FAMILY, 0.4, 4)),
            records("A1-copy", FAMILY, description="The same sequence under another name."),
            records("B1", OTHER, name="Zinc finger"),
            records("LONE", protein(9), name="Lone"),
        ],
        "valid": [records("V1", relative(FAMILY, 0.45, 5)), records("V2", protein(8))],
        "test": [
            records("T1", relative(FAMILY, 0.7, 6)),
            records("T2", relative(relative(FAMILY, 0.7, 6), 0.95, 7)),
            records("T3", protein(10)),
        ],
    }
    tables = [
        Tables(split, path, folder / "questions" / task / path.name)
        for split, proteins in splits.items()
        for task, path in write(folder, split, *proteins).items()
    ]
    counts = add_evidence(
        tables,
        lines=folder / "lines.parquet",
        relatives=folder / "relatives.parquet",
        kind_of=lambda name: "domain",
        pointers=True,
    )
    return folder, tables, counts


def lines_of(made, split):
    return [row for row in read_rows(made[0] / "lines.parquet", EVIDENCE) if row["split"] == split]


def question(made, task, split, uid):
    (row,) = [
        r for r in read_rows(made[0] / "questions" / task / f"{split}.parquet", RECORDS) if r["uid"] == uid
    ]
    return row["conversation"][-1]["content"], row["answer"]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_evidence_comes_from_training_alone(made, split):
    """T1 and T2 are nearer to each other than to any training protein."""
    assert {row["uid"] for row in lines_of(made, split)} <= TRAINING
    assert lines_of(made, split)


def test_a_training_record_hears_nothing_from_itself_nor_from_the_same_sequence(made):
    heard = {(row["record_id"].split(":")[0], row["uid"]) for row in lines_of(made, "train")}
    assert not heard & {(uid, uid) for uid in TRAINING}
    assert not heard & {("A1", "A1-copy"), ("A1-copy", "A1")}


def test_a_line_is_the_answer_at_the_place_that_the_alignment_gives(made):
    for task, said in {
        "referring_class": "Kinase",
        "referring_desc": "Transfers phosphate.",
        "grounding_single": "<|reserved_special_token_3|>(60,110)<|reserved_special_token_4|>",
        "grounding_group": "Kinase: <|reserved_special_token_3|>(60,110)<|reserved_special_token_4|>",
    }.items():
        text, answer = question(made, task, "test", "T1")
        assert suggestions(text)[0] == said
        assert answer == records("T1", "", span=SPAN)[task]["answer"], "the truth stays as it is"


def test_without_a_relative_the_question_says_so(made):
    assert question(made, "grounding_group", "test", "T3")[0].endswith(NOTHING)
    assert question(made, "grounding_group", "train", "LONE")[0].endswith(NOTHING)


def test_answers_that_a_line_agrees_with_point_to_it_in_validation(made):
    assert question(made, "referring_class", "valid", "V1")[1] == "=1"
    assert question(made, "referring_class", "valid", "V2")[1] == "Kinase"


def test_training_hears_from_no_nearer_relatives_than_validation(made):
    nearest = max(row["identity"] for row in lines_of(made, "valid"))
    assert all(row["identity"] <= nearest for row in lines_of(made, "train"))


def test_identities_are_matched_quantile_by_quantile():
    ours = {"a": 0.9, "b": 0.6, "c": 0.2, "d": 0.0}
    assert limits_like(ours, {"x": 0.5, "y": 0.3, "z": 0.25, "w": 0.0}) == {"a": 0.5, "b": 0.3}
    assert limits_like(ours, {}) == {}
    assert limits_like({}, {"x": 0.5}) == {}


def test_counts_and_relatives(made):
    folder, _, counts = made
    assert counts["test"] == (12, 8)
    known = {row["uid"]: row for row in read_rows(folder / "relatives.parquet", RELATIVES)}
    assert [each["description"] for each in known["A1"]["fragments"]] == ["Transfers phosphate."]
    assert known["B1"]["kind"] == "domain"


def test_bytes_are_the_same_again(made, tmp_path):
    folder, tables, _ = made
    again = [
        Tables(each.split, each.records, tmp_path / each.split / each.questions.parent.name)
        for each in tables
    ]
    add_evidence(
        again,
        lines=tmp_path / "lines.parquet",
        relatives=tmp_path / "relatives.parquet",
        kind_of=lambda name: "domain",
        pointers=True,
    )
    assert (tmp_path / "lines.parquet").read_bytes() == (folder / "lines.parquet").read_bytes()
    for one, other in zip(tables, again, strict=True):
        assert one.questions.read_bytes() == other.questions.read_bytes()
