"""The column contract of every Parquet table, and the only functions that read and write them.

Coordinates in every table are 0-based and half-open. Each file carries in its metadata the name and version of
its contract, the version of fragmodel, the number of rows, and what the writer adds (digests of its inputs, counts).
Bytes are deterministic: same rows and metadata, same file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fragmodel.errors import UserError
from fragmodel.files import atomic_path

_SPAN = pa.list_(pa.int32())  # [start, end]
_SPAN_GROUPS = pa.list_(pa.list_(_SPAN))  # a group of spans for each class
_METADATA_KEY = b"fragmodel"


def _schema(name: str, contract_version: int, *fields: pa.Field) -> pa.Schema:
    return pa.schema(
        fields, metadata={b"contract": name.encode(), b"version": str(contract_version).encode()}
    )


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


RECORDS = _schema(
    "records",
    2,
    _required("record_id", pa.string()),  # unique within data name × task; the same in every input format
    _required("uid", pa.string()),  # the protein's accession
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("sequence", pa.string()),  # the window that is shown to the model
    _required("start", pa.int32()),  # first residue of the window in the whole protein
    _required("full_length", pa.int32()),  # residues of the whole protein
    pa.field("position_ref", _SPAN),  # within the window; referring tasks
    pa.field(
        "position_grd", _SPAN_GROUPS
    ),  # within the window; a group for each of `classes`; grounding tasks
    # Parts of fragments at the window's edge, too small to be asked for: no answer is right or wrong about them.
    pa.field(
        "position_ignored",
        pa.list_(pa.struct([("class_name", pa.string()), ("start", pa.int32()), ("end", pa.int32())])),
    ),
    _required("classes", pa.list_(pa.string())),  # class names that the record is about
    _required("class_ids", pa.list_(pa.string())),  # e.g. InterPro accessions, aligned with `classes`
    _required("conversation", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    _required("answer", pa.string()),
    _required("flags", pa.list_(pa.string())),  # named normalisations, e.g. "lower_case", "fragment_cut"
)

REJECTS = _schema(
    "rejects",
    1,
    _required("source", pa.string()),  # file that was read
    _required("record", pa.int64()),  # position of the record in that file, counted from 1
    pa.field("uid", pa.string()),
    pa.field("fragment", pa.string()),  # class and span as written in the file
    _required("reason", pa.string()),  # code, see fragmodel.data.validate
    _required("detail", pa.string()),  # a sentence that names the field and the remedy
)

WINDOWS = _schema(
    "windows",
    1,
    _required("key", pa.string()),  # fragmodel.embeddings.store.sequence_key(sequence)
    _required("sequence", pa.string()),
    _required("length", pa.int32()),
)

SHARD_INDEX = _schema(
    "shard_index",
    1,
    _required("key", pa.string()),
    _required("length", pa.int32()),  # residues; the block has length + 2 rows (BOS and EOS)
    _required("first_row", pa.int64()),
    _required("checksum", pa.string()),  # of the block's bytes
)

EMBEDDED = _schema(
    "embedded",
    1,
    _required("key", pa.string()),
    _required("length", pa.int32()),  # residues
    _required("fingerprint", pa.string()),  # folder of the store
    _required("file", pa.string()),  # shard in that folder
    _required("first_row", pa.int64()),
)

SEQUENCES = _schema("sequences", 1, _required("sequence", pa.string()))  # what RECORDS and WINDOWS share

PREDICTIONS = _schema(
    "predictions",
    2,
    _required("system", pa.string()),  # "model" or the name of a baseline
    _required("record_id", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("prompt", pa.string()),
    _required("text", pa.string()),
    _required("reference", pa.string()),  # the right answer
    _required("stopped", pa.bool_()),  # the model ended its turn itself
    _required("tokens", pa.int32()),
    _required("seconds", pa.float64()),  # share of its batch's wall time
)

SCORED = _schema(
    "scored",
    2,
    _required("record_id", pa.string()),
    _required("uid", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("system", pa.string()),  # "model" or the name of a baseline
    pa.field("prompt", pa.string()),  # the last question, where the predictions state it
    _required("reference", pa.string()),
    _required("text", pa.string()),
    _required("parse_status", pa.string()),  # "ok", or what was wrong with the answer
    pa.field("predicted_classes", pa.list_(pa.string())),
    pa.field("predicted_spans", _SPAN_GROUPS),  # aligned with predicted_classes
    pa.field("seconds", pa.float64()),  # share of its batch's wall time, where the predictions state it
    _required("metrics", pa.map_(pa.string(), pa.float64())),  # of this record alone
)

LEAKAGE = _schema(
    "leakage",
    1,
    _required("record_id", pa.string()),
    _required("uid", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("identity", pa.float64()),  # highest to any training sequence, 0 when no relative was found
)

SPLIT_ASSIGNMENT = _schema(
    "split_assignment",
    2,
    _required("data_name", pa.string()),
    _required("uid", pa.string()),
    _required("split", pa.string()),
)


def _metadata(schema: pa.Schema, rows: int, extra: Mapping[str, Any]) -> dict[bytes, bytes]:
    provenance = {
        "contract": schema.metadata[b"contract"].decode(),
        "contract_version": int(schema.metadata[b"version"]),
        "fragmodel_version": version("fragmodel"),
        "rows": rows,
        **extra,
    }
    return {_METADATA_KEY: json.dumps(provenance, sort_keys=True).encode()}


class TableWriter:
    """Rows in, row groups out; made by :func:`open_writer`."""

    def __init__(self, path: Path, schema: pa.Schema, rows_per_group: int) -> None:
        self.schema = schema.remove_metadata()
        self.rows = 0
        self._pending: list[Mapping[str, Any]] = []
        self._rows_per_group = rows_per_group
        self._parquet = pq.ParquetWriter(path, self.schema, compression="zstd")

    def write(self, row: Mapping[str, Any]) -> None:
        """Add one row. Raises ``ValueError`` for a missing, unknown or null column (at the next flush)."""
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) >= self._rows_per_group:
            self.flush()

    def flush(self) -> None:
        """Write the pending rows as one row group."""
        if not self._pending:
            return
        names = set(self.schema.names)
        for row in self._pending:
            if unknown := set(row) - names:
                raise ValueError(f"unknown columns {sorted(unknown)}")
        table = pa.Table.from_pylist(self._pending, schema=self.schema)
        for field in self.schema:
            if not field.nullable and table[field.name].null_count:
                raise ValueError(f"column {field.name!r} has a null or missing value")
        self._parquet.write_table(table)
        self._pending = []

    def close(self, metadata: Mapping[bytes, bytes]) -> None:
        """Flush, add the file's metadata and end it."""
        self.flush()
        self._parquet.add_key_value_metadata(dict(metadata))
        self._parquet.close()


