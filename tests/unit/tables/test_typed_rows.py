"""Typed rows have the columns of their contract, and pass through a file as they are."""

import pyarrow as pa
import pytest
from raw_files import SAMPLE

from fragmodel import tables
from fragmodel.data.ingest import iter_records
from fragmodel.vocabulary import Span

RECORD = tables.Record(
    record_id="P1:1",
    uid="P1",
    data_name="VenusX_Dom",
    task_type="grounding_group",
    sequence="MKTAYIAKQR",
    start=100,
    full_length=300,
    position_ref=None,
    position_grd=[[Span(0, 3), Span(5, 10)], [Span(2, 4)]],
    position_ignored=[{"class_name": "Kringle", "start": 9, "end": 10}],
    classes=["Kringle", "Zinc finger"],
    class_ids=["IPR1", ""],
    conversation=[{"role": "system", "content": "Look."}, {"role": "user", "content": "Where?"}],
    answer="(0,3)",
    flags=["fragment_cut"],
)
RECORDS = [
    RECORD,
    RECORD._replace(
        record_id="P1:2", position_ref=Span(1, 4), position_grd=None, task_type="referring_class"
    ),
    RECORD._replace(record_id="P1:3", position_grd=[], classes=[], class_ids=[], conversation=[], flags=[]),
    RECORD._replace(record_id="P1:4", position_grd=[[Span(4, 5)], []], position_ignored=None),
]


@pytest.mark.parametrize(
    ("row", "contract"), [(tables.Record, tables.RECORDS), (tables.Reject, tables.REJECTS)]
)
def test_the_fields_are_the_columns(row, contract):
    assert row._fields == tuple(contract.names)


def assert_same(found, expected):
    """Equal, and spans are spans: as tuples they would equal each other either way."""
    assert found == expected
    for record in found:
        spans = [span for group in record.position_grd or [] for span in group]
        assert all(type(span) is Span for span in [*spans, record.position_ref or Span(0, 1)])


def test_records_pass_through_a_file_as_they_are(tmp_path):
    path = tmp_path / "records.parquet"
    tables.write_table(path, tables.RECORDS, (record._asdict() for record in RECORDS))
    columns = tables.iter_columns(path, tables.RECORDS, tables.Record._fields)
    assert_same([tables.Record(*values) for values in columns], RECORDS)
    table = tables.read_table(path, tables.RECORDS)
    assert_same([tables.record_at(table, index) for index in range(len(table))], RECORDS)
    assert tables.to_table(RECORDS).equals(table)


def test_real_records_pass_through_a_table_as_they_are():
    paths = [SAMPLE / "VenusX_Act" / f"{split}.json" for split in ("train", "test")]
    records = list(
        iter_records(paths, task="grounding_group", data_name="VenusX_Act", max_sequence_length=200)
    )
    assert len(records) > 20
    table = tables.to_table(records)
    assert_same([tables.record_at(table, index) for index in range(len(table))], records)


def test_no_records_make_an_empty_table():
    table = tables.to_table([])
    assert len(table) == 0 and table.schema.equals(tables.RECORDS)


def test_a_record_is_read_whatever_the_chunks_and_columns_of_the_table():
    """As they come from several files, one with its columns in another order and one more."""
    table = tables.to_table(RECORDS)
    mixed = table.select(table.column_names[::-1]).append_column("note", pa.array(["x"] * len(RECORDS)))
    joined = pa.concat_tables([mixed, mixed.slice(0, 0), mixed])
    found = [tables.record_at(joined, index) for index in range(len(joined))]
    assert_same(found, [*RECORDS, *RECORDS])


def test_columns_come_in_the_order_asked_for(tmp_path):
    path = tmp_path / "records.parquet"
    tables.write_table(path, tables.RECORDS, (record._asdict() for record in RECORDS))
    found = list(tables.iter_columns(path, tables.RECORDS, ["answer", "position_ref", "record_id"]))
    assert found == [(r.answer, r.position_ref, r.record_id) for r in RECORDS]


def test_maps_are_dicts(tmp_path):
    row = {
        "record_id": "r", "uid": "P1", "data_name": "D", "task_type": "function", "system": "model",
        "reference": "", "text": "", "parse_status": "ok", "metrics": {"bleu": 0.5},
    }  # fmt: skip
    tables.write_table(tmp_path / "scored.parquet", tables.SCORED, [row])
    found = list(tables.iter_columns(tmp_path / "scored.parquet", tables.SCORED, ["metrics", "prompt"]))
    assert found == [({"bleu": 0.5}, None)]
