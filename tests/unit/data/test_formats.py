"""Two formats of the same proteins give the same Parquet; every container of a format is recognised."""

import csv
import gzip
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_files import RAW, SAMPLE, protein, reasons, refused_file, run, run_files

from fragmodel.data.readers import containers
from fragmodel.errors import UserError
from fragmodel.vocabulary import TASK_TYPES, told_family

POSITION_TASKS = TASK_TYPES[:4]
# What a format without the collection's own description texts has in common with nested JSON.
CLASS_TASKS = ("referring_class", "grounding_single", "grounding_group")


def sorted_rows(rows):
    return sorted(rows, key=lambda row: row["record_id"])


@pytest.mark.parametrize("task", CLASS_TASKS)
@pytest.mark.parametrize(
    "raw, nested, data_name",
    [
        (["venusx/token_cls.csv"], "venusx/nested.json", "VenusX_Act"),
        (["uniprot/entries.dat"], "uniprot/flat_nested_Act.json", "VenusX_Act"),
        (["uniprot/entries.dat"], "uniprot/flat_nested_BindI.json", "Venux_BindI"),
        (["uniprot/entries.json"], "uniprot/json_nested_Act.json", "VenusX_Act"),
        (["uniprot/entries.json"], "uniprot/json_nested_BindI.json", "VenusX_BindI"),
        (["interproscan/results.json"], "interproscan/nested_Dom.json", "VenusX_Dom"),
        (
            ["interproscan/results.tsv", "interproscan/results.faa"],
            "interproscan/nested_Dom.json",
            "VenusX_Dom",
        ),
        (["interproscan/results.tsv"], "interproscan/nested_Evo.json", "VenusX_Evo"),
    ],
)
def test_same_proteins_same_records(tmp_path, raw, nested, data_name, task):
    rows, rejects, summary = run_files([RAW / name for name in raw], tmp_path, task, data_name)
    expected, _, _ = run_files([RAW / nested], tmp_path, task, data_name)
    # P55742 binds two ions of one kind at one residue: one fragment, and a row that says so and does not count.
    two_ions = [("P55742", "same_feature")] if "flat_nested_BindI" in nested else []
    assert [(row["uid"], row["reason"]) for row in rejects] == two_ions and len(expected) >= 2
    assert summary.rejected_fraction == 0
    assert sorted_rows(rows) == sorted_rows(expected)


@pytest.mark.parametrize("task", ["grounding_group", "grounding_single", "referring_class"])
def test_conversations_of_every_container_give_the_same_bytes(tmp_path, task):
    records = json.loads((RAW / "conversation" / f"{task}.json").read_text())
    python_literals = tmp_path / "literals.csv"
    with python_literals.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(records[0]))
        writer.writeheader()
        writer.writerows({k: str(v) if isinstance(v, list) else v for k, v in r.items()} for r in records)
    lines = tmp_path / "records.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    packed = tmp_path / "records.json.gz"
    packed.write_bytes(gzip.compress((RAW / "conversation" / f"{task}.json").read_bytes()))
    table = tmp_path / "records.parquet"
    pq.write_table(pa.Table.from_pylist(records), table)
    expected, rejects, _ = run_files([RAW / "conversation" / f"{task}.json"], tmp_path, task)
    assert rejects == [] and expected
    for path in (RAW / "conversation" / f"{task}.csv", lines, packed, table):
        assert run_files([path], tmp_path, task)[0] == expected, path
    rows = run_files([python_literals], tmp_path, task)[0]
    assert [{**row, "flags": []} for row in rows] == expected  # csv ends lines with CRLF, which is noted
    assert {tuple(row["flags"]) for row in rows} == {("crlf",)}


@pytest.mark.parametrize("task", POSITION_TASKS)
def test_nested_json_in_every_container(tmp_path, task):
    source = SAMPLE / "VenusX_Motif" / "test.json"
    records = json.loads(source.read_text())
    lines = tmp_path / "records.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    packed = tmp_path / "records.gz"  # the name tells nothing
    packed.write_bytes(gzip.compress(json.dumps(records, indent=3).encode()))
    expected, rejects, summary = run_files([source], tmp_path, task)
    assert rejects == [] and summary.accepted == 6
    for path in (lines, packed):
        assert run_files([path], tmp_path, task)[0] == expected


