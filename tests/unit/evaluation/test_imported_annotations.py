"""Annotations made elsewhere are systems like the others, scored by the same code."""

import json

import pytest
from small_tables import grounding_record, record, write_records
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.evaluation.baselines.hits import answers_from_hits
from fragmodel.evaluation.baselines.imported import Annotation, read_annotations
from fragmodel.evaluation.references import read_references
from fragmodel.evaluation.score import score
from fragmodel.homology.profiles import ClassHit
from fragmodel.tables import PREDICTIONS, read_rows
from fragmodel.vocabulary import Span

# Rows as HMMER 3.4 writes them: target, accession, length, query, …, i-Evalue, …, ali, env, acc, description.
HEAD = f"#{'':75}--- full sequence --- ---- this domain ----\n# target name accession tlen query name …\n"
SCAN = (
    HEAD
    + """\
SH3_1   PF00018.34   48 sp|P1|NAME -   90 1e-20 70.0 0.1 1 2 1e-22 1e-19 69.0 0.1 1 48 13 58 11 60 0.98 SH3 domain
SH3_1   PF00018.34   48 sp|P1|NAME -   90 1e-20 70.0 0.1 2 2 0.5   7.0   -1.0 0.1 1 48 70 80 70 80 0.60 SH3 domain
"""
)
SEARCH = HEAD + (
    "P1 - 90 SH3_1 PF00018.34 48 1e-20 70.0 0.1 1 1 1e-22 1e-19 69.0 0.1 1 48 13 58 11 60 0.98 a protein\n"
)
IMPORTED = Annotation("P1", ("PF00018.34", "PF00018", "SH3_1"), Span(10, 60), 1e-19)


@pytest.mark.parametrize("text", [SCAN, SEARCH])
def test_domain_tables_of_both_programs(tmp_path, text):
    path = tmp_path / "hits.domtblout"
    path.write_text(text)
    assert list(read_annotations([path], {"P1"})) == [IMPORTED]


def test_tables_of_places_count_from_1_and_include_the_end(tmp_path):
    path = tmp_path / "places.tsv"
    path.write_text("uid\tclass\tstart\tend\te_value\nP1\tSH3 domain\t11\t60\t1e-9\nP1\tIPR1\t3\t3\t\n")
    assert list(read_annotations([path], {"P1"})) == [
        Annotation("P1", ("SH3 domain",), Span(10, 60), 1e-9),
        Annotation("P1", ("IPR1",), Span(2, 3)),
    ]


def test_raw_formats_are_read_as_ingestion_does(tmp_path):
    (tmp_path / "scan.json").write_text(
        json.dumps(
            [
                {
                    "uid": "P1",
                    "sequence": "MKTAYIAKQR" * 9,
                    "completeness": "yes",
                    "fragments": [
                        {
                            "interpro_id": "IPR001452",
                            "category": "SH3 domain",
                            "description": "",
                            "frags": [{"start_position": 10, "end_position": 59}],
                        }
                    ],
                }
            ]
        )
    )
    found = list(read_annotations([tmp_path / "scan.json"], {"P1"}))
    assert found == [Annotation("P1", ("IPR001452", "SH3 domain"), Span(10, 60))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "SH3_1 PF00018.34 48 P1 -\n", r"line 3: 5 columns, a domain table has 22"),
        (SCAN.replace("1e-19", "small"), r"row 3: i-Evalue is 'small', expected a number"),
        ("uid\tclass\tstart\tend\nP1\tA\t0\t4\n", r"row 1: 0-4 is no place; start and end count from 1"),
        ("uid\tclass\tstart\tend\nP1\tA\tx\t4\n", r"row 1: start is 'x', expected a number"),
        ("uid\tclass\tstart\tend\nP1\tA\t4\n", r"row 1: "),
    ],
)
def test_faults_are_told(tmp_path, text, told):
    path = tmp_path / "file.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as error:
        list(read_annotations([path], {"P1"}))
    assert str(path) in str(error.value)


def records(tmp_path):
    one = {"class_ids": ["IPR001452"], "start": 5, "full_length": 105}
    rows = [
        record("c", "P1", "referring_class", classes=["SH3 domain"], answer="SH3 domain", ref=[6, 50]) | one,
        record("d", "P1", "referring_desc", classes=["SH3 domain"], answer="Binds proline.", ref=[6, 50])
        | one,
        grounding_record("s", "P1", {"SH3 domain": [(5, 55)]}, "grounding_single") | one,
        grounding_record("t", "P2", {"SH3 domain": [(5, 55)]}, "grounding_single") | one,
        grounding_record("g", "P1", {"SH3 domain": [(5, 55)]}) | one,
    ]
    return write_records(tmp_path, rows)


def test_an_import_is_scored_like_any_system(tmp_path):
    """InterPro's accession stands for the class, places are those of the window, which begins at residue 5."""
    table = records(tmp_path)
    places = tmp_path / "scan.tsv"
    places.write_text(
        "uid\tclass\tstart\tend\nP1\tIPR001452\t11\t60\nP1\tOther\t1\t8\nP1\tUnknown\t90\t105\n"
    )
    output = tmp_path / "out.parquet"
    words = ["--train", table, "--test", table, "--annotations", f"scan={places}", "--output", output]
    result = CliRunner().invoke(app, ["baselines", *map(str, words)])
    assert result.exit_code == 0, result.output
    texts = {row["record_id"]: row["text"] for row in read_rows(output, PREDICTIONS)}
    assert (texts["c"], texts["d"], texts["t"]) == ("SH3 domain", "Binds proline.", "none")
    assert "(5,55)" in texts["s"] and "Unknown" in texts["g"] and "Other" not in texts["g"]
    metrics = score(
        [output],
        [table],
        metrics_output=tmp_path / "m.json",
        table_output=None,
        bootstrap_samples=0,
        encode=None,
    )["D"]
    assert metrics["referring_class"]["baselines"]["scan"]["accuracy"] == 1
    assert metrics["grounding_single"]["baselines"]["scan"]["iou_mean"] == 0.5  # nothing is known of P2


def test_the_hit_that_overlaps_most_names_the_class(tmp_path):
    (asked, *_) = read_references([records(tmp_path)]).values()
    hits = [
        ClassHit("A", Span(0, 100), 1e-50),
        ClassHit("B", Span(4, 50), 1e-5),
        ClassHit("C", Span(4, 50), 1e-3),
    ]
    assert list(answers_from_hits([asked], [asked], lambda _: hits).values()) == ["B"]
    assert list(answers_from_hits([asked], [asked], lambda _: [ClassHit("A", Span(60, 70))]).values()) == [""]


def test_a_file_about_other_proteins_is_refused(tmp_path):
    table, places = records(tmp_path), tmp_path / "scan.tsv"
    places.write_text("uid\tclass\tstart\tend\nQ9\tIPR001452\t11\t60\n")
    words = ["--train", table, "--test", table, "--output", tmp_path / "out.parquet", "--annotations"]
    for text, told in (
        (f"scan={places}", "none of 1 places is in a protein that is asked for (such as 'P1')"),
        (f"alignment={places}", "the name 'alignment' is taken"),
        ("scan", "expected NAME=PATH"),
    ):
        result = CliRunner().invoke(app, ["baselines", *map(str, [*words, text])])
        assert result.exit_code == 2 or told in str(result.exception), result.output
        assert told in (result.output + str(result.exception))
