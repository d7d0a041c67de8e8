"""Two formats of the same proteins give the same Parquet; every container of a format is recognised."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_files import RAW, SAMPLE, protein, reasons, run, run_files

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