def test_position_conventions_by_hand(tmp_path):
    """VenusX counts from 1, ends included: the slice of each span is the fragment that the file states."""
    rows, _, _ = run_files([RAW / "venusx" / "token_cls.csv"], tmp_path, "referring_class", "VenusX_Act")
    with (RAW / "venusx" / "token_cls.csv").open(newline="") as handle:
        stated = sorted(
            (row["uid"], text) for row in csv.DictReader(handle) for text in row["seq_fragment"].split("|")
        )
    found = sorted((row["uid"], row["sequence"][slice(*row["position_ref"])]) for row in rows)
    assert found == stated


def test_function_table(tmp_path):
    rows, rejects, _ = run_files([RAW / "function" / "function.csv"], tmp_path, "function", "Function")
    with (RAW / "function" / "function.csv").open(newline="") as handle:
        expected = [(row["accession"], row["sequence"], row["function"]) for row in csv.DictReader(handle)]
    assert rejects == []
    assert [(row["uid"], row["sequence"], row["answer"]) for row in rows] == expected
    assert rows[0]["position_ref"] is None and rows[0]["position_grd"] is None and rows[0]["classes"] == []


def test_uniprot_function_text_is_without_evidence(tmp_path):
    rows, _, _ = run_files([RAW / "uniprot" / "entries.dat"], tmp_path, "function", "Function")
    assert rows
    for row in rows:
        assert "{ECO" not in row["answer"] and "PubMed" not in row["answer"] and row["answer"].endswith(".")


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


def test_family_selects_the_features(tmp_path):
    counts = {
        name: run_files([RAW / "uniprot" / "entries.dat"], tmp_path, "referring_class", name)[2].accepted
        for name in ("X_Act", "X_BindI", "X_Dom", "X_Motif", "X_all")
    }
    assert counts["X_Act"] and counts["X_BindI"]
    assert counts["X_all"] == sum(counts[name] for name in counts if name != "X_all")


@pytest.mark.parametrize(
    "raw, name",
    [
        ("uniprot/entries.dat", "X_Dom"),
        ("uniprot/entries.json", "X_Motif"),
        ("interproscan/results.json", "X_Act"),
    ],
)
def test_entries_of_other_families_do_not_stop_a_run(tmp_path, raw, name):
    """A file of all families is no worse because some of its proteins lack the one that is asked for."""
    rows, _, summary = run_files([RAW / raw], tmp_path, "referring_class", name, max_rejected_fraction=0.0)
    assert list(summary.reasons) == ["other_family"] and summary.reasons["other_family"] >= 2
    assert summary.rejected_fraction == 0 and len(rows) == summary.accepted
    with pytest.raises(UserError, match="1 gap"):  # other faults still count
        files = [tmp_path / "gap.json", RAW / raw]
        files[0].write_text(json.dumps([protein(sequence="M-K")]))
        run_files(files, tmp_path, "referring_class", name, max_rejected_fraction=0.05)


def test_function_counts_proteins(tmp_path):
    """Faults of fragments do not concern a task that has none."""
    text = (RAW / "uniprot" / "entries.dat").read_text()
    entries = text.count("\n//")
    for name in ("X_all", "X_BindI"):
        _, rejects, summary = run_files([RAW / "uniprot" / "entries.dat"], tmp_path, "function", name)
        assert summary.accepted + summary.rejected == entries
        assert {row["reason"] for row in rejects} <= {"no_function"}
    _, rejects, _ = run(tmp_path, text.replace("     M", "     W", 1), task="function", name="raw.dat")
    assert [row["reason"] for row in rejects].count("checksum") == 1


def test_old_swissprot_entry_is_rejected_with_its_accession(tmp_path):
    rows, rejects, _ = run_files([RAW / "uniprot" / "old_format.dat"], tmp_path, "referring_class", "X_Dom")
    assert rows == [] and reasons(rejects) == ["unparsable"] and rejects[0]["uid"]


