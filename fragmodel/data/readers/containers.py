"""Rows of a file, whatever it is packed in: JSON, CSV, Parquet; text plain or gzip-compressed.

Every function streams: memory does not grow with the file. Faults of the whole file (truncated, another
encoding, nothing in it) raise :class:`UserError` with the file's name and the place.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fragmodel.data import delimited
from fragmodel.data.readers.json_values import json_rows
from fragmodel.data.text_files import Row, head_of, is_parquet
from fragmodel.tables import damage_told, open_table


def rows(path: Path) -> Iterator[Row]:
    """Rows of a JSON, CSV or Parquet file."""
    if is_parquet(path):
        return _parquet_rows(path)
    return json_rows(path) if _is_json(path) else delimited.rows(path)


def columns(path: Path) -> list[str] | None:
    """Column names of a table (CSV, Parquet); None for JSON, where each record has its own."""
    if is_parquet(path):
        return open_table(path).schema_arrow.names
    return None if _is_json(path) else delimited.header(path)[0]


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


def _is_json(path: Path) -> bool:
    return head_of(path).lstrip()[0] in "[{"


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    batches = open_table(path).iter_batches(batch_size=256)
    while True:
        with damage_told(path):
            batch = next(batches, None)
            items = [] if batch is None else batch.to_pylist()
        if batch is None:
            return
        for row in items:
            number += 1
            yield number, row
