"""Predictions made elsewhere: an answer is read whole, or the file is refused."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_tables import grounding_record, record, write_records

from fragmodel.errors import UserError
from fragmodel.evaluation.answers import Sureness, read_answers
from fragmodel.evaluation.references import read_references
from fragmodel.evaluation.score import score
from fragmodel.tables import SCORED, read_rows


@pytest.fixture
def references(tmp_path):
    rows = [record(name, "P1", "referring_desc", classes=["A"], answer="x", ref=[0, 3]) for name in "abc"]
    return write_records(tmp_path, rows)


def texts(path, references):
    answers = read_answers([path], read_references([references]))
    return {
        system: {key.record_id: text for key, text in given.items()}
        for system, given in answers.texts.items()
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("record_id,text\na,x\nb,Binds ATP, zinc, and more\n", "row 2: the row has 4 fields, the header 2; put"),
        ("record_id,text\na\n", "row 1: the row has 1 fields, the header 2"),
        ("record_id,text\na,x\nrecord_id,text\nb,y\n", "row 2: the row repeats the header"),
        ("record_id,text,text\na,x,y\n", "column 'text' stands in the header twice"),
        ('record_id,text\na,"x\nb,y\n', "line 3: not valid CSV"),
        ("", "the file is empty"),
    ],
)  # fmt: skip
def test_csv_that_would_be_read_wrongly_is_refused(references, tmp_path, content, message):
    path = tmp_path / "made.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=f"made.csv: {message}") as error:
        texts(path, references)
    assert "\n" not in str(error.value)


def test_long_and_quoted_answers_come_whole(references, tmp_path):
    path = tmp_path / "made.tsv"
    path.write_text(f'record_id\ttext\na\t{"x" * 200_000}\nb\t"y\tand, ""z"""\n')
    assert texts(path, references) == {"model": {"a": "x" * 200_000, "b": 'y\tand, "z"'}}


@pytest.mark.parametrize(
    ("name", "given", "statuses"),
    [
        ("made.parquet", ["x", None, ""], ["ok", "missing", "empty"]),
        ("made.csv", ["x", "", " "], ["ok", "missing", "empty"]),
        ("made.parquet", [None, None, None], ["missing"] * 3),
    ],
)
def test_an_absent_text_is_a_missing_answer(references, tmp_path, name, given, statuses):
    path, scored = tmp_path / name, tmp_path / "scored.parquet"
    if name.endswith("csv"):
        path.write_text("record_id,text\n" + "".join(f"{i},{t}\n" for i, t in zip("abc", given, strict=True)))
    else:
        pq.write_table(pa.table({"record_id": list("abc"), "text": pa.array(given, pa.string())}), path)
    result = score(
        [path],
        [references],
        metrics_output=tmp_path / "m.json",
        table_output=scored,
        bootstrap_samples=0,
        encode=None,
    )
    assert result["D"]["referring_desc"]["missing"] == {"model": statuses.count("missing")}
    rows = read_rows(scored, SCORED)
    assert [row["parse_status"] for row in sorted(rows, key=lambda row: row["record_id"])] == statuses


def test_every_damaged_byte_of_a_parquet_file_ends_in_one_line(references, tmp_path):
    """Wherever a page or the footer is damaged, the answers are read or the file is named."""
    path = tmp_path / "made"
    table = pa.table({"record_id": list("abc"), "text": ["some text", "other", "third"]})
    pq.write_table(table, path, compression="snappy")
    whole = path.read_bytes()
    refused = 0
    for place in range(4, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            texts(path, references)
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 10
    path.write_bytes(whole[:-30])
    with pytest.raises(UserError, match="made: not a Parquet file, or a damaged one"):
        texts(path, references)


def test_how_sure_a_system_is_is_read_from_both_kinds_of_file(tmp_path):
    rows = [
        grounding_record("g", "P1", {"A": [(2, 4)]}, "grounding_single", "MKVLA"),
        record("c", "P1", "referring_class", classes=["A"], answer="A", ref=[0, 3], sequence="MKVLA"),
    ]
    references = read_references([write_records(tmp_path, rows)])
    given = {
        "record_id": ["g", "c"],
        "text": ["(2,4)", "A"],
        "confidence": [7.5, 0.5],
        "place_confidences": [[0.25], None],
        "residue_scores": [[-1.0, 0, 2, 2, 0], None],
        "candidates": [None, [{"text": "B", "probability": 0.25}, {"text": "A", "probability": 0.5}]],
    }
    pq.write_table(pa.table(given), tmp_path / "made.parquet")
    lists = ("place_confidences", "residue_scores", "candidates")
    with (tmp_path / "made.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(given)
        for row in zip(*given.values(), strict=True):
            cells = zip(given, row, strict=True)
            writer.writerow(
                [json.dumps(value) if value and name in lists else value for name, value in cells]
            )
    for name in ("made.parquet", "made.csv"):
        found = {
            key.record_id: sure
            for (_, key), sure in read_answers([tmp_path / name], references).sureness.items()
        }
        assert found["g"].answer == 7.5 and found["g"].places == (0.25,)
        assert found["g"].residues.tolist() == [-1, 0, 2, 2, 0]
        assert found["c"] == Sureness(0.5, candidates=(("A", 0.5), ("B", 0.25)))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("place_confidences", "[1.5]", "place_confidences must be from 0 to 1"),
        ("place_confidences", "0.5", r"place_confidences must be a list of numbers, such as \[0.9, 0.2\]"),
        ("candidates", '["A"]', "candidates must be a list such as"),
        ("residue_scores", "[1, 2]", "2 residue_scores for a window of 5 residues"),
    ],
)
def test_a_confidence_that_is_none_is_refused(tmp_path, column, value, message):
    references = write_records(tmp_path, [grounding_record("g", "P1", {"A": [(2, 4)]}, sequence="MKVLA")])
    (tmp_path / "made.tsv").write_text(f"record_id\ttext\t{column}\ng\tA: (2,4)\t{value}\n")
    with pytest.raises(UserError, match=f"made.tsv: row 1: {message}"):
        read_answers([tmp_path / "made.tsv"], read_references([references]))
