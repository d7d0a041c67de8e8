"""Rows of a file, whatever it is packed in: JSON array, JSON Lines, CSV, Parquet; plain or gzip-compressed.

Every function streams: memory does not grow with the file. Faults of the whole file (truncated, another
encoding, nothing in it) raise :class:`UserError` with the file's name and the place.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fragmodel.data import delimited
from fragmodel.data.text_files import BadRow, Row, head_of, is_parquet, opened
from fragmodel.errors import UserError
from fragmodel.tables import damage_told

_CHUNK = 1 << 20  # characters
_RESULTS = re.compile(
    r'\s*\{(?:\s*"[\w-]+"\s*:\s*"[^"]*"\s*,)*\s*"results"\s*:\s*\['
)  # InterProScan, UniProt
_ARRAY = re.compile(r"\s*\[")
_SPACE = re.compile(r"\s*")
_OPEN_OBJECT = re.compile(r"\s*\{\s*\n")  # an object that is spread over lines
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character, as JSON may write it


def rows(path: Path) -> Iterator[Row]:
    """Rows of a JSON array, JSON Lines, ``{"results": […]}``, one JSON object, CSV or Parquet file."""
    if is_parquet(path):
        return _parquet_rows(path)
    head = head_of(path)
    if head.lstrip().startswith("["):
        return _array_items(path, _ARRAY, end="")
    if _RESULTS.match(head):
        return _array_items(path, _RESULTS, end="}")
    if _OPEN_OBJECT.match(head):
        return _one_object(path)
    if head.lstrip().startswith("{"):
        return _json_lines(path)
    return delimited.rows(path)


def columns(path: Path) -> list[str] | None:
    """Column names of a table (CSV, Parquet); None for JSON, where each record has its own."""
    if is_parquet(path):
        return _parquet(path).schema_arrow.names
    if head_of(path).lstrip()[0] in "[{":
        return None
    return delimited.header(path)[0]


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


def _object(item: Any, source: str) -> dict[str, Any] | BadRow:
    """A decoded JSON value as a row; ``source`` is its text, in which half characters are looked for."""
    if not isinstance(item, dict):
        return BadRow(f"the record is {type(item).__name__}, expected an object")
    if _SURROGATE.search(source):
        try:
            json.dumps(item, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            return BadRow(f"the record holds half of a character ({half!r}); write its text anew")
    return item


def _array_items(path: Path, opening: re.Pattern[str], end: str) -> Iterator[Row]:
    """Items of a JSON array, decoded one by one from a buffer that is filled as they are used up.

    What follows the array must end with ``end``.
    """
    decoder = json.JSONDecoder()
    with opened(path) as text:
        buffer = text.read(_CHUNK)
        match = opening.match(buffer)
        assert match is not None
        position, number, ended = match.end(), 0, False
        while True:
            position = _SPACE.match(buffer, position).end()  # type: ignore[union-attr]
            if number and buffer[position : position + 1] == ",":
                after = _SPACE.match(buffer, position + 1).end()  # type: ignore[union-attr]
            else:
                after = position
            if buffer[position : position + 1] == "]":
                _check_end(path, buffer[position + 1 :], text, end)
                return
            try:
                if number and after == position:
                    raise json.JSONDecodeError("Expecting ',' or ']'", buffer, position)
                item, position = decoder.raw_decode(buffer, after)
            except RecursionError:
                raise UserError(f"{path}: record {number + 1}: nested too deeply") from None
            except json.JSONDecodeError as error:
                # A string that does not end, or an error at the buffer's end: the item is not complete yet.
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(buffer) - 8
                more = text.read(max(_CHUNK, len(buffer) - position)) if unfinished and not ended else ""
                if not more:
                    early = unfinished and buffer[after : after + 1] != "]"
                    what = "the JSON ends early" if early else f"not valid JSON ({error.msg})"
                    raise UserError(f"{path}: record {number + 1}: {what}") from None
                buffer, position = buffer[position:] + more, 0
                continue
            number += 1
            yield number, _object(item, buffer[after:position])


def _check_end(path: Path, rest: str, text: IO[str], end: str) -> None:
    """After an array may come ``end`` and, before it, further members of the object that holds the array."""
    rest = rest.strip()
    while more := text.read(_CHUNK):
        rest = (rest + more).strip()[-_CHUNK:]
    if end and not rest.endswith(end):
        raise UserError(f"{path}: the JSON ends early, after its last record")
    if not end and rest:
        raise UserError(f"{path}: text follows the end of the JSON array; is it several files in one?")


def _one_object(path: Path) -> Iterator[Row]:
    """A file that is a single record, such as one entry of UniProt's service."""
    with opened(path) as text:
        content = text.read()
    try:
        yield 1, _object(json.loads(content), content)
    except RecursionError:
        raise UserError(f"{path}: record 1: nested too deeply") from None
    except json.JSONDecodeError as error:
        unfinished = error.pos >= len(content.rstrip())
        what = "the JSON ends early" if unfinished else f"neither a JSON array nor one JSON object ({error})"
        raise UserError(f"{path}: {what}") from None


def _json_lines(path: Path) -> Iterator[Row]:
    with opened(path) as text:
        for number, line in enumerate((line for line in text if line.strip()), start=1):
            try:
                yield number, _object(json.loads(line), line)
            except RecursionError:
                yield number, BadRow("the record is nested too deeply")
            except ValueError as error:
                if not line.endswith("\n"):
                    raise UserError(f"{path}: record {number}: the JSON ends early") from None
                if number == 1:
                    raise UserError(
                        f"{path}: neither a JSON array nor one JSON object a line ({error})"
                    ) from None
                yield number, BadRow(f"the line is not valid JSON ({error})")


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
