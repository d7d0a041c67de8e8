"""The only functions that read and write Parquet tables; each table is checked against its contract.

Each file carries in its metadata the name and version of its contract, the version of fragmodel, the number of
rows, and what the writer adds (digests of its inputs, counts). Bytes are deterministic: same rows and metadata,
same file. Pages and footer have checksums, which are verified when they are read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fragmodel.errors import UserError, told
from fragmodel.files import atomic_path, check_regular
from fragmodel.tables import seal
from fragmodel.tables.contracts import SPAN, SPAN_GROUPS
from fragmodel.vocabulary import Span

_METADATA_KEY = b"fragmodel"


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
        self.path = path
        self.schema = schema.remove_metadata()
        self.rows = 0
        self._pending: list[Mapping[str, Any]] = []
        self._rows_per_group = rows_per_group
        self._parquet = pq.ParquetWriter(path, self.schema, compression="zstd", write_page_checksum=True)

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
        """Flush, add the file's metadata, end it and seal it."""
        self.flush()
        self._parquet.add_key_value_metadata({**metadata, seal.KEY: seal.UNSEALED})
        self._parquet.close()
        seal.seal(self.path)


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
    missing or of another type, when the file follows another version of the contract, is damaged, or is no Parquet.
    """
    with open_table(path, schema) as parquet:
        _check_columns(path, parquet, schema, columns)
        with damage_told(path, schema):
            table = parquet.read(columns=list(columns) if columns else None)
    _check_nulls(path, table, schema)
    return table


def iter_columns(path: str | Path, schema: pa.Schema, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Values of ``columns``, a tuple for each row in order, a batch of rows in memory at a time.

    Spans come as :class:`Span`. Raises as :func:`read_table`.
    """
    with open_table(path, schema) as parquet:
        _check_columns(path, parquet, schema, columns)
        batches = parquet.iter_batches(columns=list(columns))
        while True:
            with damage_told(path, schema):
                batch = next(batches, None)
            if batch is None:
                return
            _check_nulls(path, batch, schema)
            yield from zip(*(_values(batch.column(c), schema.field(c).type) for c in columns), strict=True)


def iter_column(path: str | Path, schema: pa.Schema, column: str) -> Iterator[Any]:
    """:func:`iter_columns` of a single column: the values themselves."""
    return (value for (value,) in iter_columns(path, schema, [column]))


def with_spans(value: Any, kind: pa.DataType) -> Any:
    """A value as Arrow gives it, of a column of this type, with each ``[start, end]`` made a :class:`Span`."""
    if value and kind == SPAN:
        return Span(*value)
    if value and kind == SPAN_GROUPS:
        return [[Span(*span) for span in group] for group in value]
    return value


def read_rows(
    path: str | Path, schema: pa.Schema, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """:func:`read_table` as a list of dicts."""
    return read_table(path, schema, columns).to_pylist(maps_as_pydicts="strict")


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What the writer said of the file: contract, versions, digests of inputs, counts.

    Raises :class:`UserError` where there is no such file, or one that is no Parquet.
    """
    with open_table(path) as parquet:
        return json.loads((parquet.metadata.metadata or {}).get(_METADATA_KEY, b"{}"))


def open_table(path: str | Path, schema: pa.Schema | None = None) -> pq.ParquetFile:
    """Any Parquet file, whoever wrote it, with its checksums verified, those of pages as they are read.

    Raises :class:`UserError` as :func:`damage_told`, in which what is read from it is to be wrapped, too.
    """
    check_regular(path)
    with damage_told(path, schema):
        seal.check(path)
        return pq.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def damage_told(path: str | Path, schema: pa.Schema | None = None) -> Iterator[None]:
    """Whatever is raised over the bytes of a file becomes a :class:`UserError` of one line.

    It names what makes the file again, where it follows the contract ``schema``.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except PermissionError as error:
        raise UserError(told(error)) from None
    except Exception as error:  # ArrowInvalid, OSError, UnicodeDecodeError, MemoryError, …: the bytes decide
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a Parquet file, or a damaged one ({text}); {_remedy(schema)}") from None


def _remedy(schema: pa.Schema | None) -> str:
    if schema is None or b"maker" not in schema.metadata:
        return "make it anew"
    return f"remove it and start snakemake again: {schema.metadata[b'maker'].decode()} makes it anew"


def _values(column: pa.Array, kind: pa.DataType) -> list[Any]:
    return [with_spans(value, kind) for value in column.to_pylist(maps_as_pydicts="strict")]


def _check_nulls(path: str | Path, table: pa.Table | pa.RecordBatch, contract: pa.Schema) -> None:
    for field in contract:
        if field.name in table.schema.names and not field.nullable and table.column(field.name).null_count:
            raise UserError(f"{path}: column '{field.name}' of table '{_name(contract)}' has null values")


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
