"""CSV for ingest and for predictions: what is a row, what is refused."""

import csv

import pytest
from raw_files import run

from fragmodel.data import delimited
from fragmodel.data.text_files import BadRow
from fragmodel.errors import UserError

HEADER = "uid,interpro_id,seq_full,seq_fragment,start,end"
GOOD = "P1,IPR1,MKTAYIAKQR,KTA,2,4"


def read(tmp_path, content):
    path = tmp_path / "in.csv"
    path.write_text(content, encoding="utf-8")
    return list(delimited.rows(path))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_rows_by_column(tmp_path, delimiter):
    content = '\n"a", b\n1,"x\n""y"", z"\n\n,\n'.replace(",", delimiter).replace(f'""{delimiter} z', '"", z')
    assert read(tmp_path, content) == [(1, {"a": "1", "b": 'x\n"y", z'}), (2, {"a": "", "b": ""})]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("1", "the row has 1 fields, the header 2"),
        ("1,2,3", "the row has 3 fields, the header 2; put a field that holds commas in double quotes"),
        ("a, b", "the row repeats the header; remove it"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_read(tmp_path, line, detail):
    rows = read(tmp_path, f"a,b\n1,2\n{line}\n3,4\n")
    assert rows == [(1, {"a": "1", "b": "2"}), (2, BadRow(detail)), (3, {"a": "3", "b": "4"})]


def test_long_fields_are_read(tmp_path):
    csv.field_size_limit(131_072)  # what a program starts with
    assert read(tmp_path, f"a,b\n1,{'x' * 200_000}\n")[0][1]["b"] == "x" * 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b,a\n1,2,3\n", "column 'a' stands in the header twice"),
        ('a,b\n1,2\n1,"2\n', "line 3: not valid CSV"),
        ('a,b\n1,"2"x\n', "line 2: not valid CSV"),
        (" \n", "the file is empty"),
    ],
)
def test_unusable_files(tmp_path, content, message):
    with pytest.raises(UserError, match=f"in.csv: {message}"):
        read(tmp_path, content)


def test_a_header_between_the_rows_is_no_protein(tmp_path):
    content = "\n".join([HEADER, GOOD, HEADER, GOOD.replace("P1", "P2"), ""])
    rows, rejects, _ = run(tmp_path, content, "referring_class", name="raw.csv")
    assert [row["uid"] for row in rows] == ["P1", "P2"]
    assert [(r["record"], r["reason"], r["uid"]) for r in rejects] == [(2, "bad_record", None)]
    assert rejects[0]["detail"] == "the row repeats the header; remove it"
