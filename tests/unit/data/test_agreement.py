"""A held family of cases: the same proteins in several formats give records of the same ids and places.

The extracts (`tests/data/raw/agreement`) were chosen after the readers were written. Names of classes may differ
between releases of InterPro; ids do not depend on them.
"""

import json

import pytest
from raw_files import RAW, refused_file, run, run_files

from fragmodel.errors import UserError

HELD = RAW / "agreement"
REPORTED = RAW / "reported"
TASKS = ("referring_class", "grounding_single")
# The collection's places for this entry are the pieces of a fingerprint, which no longer stand for a domain.
BY_FINGERPRINT = "IPR001245"


def essence(rows):
    keys = (
        "record_id",
        "uid",
        "sequence",
        "start",
        "position_ref",
        "position_grd",
        "position_ignored",
        "class_ids",
    )
    return sorted(
        ({key: row[key] for key in keys} for row in rows if BY_FINGERPRINT not in row["class_ids"]),
        key=lambda row: row["record_id"],
    )


def records(files, folder, task, data_name, **options):
    rows, rejects, _ = run_files([HELD / name for name in files], folder, task, data_name, **options)
    assert {row["reason"] for row in rejects} <= {"other_family"}
    return essence(rows)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [1021, 254])
@pytest.mark.parametrize("family", ["Dom", "Act", "BindI", "Evo"])
def test_interproscan_s_formats_and_nested_json(tmp_path, family, length, task):
    name, window = f"VenusX_Res_{family}_MF50", {"max_sequence_length": length}
    expected = records([f"scan_nested_{family}.json"], tmp_path, task, name, **window)
    assert len(expected) >= 2
    for files in (["scan.json"], ["scan.tsv"], ["scan.tsv", "scan.faa"]):
        assert records(files, tmp_path, task, name, **window) == expected


@pytest.mark.parametrize("task", [*TASKS, "grounding_group"])
def test_venusx_tables_and_nested_json(tmp_path, task):
    expected = records(["venusx_nested_Evo.json"], tmp_path, task, "VenusX_Res_Evo_MP70")
    assert len(expected) >= 5
    for name in ("venusx_token_cls.csv", "venusx_fragment_cls.csv"):
        assert records([name], tmp_path, task, "VenusX_Frag_Evo_MP70") != []
        assert records([name], tmp_path, task, "VenusX_Res_Evo_MP70") == expected


def told_by_both(source, folder, task, data_name, window):
    """What UniProt and InterProScan must agree on of the domain that both see: all but its class."""
    rows, rejects, _ = run_files(
        [HELD / f"sources.{source}"], folder, task, data_name, max_sequence_length=window
    )
    assert {row["reason"] for row in rejects} <= {"other_family"}
    keys = ("uid", "sequence", "start", "full_length", "position_ref", "position_grd", "position_ignored")
    seen = {"dat": "UniProtKB-FT:DOMAIN", "tsv": "IPR031161"}[source]
    return [{key: row[key] for key in keys} for row in rows if row["class_ids"] == [seen]]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("window", [2000, 1021, 254])
def test_uniprot_and_interproscan_on_one_domain(tmp_path, window, task):
    scanned = told_by_both("tsv", tmp_path, task, "Mine_Dom", window)
    assert told_by_both("dat", tmp_path, task, "Mine_Dom", window) == scanned and scanned
    if window == 2000:
        (places,) = scanned[0]["position_grd"] or [[scanned[0]["position_ref"]]]
        assert places == [[1080, 1381]] and scanned[0]["uid"] == "P0CK95"


@pytest.mark.parametrize("source", ["dat", "tsv"])
def test_uniprot_and_interproscan_on_a_family_that_neither_has(tmp_path, source):
    assert told_by_both(source, tmp_path, "referring_class", "Mine_BindI", 1021) == []


@pytest.mark.parametrize("name", ["scan.json", "scan_nested_Dom.json", "venusx_nested_Evo.json"])
def test_lines_and_indented_json(tmp_path, name):
    """The same file as InterProScan 6 and JSON Lines write it."""
    values = json.loads((HELD / name).read_text())
    items = values["results"] if isinstance(values, dict) else values
    wrapped = [
        {"interproscan-version": "6.0.0", "results": [item]} if isinstance(values, dict) else item
        for item in items
    ]
    expected = records([name], tmp_path, "grounding_single", "VenusX_Dom")
    for indent in (None, 1):
        path = tmp_path / "packed.json"
        path.write_text("\n".join(json.dumps(item, indent=indent) for item in wrapped))
        assert essence(run_files([path], tmp_path, "grounding_single", "VenusX_Dom")[0]) == expected


