"""Typed rows of the tables whose rows pass from one part of the package to another."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from fragmodel.tables.contracts import RECORDS
from fragmodel.tables.io import with_spans
from fragmodel.vocabulary import Span, TaskType


class Record(NamedTuple):
    """A row of RECORDS: a question about a window of a protein, and its answer. Spans count along the window.

    The fields are the columns of the contract, which says what they mean; ``_asdict`` gives the row to be written.
    """

    record_id: str
    uid: str
    data_name: str
    task_type: TaskType
    sequence: str
    start: int
    full_length: int
    position_ref: Span | None
    position_grd: list[list[Span]] | None
    position_ignored: list[dict[str, Any]] | None  # class_name, start and end of each part
    classes: list[str]
    class_ids: list[str]
    conversation: list[dict[str, str]]  # role and content
    answer: str
    flags: list[str]


class Reject(NamedTuple):
    """A row of REJECTS: why a fragment, or a record without fragments, is left out."""

    source: str
    record: int
    uid: str | None
    fragment: str | None
    reason: str
    detail: str


_KINDS = {name: RECORDS.field(name).type for name in Record._fields}


def record_at(table: pa.Table, index: int) -> Record:
    """Row ``index`` of a table of records in memory, which stays as it is."""
    return Record._make(with_spans(table[name][index].as_py(), kind) for name, kind in _KINDS.items())


def to_table(records: Sequence[Record]) -> pa.Table:
    """The records as a table in memory."""
    columns = {name: [getattr(record, name) for record in records] for name in Record._fields}
    return pa.table(columns, schema=RECORDS.remove_metadata())