@contextmanager
def open_writer(
    path: str | Path, schema: pa.Schema, metadata: dict[str, Any] | None = None, rows_per_group: int = 4096
) -> Iterator[TableWriter]:
    """Yield a :class:`TableWriter` whose file replaces ``path`` when the block ends without an error.

    ``metadata`` is read when the block ends, so the caller may fill in counts while it writes.
    """
    metadata = {} if metadata is None else metadata
    with atomic_path(path) as temporary:
        writer = TableWriter(temporary, schema, rows_per_group)
        try:
            yield writer
        except BaseException:
            writer._parquet.close()
            raise
        writer.close(_metadata(schema, writer.rows, metadata))


def write_table(
    path: str | Path,
    schema: pa.Schema,
    rows: Iterable[Mapping[str, Any]],
    metadata: dict[str, Any] | None = None,
) -> int:
    """Write all ``rows`` under a contract; returns their number."""
    with open_writer(path, schema, metadata) as writer:
        for row in rows:
            writer.write(row)
    return writer.rows


def read_table(path: str | Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table and check it against its contract.

    Extra columns are allowed and kept. Raises :class:`UserError` that names the file and the column when one is
    missing or of another type, when the file follows another version of the contract, or is no Parquet.
    """
    with _open(path) as parquet:
        _check_columns(path, parquet, schema, columns)
        with damage_told(path):
            table = parquet.read(columns=list(columns) if columns else None)
    for field in schema:
        if field.name in table.column_names and not field.nullable and table[field.name].null_count:
            raise UserError(f"{path}: column '{field.name}' of table '{_name(schema)}' has null values")
    return table


def iter_column(path: str | Path, schema: pa.Schema, column: str) -> Iterator[Any]:
    """Values of one column in order, a batch of rows in memory at a time. Raises as :func:`read_table`."""
    with _open(path) as parquet:
        _check_columns(path, parquet, schema, [column])
        batches = parquet.iter_batches(columns=[column])
        while True:
            with damage_told(path):
                batch = next(batches, None)
            if batch is None:
                return
            if not schema.field(column).nullable and batch.column(0).null_count:
                raise UserError(f"{path}: column '{column}' of table '{_name(schema)}' has null values")
            yield from batch.column(0).to_pylist()


def read_rows(
    path: str | Path, schema: pa.Schema, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """:func:`read_table` as a list of dicts."""
    return read_table(path, schema, columns).to_pylist(maps_as_pydicts="strict")


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What the writer said of the file: contract, versions, digests of inputs, counts."""
    metadata = pq.read_metadata(path).metadata or {}
    return json.loads(metadata.get(_METADATA_KEY, b"{}"))


def _open(path: str | Path) -> pq.ParquetFile:
    with damage_told(path):
        return pq.ParquetFile(path)


@contextmanager
def damage_told(path: str | Path) -> Iterator[None]:
    """Whatever Arrow raises over the bytes of a file becomes a :class:`UserError` of one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # ArrowInvalid, OSError, UnicodeDecodeError, MemoryError, …: the bytes decide
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a Parquet file, or a damaged one ({text}); make it anew") from None


def _name(schema: pa.Schema) -> str:
    return schema.metadata[b"contract"].decode()


def _check_columns(
    path: str | Path, parquet: pq.ParquetFile, contract: pa.Schema, columns: Sequence[str] | None
) -> None:
    found = parquet.schema_arrow
    about = json.loads((parquet.metadata.metadata or {}).get(_METADATA_KEY, b"{}"))
    known = int(contract.metadata[b"version"])
    # A table under another contract may share columns (a list of windows has sequences too); one under another
    # version of the same contract may mean something else by them.
    if about.get("contract") == _name(contract) and about["contract_version"] != known:
        raise UserError(
            f"{path}: follows version {about['contract_version']} of table '{_name(contract)}', this fragmodel "
            f"reads version {known}; make the file anew"
        )
    for field in contract:
        if columns is not None and field.name not in columns:
            continue
        if field.name not in found.names:
            raise UserError(f"{path}: column '{field.name}' of table '{_name(contract)}' is missing")
        if not _same_type(found.field(field.name).type, field.type):
            raise UserError(
                f"{path}: column '{field.name}' of table '{_name(contract)}' is "
                f"{found.field(field.name).type}, expected {field.type}"
            )


def _same_type(found: pa.DataType, expected: pa.DataType) -> bool:
    """Equal up to the names that Parquet gives to list items."""
    if pa.types.is_list(expected) and pa.types.is_list(found):
        return _same_type(found.value_type, expected.value_type)
    return found == expected
