"""Rows of a file, whatever it is packed in: JSON array, JSON Lines, CSV, Parquet; plain or gzip-compressed.

Every function streams: memory does not grow with the file. Faults of the whole file (truncated, another
encoding, nothing in it) raise :class:`UserError` with the file's name and the place.
"""

import ast
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fragmodel.errors import UserError

Row = tuple[
    int, Any
]  # position in the file, counted from 1, and the row: a dict unless the file is bad there

_CHUNK = 1 << 20  # characters
_GZIP = b"\x1f\x8b"
_RESULTS = re.compile(
    r'\s*\{(?:\s*"[\w-]+"\s*:\s*"[^"]*"\s*,)*\s*"results"\s*:\s*\['
)  # InterProScan, UniProt
_ARRAY = re.compile(r"\s*\[")
_SPACE = re.compile(r"\s*")


def _binary(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked when they are gzip's."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The file's text (UTF-8, byte order mark removed, line ends as they are); faults become
    :class:`UserError`.
    """
    try:
        with _binary(path) as binary:
            head = binary.read(4)
            binary.seek(0)
            if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise UserError(f"{path}: the text is UTF-16; convert it to UTF-8")
            yield io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a file") from None
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UserError(f"{path}: not UTF-8 text (byte 0x{wrong:02x}); convert it to UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: the gzip stream is damaged or cut short ({error})") from None


def head_of(path: Path, size: int = 1 << 16) -> str:
    """The first characters of the text; raises :class:`UserError` when there is nothing but space."""
    with opened(path) as text:
        head = text.read(size)
    if not head.strip():
        raise UserError(f"{path}: the file is empty")
    return head


def text_flags(path: Path) -> tuple[str, ...]:
    """Normalisations that reading the file as text takes: "bom" and "crlf"."""
    with _binary(path) as binary:
        head = binary.read(1 << 16)
    flags = ["bom"] if head.startswith(b"\xef\xbb\xbf") else []
    return tuple([*flags, "crlf"] if b"\r\n" in head else flags)


def is_parquet(path: Path) -> bool:
    """Whether the file starts as Parquet does."""
    try:
        with path.open("rb") as raw:
            return raw.read(4) == b"PAR1"
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def rows(path: Path) -> Iterator[Row]:
    """Rows of a JSON array, JSON Lines, ``{"results": […]}``, CSV or Parquet file."""
    if is_parquet(path):
        return _parquet_rows(path)
    head = head_of(path)
    if head.lstrip().startswith("["):
        return _array_items(path, _ARRAY)
    if _RESULTS.match(head):
        return _array_items(path, _RESULTS)
    if head.lstrip().startswith("{"):
        return _json_lines(path)
    return _csv_rows(path, head)


def columns(path: Path) -> list[str] | None:
    """Column names of a table (CSV, Parquet); None for JSON, where each record has its own."""
    if is_parquet(path):
        return _parquet(path).schema_arrow.names
    head = head_of(path)
    return None if head.lstrip()[0] in "[{" else _header(head)[0]


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


def _array_items(path: Path, opening: re.Pattern[str]) -> Iterator[Row]:
    """Items of a JSON array, decoded one by one from a buffer that is filled as they are used up."""
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
                return
            try:
                if number and after == position:
                    raise json.JSONDecodeError("Expecting ',' or ']'", buffer, position)
                item, position = decoder.raw_decode(buffer, after)
            except json.JSONDecodeError as error:
                # A string that does not end, or an error at the buffer's end: the item is not complete yet.
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(buffer) - 8
                more = text.read(max(_CHUNK, len(buffer) - position)) if unfinished and not ended else ""
                if not more:
                    what = "the JSON ends early" if unfinished else f"not valid JSON ({error.msg})"
                    raise UserError(f"{path}: record {number + 1}: {what}") from None
                buffer, position = buffer[position:] + more, 0
                continue
            number += 1
            yield number, item


def _json_lines(path: Path) -> Iterator[Row]:
    with opened(path) as text:
        for number, line in enumerate((line for line in text if line.strip()), start=1):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                if not line.endswith("\n"):
                    raise UserError(f"{path}: record {number}: the JSON ends early") from None
                if number == 1:
                    raise UserError(
                        f"{path}: neither a JSON array nor one JSON object a line ({error})"
                    ) from None
                yield number, line


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
                yield number, dict(zip(names, values, strict=True)) if len(values) == len(names) else values
        except csv.Error as error:
            raise UserError(
                f"{path}: line {reader.line_num}: not valid CSV ({error}); is the file cut short?"
            ) from None


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: the Parquet file is damaged ({error})") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    for batch in _parquet(path).iter_batches(batch_size=256):
        for row in batch.to_pylist():
            number += 1
            yield number, row
