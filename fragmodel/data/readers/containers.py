"""Rows of a file, whatever it is packed in: JSON, CSV, Parquet; text plain or gzip-compressed.

Every function streams: memory does not grow with the file. Faults of the whole file (truncated, another
encoding, nothing in it) raise :class:`UserError` with the file's name and the place.
"""

import ast
import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fragmodel.data.readers.json_values import json_rows
from fragmodel.data.readers.text import BadRow, Row, head_of, opened
from fragmodel.errors import UserError
from fragmodel.tables import damage_told


def is_parquet(path: Path) -> bool:
    """Whether the file starts as Parquet does."""
    try:
        with path.open("rb") as raw:
            return raw.read(4) == b"PAR1"
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def rows(path: Path) -> Iterator[Row]:
    """Rows of a JSON, CSV or Parquet file."""
    if is_parquet(path):
        return _parquet_rows(path)
    head = head_of(path)
    return json_rows(path) if head.lstrip()[0] in "[{" else _csv_rows(path, head)


def columns(path: Path) -> list[str] | None:
    """Column names of a table (CSV, Parquet); None for JSON, where each record has its own."""
    if is_parquet(path):
        return _parquet(path).schema_arrow.names
    head = head_of(path)
    if head.lstrip()[0] in "[{":
        return None
    names = _header(head)[0]
    if double := sorted(name for name, count in Counter(names).items() if name and count > 1):
        raise UserError(f"{path}: column '{double[0]}' stands in the header twice; remove one of them")
    return names


def parsed(value: Any) -> Any:
    """A nested field of a table: JSON or a Python literal as text, or already a value. Raises
    ``ValueError``.
    """
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except ValueError:
        pass
    try:
        return ast.literal_eval(value.strip())
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _header(head: str) -> tuple[list[str], str]:
    """Column names and the delimiter that gives most of them."""
    line = head.lstrip("\r\n").splitlines()[0]
    delimiter = max(",\t;", key=line.count)
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))], delimiter


def _csv_rows(path: Path, head: str) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)  # residue labels of a long protein are longer than the default limit
    names, delimiter = _header(head)
    with opened(path) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            number = -1  # the header has no number
            for values in reader:
                if not values:
                    continue
                number += 1
                if number == 0:
                    continue
                if len(values) == len(names):
                    yield number, dict(zip(names, values, strict=True))
                else:
                    yield number, BadRow(f"the row has {len(values)} fields, the header {len(names)}")
        except csv.Error as error:
            raise UserError(
                f"{path}: line {reader.line_num}: not valid CSV ({error}); is the file cut short?"
            ) from None


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    with damage_told(path):
        return pq.ParquetFile(path)


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    batches = _parquet(path).iter_batches(batch_size=256)
    while True:
        with damage_told(path):
            batch = next(batches, None)
            items = [] if batch is None else batch.to_pylist()
        if batch is None:
            return
        for row in items:
            number += 1
            yield number, row
