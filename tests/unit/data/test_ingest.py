"""The two tables: whole or not at all, the same bytes, every fragment accounted for."""

import hashlib
import json
import random

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_files import SAMPLE, SEQUENCE, protein, run, run_files

from fragmodel import tables
from fragmodel.data.ingest import ingest, iter_records
from fragmodel.errors import UserError
from fragmodel.tables import Reject

POSITION_TASKS = ("referring_desc", "referring_class", "grounding_single", "grounding_group")
FAMILIES = ("Dom", "Act", "BindI", "Evo", "Motif")


@pytest.mark.parametrize("task", POSITION_TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_sample_is_accepted_whole(tmp_path, family, task):
    for split in ("train", "valid", "test"):
        path = SAMPLE / f"VenusX_{family}" / f"{split}.json"
        proteins = json.loads(path.read_text())
        fragments = sum(len(entry["frags"]) for p in proteins for entry in p["fragments"])
        rows, rejects, summary = run_files([path], tmp_path, task, f"VenusX_{family}", split=split)
        assert rejects == [] and summary.accepted == fragments
        assert {row["uid"] for row in rows} == {p["uid"] for p in proteins}
        # The words of each referred fragment, by the file's own convention.
        if task == "referring_class":
            expected = sorted(
                (f["sequence"], e["category"]) for p in proteins for e in p["fragments"] for f in e["frags"]
            )
            assert (
                sorted((row["sequence"][slice(*row["position_ref"])], row["answer"]) for row in rows)
                == expected
            )


def test_same_input_same_bytes(tmp_path):
    path = SAMPLE / "VenusX_Dom" / "test.json"
    digests = []
    for _ in range(2):
        run_files([path], tmp_path)
        digests.append(hashlib.sha256((tmp_path / "out.parquet").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_metadata_says_what_the_tables_were_made_from(tmp_path):
    path = SAMPLE / "VenusX_Dom" / "test.json"
    _, _, summary = run_files([path], tmp_path, max_sequence_length=500)
    for name in ("out", "rejects"):
        metadata = tables.read_metadata(tmp_path / f"{name}.parquet")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert metadata["inputs"] == [{"name": "test.json", "sha256": sha256, "format": "nested"}]
        assert metadata["counts"] == {
            "accepted": 11,
            "rejected": 0,
            "lacking": 0,
            "records": summary.records,
            "reasons": {},
        }
        assert metadata["arguments"]["max_sequence_length"] == 500 and metadata["contract_version"] == (
            2 if name == "out" else 1
        )
    assert pq.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_too_many_rejects_stop_the_run_and_leave_nothing(tmp_path):
    records = [protein(), protein("P2", sequence="M-K"), protein("P3", fragments=[])]
    with pytest.raises(
        UserError, match=r"1 of 2 fragments of VenusX_Dom / grounding_group.*50.0%; max.*40.0%\): 1 gap; "
    ):
        run(tmp_path, records, max_rejected_fraction=0.4)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.json"]
    _, _, summary = run(tmp_path, records, max_rejected_fraction=0.7)
    assert summary.reasons == {"gap": 1, "no_fragments": 1}


def test_the_summary_quotes_the_first_reject(tmp_path):
    with pytest.raises(UserError, match=r"1 gap; the first gap is record 2 of .*raw\.json: '-' at residue 2"):
        run(tmp_path, [protein(), protein("P2", sequence="M-K")], max_rejected_fraction=0.1)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_files_that_give_no_record_are_told_of_with_the_reasons(tmp_path, split):
    records = [protein(fragments=[]), protein("P2", fragments=[])]
    with pytest.raises(
        UserError, match=rf"no record for the {split} split of VenusX_Dom.*2 no_fragments; the first: "
    ) as error:
        run(tmp_path, records, split=split, allow_empty=False)
    assert "\n" not in str(error.value) and [path.name for path in tmp_path.iterdir()] == ["raw.json"]
    run_files([], tmp_path, split=split, allow_empty=False)  # a split without files may be empty
    assert run(tmp_path, [*records, protein("P3")], split=split, allow_empty=False)[2].accepted == 1


def test_outputs_never_replace_an_input_or_each_other(tmp_path):
    raw, other = tmp_path / "raw.json", tmp_path / "other.parquet"
    raw.write_text(json.dumps([protein()]))
    text = raw.read_bytes()
    for output, rejects, says in (
        (raw, other, "is a raw file"),
        (other, tmp_path / "x" / ".." / "raw.json", "is a raw file"),
        (other, other, "name two files"),
        (tmp_path, other, "is a folder"),
    ):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=says):
            ingest([raw], task="grounding_group", data_name="X", output=output, rejects=rejects)
    assert raw.read_bytes() == text and not other.exists()


def test_a_fault_leaves_earlier_outputs_as_they_were(tmp_path):
    run(tmp_path, [protein()])
    before = (tmp_path / "out.parquet").read_bytes()
    with pytest.raises(UserError, match="ends early"):
        run(tmp_path, json.dumps([protein(), protein("P2")])[:-9])
    assert (tmp_path / "out.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "raw.json", "rejects.parquet"]


def test_no_raw_files_give_empty_tables(tmp_path):
    rows, rejects, summary = run_files([], tmp_path)
    assert (rows, rejects, summary.accepted, summary.rejected) == ([], [], 0, 0)


def test_several_files_share_one_table(tmp_path):
    paths = [SAMPLE / "VenusX_Evo" / f"{split}.json" for split in ("train", "valid", "test")]
    rows, rejects, _ = run_files([*paths, paths[0]], tmp_path, data_name="VenusX_Evo")
    assert len(rows) == 34 and {row["reason"] for row in rejects} == {"duplicate"}
    assert {row["source"] for row in rejects} == {str(paths[0])} and len(rejects) == 29


def test_iter_records_gives_the_rows_of_the_table(tmp_path):
    path = SAMPLE / "VenusX_BindI" / "test.json"
    rows, _, _ = run_files([path], tmp_path, "grounding_single", "VenusX_BindI", split="train")
    streamed = iter_records([path], task="grounding_single", data_name="VenusX_BindI", split="train")
    # Read as plain dicts: the streamed records' spans are lists there.
    assert json.loads(json.dumps([record._asdict() for record in streamed])) == rows
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps([protein(fragments=[])]))
    (reject,) = iter_records([bad], task="grounding_group", data_name="X")
    assert isinstance(reject, Reject) and (reject.source, reject.record, reject.uid) == (str(bad), 1, "P1")


def test_unknown_task_or_split(tmp_path):
    with pytest.raises(UserError, match="unknown split 'validation'; known: train, valid, test"):
        run(tmp_path, [protein()], split="validation")
    with pytest.raises(UserError, match="unknown task 'referring'; known: referring_desc"):
        ingest([], task="referring", data_name="X", output=tmp_path / "o", rejects=tmp_path / "r")


@given(st.integers(0, 2**32), st.sampled_from(POSITION_TASKS))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_accepted_and_rejected_account_for_every_fragment(tmp_path, seed, task):
    """Random damage: each fragment of the file is in exactly one of the tables, and each reject says where."""
    dice = random.Random(seed)
    records, fragments = [], 0
    for number in range(dice.randint(1, 6)):
        length = dice.choice([33, 33, 1500, 2600])
        sequence = (SEQUENCE * 80)[:length]
        classes = []
        for c in range(dice.randint(0, 3)):
            starts = [dice.randint(0, length - 20) for _ in range(dice.randint(1, 3))]
            classes.append(
                (f"IPR{c}", f"Class {c}", [(start, start + dice.randint(0, 19)) for start in starts])
            )
        record = protein(f"P{number}", sequence=sequence, classes=classes)
        places = [place for entry in record["fragments"] for place in entry["frags"]]
        for place in places:
            damage = dice.choice(["none"] * 6 + ["text", "end", "type", "outside"])
            place.update(
                {"none": {}, "text": {"sequence": "W"}, "end": {"end_position": -5}, "type": {"length": "x"},
                 "outside": {"start_position": length + 5, "sequence": None}}[damage]
            )  # fmt: skip
        if dice.random() < 0.2:
            record["sequence"] = dice.choice(["", "M-K", None])
        fragments += max(1, len(places))
        records.append(record)
    rows, rejects, summary = run(tmp_path, records, task=task)
    assert summary.accepted + summary.rejected == fragments
    assert all(row["source"] and 1 <= row["record"] <= len(records) and row["detail"] for row in rejects)
    assert len({row["record_id"] for row in rows}) == len(rows)
