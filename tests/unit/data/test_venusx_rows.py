"""VenusX as published: rows of a protein, and rows that disagree."""

import csv
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_files import RAW, SAMPLE, reasons, run_files


def test_venusx_rows_of_one_protein_need_not_be_adjacent(tmp_path):
    source = RAW / "venusx" / "token_cls.csv"
    with (SAMPLE / "VenusXcsv_Act" / "train.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    first = rows[0]
    second = {
        **first,
        "interpro_id": "IPR999999",
        "start": "1",
        "end": "2",
        "seq_fragment": first["seq_full"][:2],
    }
    shuffled = tmp_path / "shuffled.csv"
    with shuffled.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, second])
    made, rejects, summary = run_files([shuffled], tmp_path, "grounding_group", "VenusX_Act")
    assert rejects == [] and summary.accepted == len(rows) + 1
    assert made[0]["uid"] == first["uid"] and made[0]["classes"] == [
        "IPR999999",
        "IPR" + first["interpro_id"][3:],
    ]
    assert len(made) == len({row["uid"] for row in rows}) and source.exists()


good_label = "[0, 1, 1, 1, 0, 0, 0, 0, 0, 0]"


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"label": "[1, 1, 1]"}, "label_mismatch"),
        ({"label": "[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]"}, "label_mismatch"),
        ({"start": "2|7", "end": "4"}, "bad_field"),
        ({"start": "two"}, "bad_field"),
        ({"start": ""}, "bad_field"),
        ({"start": "1", "end": "3"}, "wrong_base"),
        ({"start": "3", "end": "5"}, "wrong_base"),
        ({"start": "1", "end": "3", "label": good_label}, "wrong_base"),
        ({"uid": ""}, "missing_field"),
        ({"interpro_id": ""}, "missing_field"),
        ({"seq_fragment": "WWW"}, "text_mismatch"),
    ],
)
def test_venusx_rows_that_disagree(tmp_path, changes, reason):
    good = {
        "uid": "P1", "interpro_id": "IPR1", "seq_full": "MKTAYIAKQR", "seq_fragment": "KTA", "start": "2",
        "end": "4", "label": good_label, "interpro_label": "3.0",
    }  # fmt: skip
    bad = {**good, "uid": "P2", **changes}
    if "label" not in changes and set(changes) & {"start", "end", "interpro_id", "seq_fragment"}:
        bad["label"] = ""
    path = tmp_path / "raw.csv"
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(good), lineterminator="\n")
        writer.writeheader()
        writer.writerows([good, bad])
    rows, rejects, _ = run_files([path], tmp_path, "grounding_single", "VenusX_Act")
    assert reasons(rejects) == [reason] and rejects[0]["record"] == 2
    assert rejects[0]["uid"] == (bad["uid"] or None)
    assert rows[0]["position_grd"] == [[[1, 4]]] and rows[0]["classes"] == ["IPR1"]


def test_venusx_rows_of_one_protein_that_disagree(tmp_path):
    """Each fragment of such rows is in one of the tables, whichever row comes first."""
    header = "uid,interpro_id,seq_full,seq_fragment,start,end,label\n"
    good, lower = "P1,IPR1,MKTAYIAKQR,KTA,2,4,\n", "P1,IPR2,mktayiakqr*,AYI,4,6,\n"
    other = "P1,IPR3,WWMKTAYIAKQR,KTA|YI,4|7,6|8,\n"
    label = "P1,IPR4,WWMKTAYIAKQR,KTA,4,6,[1 1]\n"
    ragged, nameless = "P1,IPR5\n", ",IPR6,MKTAYIAKQR,KTA,2,4,\n"
    (tmp_path / "raw.csv").write_text(header + good + lower + other + label + ragged + nameless)
    rows, rejects, summary = run_files([tmp_path / "raw.csv"], tmp_path, "referring_class", "VenusX_Act")
    assert sorted(row["answer"] for row in rows) == ["IPR1", "IPR2"]
    found = {(row["record"], row["reason"], row["uid"]) for row in rejects}
    assert found == {
        (3, "uid_conflict", "P1"),
        (4, "label_mismatch", "P1"),
        (5, "bad_record", None),
        (6, "missing_field", None),
    }
    assert (summary.accepted, summary.rejected) == (2, 5)


@pytest.mark.parametrize("layout", ["data/{split}-00000-of-00001.parquet", "{split}.csv", "{split}/part.csv"])
def test_hub_folder(tmp_path, layout):
    folder = tmp_path / "hub"
    (folder / ".cache").mkdir(parents=True)
    (folder / ".cache" / "test.csv").write_text("not for us")
    (folder / "README.md").write_text("---\ndataset_info: {}\n---\n")
    for split, name in (("train", "train"), ("valid", "validation"), ("test", "test")):
        path = folder / layout.format(split=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = SAMPLE / "VenusXcsv_Act" / f"{split}.csv"
        if path.suffix == ".csv":
            shutil.copy(source, path)
        else:
            with source.open(newline="") as handle:
                rows = [
                    {**row, "start": int(row["start"]), "end": int(row["end"])}
                    for row in csv.DictReader(handle)
                ]
            pq.write_table(pa.Table.from_pylist(rows), path)
    for split, count in (("train", 8), ("valid", 1), ("test", 1)):
        _, rejects, summary = run_files([folder], tmp_path, "referring_class", split=split)
        assert (summary.accepted, rejects) == (count, [])