@pytest.mark.parametrize(
    "name, says",
    [
        ("01_no_iprlookup.tsv", "scan again with the option -iprlookup"),
        ("15_damaged_page_thrift.parquet", "not a Parquet file, or a damaged one"),
        (
            "19_service_error.json",
            'a service\'s error message, saved in the place of data ."Invalid request received."',
        ),
        ("20_ebi_proteins_api.json", "entries of the EBI Proteins API are not read"),
    ],
)
def test_reported_files_that_are_refused_by_name(tmp_path, name, says):
    with pytest.raises(UserError, match=says) as error:
        run_files([REPORTED / name], tmp_path, "grounding_single", "VenusX_Dom")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, expected",
    [
        ("04_interproscan6.tsv", {("prot1", "IPR000980", 19, 110)}),
        ("18_interproscan6_nucleotide.json", {("prot1", "IPR000980", 19, 110)}),
        ("22_scan_table_with_header.tsv", {(f"geneA_{n}", "IPR000980", 9, 80) for n in range(3)}),
        (
            "20_blank_first_line.dat",
            {
                ("A0A0B4F5S2", "UniProtKB-FT:DOMAIN", start, end)
                for start, end in ((28, 142), (170, 359), (467, 598))
            },
        ),
    ],
)
def test_reported_files_that_are_read(tmp_path, name, expected):
    rows, rejects, _ = run_files([REPORTED / name], tmp_path, "referring_class", "VenusX_Dom")
    assert {
        (row["uid"], row["class_ids"][0], *row["position_ref"]) for row in rows
    } == expected and rejects == []


@pytest.mark.parametrize(
    "content, says",
    [
        (
            "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>",
            r'a web page, .*"502 Bad Gateway"',
        ),
        ("\n<html lang='en'>\n", "a web page, saved in the place of data; download"),
        (
            '<?xml version="1.0"?>\n<protein-matches xmlns="x">',
            "InterProScan's XML is not read; write the results with -f",
        ),
        ('<?xml version="1.0"?>\n<uniprot/>', "XML is not read; UniProt gives"),
        (
            '{"requestedURL": "http://x", "errorMessage": ["Can not find accession"]}',
            "error message.*Can not find",
        ),
        ('{"detail": "Not found."}', "error message.*Not found"),
        ('{\n "error": {"code": 500},\n "status": 500\n}', "error message"),
    ],
)
def test_files_that_are_no_data_are_called_by_name(tmp_path, content, says):
    refused_file(tmp_path, content, says)


def test_withdrawn_entries_keep_their_accession(tmp_path):
    entries = json.loads((RAW / "uniprot" / "entries.json").read_text())["results"]
    inactive = {
        "entryType": "Inactive",
        "primaryAccession": "Q00001",
        "inactiveReason": {"inactiveReasonType": "MERGED", "mergeDemergeTo": ["P12345"]},
    }
    rows, rejects, _ = run(tmp_path, [inactive, *entries], "referring_class", data_name="X_all")
    assert rows and [(row["uid"], row["record"]) for row in rejects if row["reason"] == "inactive"] == [
        ("Q00001", 1)
    ]
    assert "withdrawn the entry (merged)" in rejects[0]["detail"]


@pytest.mark.parametrize(
    "changes", [{"location": {"start": {"value": "x", "modifier": "EXACT"}}}, {"location": None}]
)
def test_a_bad_feature_is_one_reject(tmp_path, changes):
    entry = json.loads((RAW / "uniprot" / "entries.json").read_text())["results"][0]
    whole = run(tmp_path, [entry], "referring_class", data_name="X_all")[2].accepted
    kept = ("Domain", "Active site", "Binding site", "Motif", "Zinc finger", "DNA binding")
    feature = next(item for item in entry["features"] if item["type"] in kept)
    feature.update(changes)
    rows, rejects, _ = run(tmp_path, [entry], "referring_class", data_name="X_all")
    assert len(rows) == whole - 1
    assert [(row["reason"], row["uid"]) for row in rejects] == [("bad_field", entry["primaryAccession"])]


def test_flat_files_joined_without_a_line_break(tmp_path):
    text = (RAW / "uniprot" / "entries.dat").read_text()
    whole, _, _ = run(tmp_path, text, "referring_class", data_name="X_all", name="a.dat")
    half = text.index("//\n") + 2
    joined = f"\n{text[:half]}\ufeff{text[half + 1 :]}"
    assert run(tmp_path, joined, "referring_class", data_name="X_all", name="b.dat")[0] == whole