def test_interproscan_fasta_of_another_run(tmp_path):
    text = (RAW / "interproscan" / "results.tsv").read_text()
    name = text.split("\t", 1)[0]
    (tmp_path / "r.tsv").write_text(text)
    (tmp_path / "r.faa").write_text(f">{name}\nMKTAYIAK\n")
    rows, rejects, summary = run_files(
        [tmp_path / "r.tsv", tmp_path / "r.faa"], tmp_path, "referring_class", "X_all"
    )
    assert rows == [] and set(summary.reasons) == {"checksum", "no_sequence"}
    assert all(
        "FASTA that was scanned" in row["detail"] or "file that was scanned" in row["detail"]
        for row in rejects
    )


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty"),
        (b" \n \n", "is empty"),
        (b"[]", "holds no records"),
        (b"uid,interpro_id,seq_full,seq_fragment,start,end\n", "a header and no rows"),
        (b"uid,interpro_id,start,end\n", "column 'seq_full' of a venusx table is missing"),
        (b"uid,interpro_id,seq_full,seq_full,start,end\nP1,I,MK,MK,1,2\n", "'seq_full' stands in the header twice"),
        (b"just a line\n", "format not recognised"),
        (b"[null, 3]", "none of the first records can be read; record 1: the record is NoneType"),
        (json.dumps([protein()]).encode() + b" Error while streaming", "record 2: not valid JSON"),
        (json.dumps([protein()])[:-1].encode() + b",]", "record 2: not valid JSON"),
        (b'{"interproscan-version": "5", "results": [{"matches": [], "xref": []}]', "record 2: the JSON ends early"),
        (b"[" * 100_000, "record 1: nested too deeply"),
        (b'{\n"a":' + b"[" * 100_000, "record 1: nested too deeply"),
        (json.dumps([protein()])[:-3].encode(), "record 1: the JSON ends early"),
        (json.dumps([protein(), protein("P2")])[:-40].encode(), "record 2: the JSON ends early"),
        (json.dumps([protein()])[:-1].encode(), "record 2: the JSON ends early"),
        (b'[{"uid": "P1" "sequence": "MK", "fragments": []} ' + b" " * 100 + b"]", "not valid JSON"),
        (b'[{"uid": "P1", "sequence": "MK", "fragments": []} {"uid": "P2"}' + b" " * 100 + b"]", "not valid JSON"),
        (json.dumps(protein()).encode() + b"\n" + json.dumps(protein("P2")).encode()[:50], "record 2: the JSON ends"),
        (json.dumps([protein()]).encode("utf-16"), "UTF-16"),
        (json.dumps([protein(uid="Pé")], ensure_ascii=False).encode("latin-1"), "not UTF-8 text .byte 0xe9"),
        (gzip.compress(json.dumps([protein(uid=f"P{n}") for n in range(99)]).encode())[:-20], "gzip"),
        (b"uid,interpro_id,start,end\nP1,IPR1,1,2\n", "column 'seq_full' of a venusx table is missing"),
        (b'uid,interpro_id,seq_full,start,end\nP1,"IPR1,MK,1,2\n', "not valid CSV"),
        (b"a,b\n1,2\n", "format not recognised"),
        (b"hello world\nthis is text\n", "format not recognised"),
        (b'{"a": 1}\n', "format not recognised"),
        (b"{\n", "neither a JSON array nor one JSON object a line|ends early"),
        (b"PAR1 and no more", "not a Parquet file, or a damaged one"),
        (b'<?xml version="1.0"?>\n<uniprot/>', "XML is not read"),
        (b">P1\nMKTV\n", "FASTA has no annotations"),
        (b"ID   X_Y   Reviewed;  4 AA.\nAC   P1;\n", "ends inside the entry"),
        ((b"P1\t" + b"a" * 32 + b"\t10\tPfam\tPF1\tx\t1\t5\t0.1\tT\t01-01-2025\n"), "has no sequences"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_whole(tmp_path, content, says):
    refused_file(tmp_path, content, says)


def test_missing_file_and_wrong_format(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        run_files([tmp_path / "none.json"], tmp_path)
    refused_file(tmp_path, [protein()], "unknown format 'xml'; known: auto, nested", format="xml")
    refused_file(tmp_path, b"uid,sequence\nP1,MK\n", "column 'fragments' of a nested table", format="nested")


def test_bom_crlf_and_a_bad_line_are_named(tmp_path):
    lines = "\r\n".join([json.dumps(protein()), "{broken", json.dumps(protein("P2"))]) + "\r\n"
    rows, rejects, _ = run(tmp_path, b"\xef\xbb\xbf" + lines.encode())
    assert [row["flags"] for row in rows] == [["bom", "crlf"]] * 2
    assert [(row["reason"], row["record"]) for row in rejects] == [("bad_record", 2)]


def test_every_cut_of_a_file_is_seen(tmp_path):
    """Wherever a download breaks off, the message says that the file ends early, and where."""
    text = json.dumps([protein(), protein("P2")])
    path = tmp_path / "raw.json"
    for size in range(1, len(text)):
        path.write_text(text[:size])
        with pytest.raises(UserError, match=r"record [123]: the JSON ends early$"):
            list(containers.rows(path))


def test_a_single_entry_over_many_lines(tmp_path):
    """UniProt's service gives one entry as one object."""
    entry = json.loads((RAW / "uniprot" / "entries.json").read_text())["results"][0]
    rows, _, _ = run(tmp_path, json.dumps(entry, indent=2), task="referring_class", data_name="VenusX_all")
    assert rows and {row["uid"] for row in rows} == {entry["primaryAccession"]}
    with pytest.raises(UserError, match="the JSON ends early"):
        run(tmp_path, json.dumps(entry, indent=2)[:500])


def test_half_a_character_is_a_bad_record(tmp_path):
    """JSON can write half of a surrogate pair, which no file can hold."""
    bad = json.dumps([protein(), protein("P2", classes=[("I", "K?", [(3, 7)])])]).replace("K?", "K\\ud800")
    rows, rejects, _ = run(tmp_path, bad)
    assert [row["uid"] for row in rows] == ["P1"]
    assert reasons(rejects) == ["bad_record"] and "half of a character" in rejects[0]["detail"]
    whole = json.dumps([protein(classes=[("I", "K\U0001f9ec", [(3, 7)])])])
    assert "\\ud83e" in whole and run(tmp_path, whole, "referring_class")[0][0]["answer"] == "K\U0001f9ec"


def test_items_larger_than_the_buffer(tmp_path):
    """A record of more than a megabyte, which the reader's first buffer cuts."""
    long = protein("LONG", sequence="MKTAYIAKQR" * 9000, description="x" * 2_500_000)
    records = [protein(), long, protein("P3")]
    rows, rejects, _ = run(tmp_path, json.dumps(records, indent=1))
    assert rejects == [] and [row["uid"] for row in rows] == ["P1", "LONG", "P3"]


@pytest.mark.parametrize(
    "name, family",
    [
        ("VenusX_Res_Act_MF50", "active site"),
        ("VenusX_Res_BindI_MF70", "binding site"),
        ("VenusX_Res_BindB_MP90", "binding site"),
        ("VenusX_Res_Evo_MP30", "conserved site"),
        ("VenusX_Frag_Dom_MF70", "domain"),
        ("VenusX_Res_Motif_X", "motif"),
        ("VenusX_Res_Epi_MP70", "epitope"),
        ("Venux_Dom", "domain"),
        ("my-dom-2", "domain"),
        ("X_all", "fragment"),
        ("Kingdom_Actin", None),
        ("Dom_and_Act", None),
        ("Lab", None),
    ],
)
def test_the_family_stands_anywhere_in_the_name(tmp_path, name, family):
    assert told_family(name) == family
    entries, nested = RAW / "uniprot" / "entries.dat", RAW / "uniprot" / "flat_nested_Act.json"
    if family is None:
        for path in (entries, RAW / "uniprot" / "entries.json", RAW / "interproscan" / "results.json"):
            with pytest.raises(UserError, match="does not tell which to take; give it a name that does"):
                run_files([path], tmp_path, "referring_class", name)
        assert run_files([entries], tmp_path, "function", name)[2].accepted  # which is of the whole protein
        named = run_files([entries], tmp_path, "referring_class", name, family="active site")[0]
        assert [{**row, "data_name": "X_Act"} for row in named] == [
            {**row, "data_name": "X_Act"}
            for row in run_files([entries], tmp_path, "referring_class", "X_Act")[0]
        ]
    elif family != "epitope":
        read = [entries] if family != "conserved site" else [RAW / "interproscan" / "results.json"]
        assert run_files(read, tmp_path, "referring_class", name)[2].accepted or family in ("domain", "motif")
    rows, _, _ = run_files([nested], tmp_path, "referring_class", name)
    assert f"Which {family or 'fragment'} class" in rows[0]["conversation"][-1]["content"]


def test_no_features_of_a_family_and_unknown_families(tmp_path):
    with pytest.raises(UserError, match="UniProt has no feature of the family epitope"):
        run_files([RAW / "uniprot" / "entries.dat"], tmp_path, "referring_class", "VenusX_Res_Epi_MP70")
    with pytest.raises(UserError, match="InterPro has no entry type for the family epitope"):
        run_files([RAW / "interproscan" / "results.json"], tmp_path, "referring_class", "VenusX_Res_Epi_MP70")
    with pytest.raises(UserError, match="unknown family 'domains'; known: domain, active site"):
        run_files([RAW / "uniprot" / "entries.dat"], tmp_path, "referring_class", "X", family="domains")
