"""Rows of a JSON file: every record of every value that the text holds, decoded one after the other.

A text holds one value or many, divided by white space or by nothing: an array, or an object with ``results``,
stands for its items, any other object for itself. So JSON Lines, the lines of InterProScan 6 (an object with
``results`` each) and files joined with ``cat`` give the records of their parts. Memory does not grow with the file.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fragmodel.data.text_files import BadRow, Row, opened
from fragmodel.errors import UserError

_CHUNK = 1 << 20  # characters
# An object whose records can be read one by one, since only plain members stand before `results`.
_RESULTS = re.compile(r'\{(?:\s*"[\w-]+"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,)*\s*"results"\s*:\s*\[')
_HALF_CHARACTER = re.compile(
    r"\\u[dD][89a-fA-F]|\\U0000[dD][89a-fA-F]"
)  # of a surrogate pair, as text may write it
_SPACE = re.compile(r"[\s\ufeff]*")  # a joined file may begin with its byte order mark


class _Broken(Exception):
    """Text that is no JSON; ``unfinished`` where it ends too early."""

    def __init__(self, what: str, unfinished: bool) -> None:
        super().__init__("the JSON ends early" if unfinished else what)
        self.unfinished = unfinished


def json_rows(path: Path) -> Iterator[Row]:
    """The records of a JSON file, counted from 1.

    Where the first value stands on one line, a broken line is one bad record; else the file is refused from the
    fault on, with a :class:`UserError`.
    """
    with opened(path) as text:
        values = _Values(text)
        number, by_line = 0, False
        while True:
            breaks = values.breaks
            if not (mark := values.next()):
                return
            own_line = values.breaks > breaks or not number
            breaks = values.breaks
            try:
                for item, source in _records(values, mark):
                    number += 1
                    yield number, _row(item, source)
                by_line |= values.breaks == breaks
            except _Broken as broken:
                number += 1
                if not (by_line and own_line):
                    raise UserError(f"{path}: record {number}: {broken}") from None
                if not values.skip_line():
                    raise UserError(f"{path}: record {number}: the JSON ends early") from None
                yield number, BadRow(f"the line cannot be read: {broken}")


def _records(values: "_Values", mark: str) -> Iterator[tuple[Any, str]]:
    """The records of the next value, each with its text."""
    if mark == "[":
        values.skip("[")
        yield from values.items()
    elif values.opens_results():
        yield from values.items()
        while values.next() == ",":
            values.skip(",")
            values.take()  # the member's name
            values.skip(":")
            values.take()
        values.skip("}")
    else:
        item, source = values.take()
        results = item.get("results") if isinstance(item, dict) else None
        yield from ((result, source) for result in results) if isinstance(results, list) else [(item, source)]


class _Values:
    """JSON values of a text, taken from a buffer that is filled as they are used up."""

    def __init__(self, text: IO[str]) -> None:
        self.breaks = 0  # runs of text passed that held a line break
        self._text = text
        self._buffer, self._at = "", 0
        self._decode = json.JSONDecoder().raw_decode

    def next(self) -> str:
        """The next character that is no space; "" at the end of the text."""
        while True:
            self._step(_SPACE.match(self._buffer, self._at).end())  # type: ignore[union-attr]
            if self._at < len(self._buffer) or not self._fill():
                return self._buffer[self._at : self._at + 1]

    def skip(self, mark: str) -> None:
        """Step over a character, which must come next."""
        if (found := self.next()) != mark:
            raise _Broken(f"not valid JSON (expected '{mark}', found {found!r})", unfinished=not found)
        self._at += 1

    def opens_results(self) -> bool:
        """Step to the first item of ``results``, if an object with it begins here."""
        if match := _RESULTS.match(self._buffer, self._at):
            self._step(match.end())
        return match is not None

    def items(self) -> Iterator[tuple[Any, str]]:
        """Items of the array that was opened, and their texts."""
        more = self.next() != "]"
        while more:
            yield self.take()
            if more := self.next() != "]":
                self.skip(",")
        self.skip("]")

    def take(self) -> tuple[Any, str]:
        """The next value and its text."""
        mark = self.next()
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
                if end < len(self._buffer) or not self._fill():  # else a number might go on
                    source = self._buffer[self._at : end]
                    self._step(end)
                    return value, source
            except RecursionError:
                raise _Broken("nested too deeply", unfinished=False) from None
            except json.JSONDecodeError as error:
                # A string that does not end, or an error at the buffer's end: the value is not complete yet.
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - 8
                if not (unfinished and self._fill()):
                    early = unfinished and mark not in ("]", "}")
                    raise _Broken(f"not valid JSON ({error.msg})", early) from None
            except ValueError:  # of Python's own limit
                raise _Broken("a number has thousands of digits", unfinished=False) from None

    def skip_line(self) -> bool:
        """Step behind the end of the line; False when the text ends without one."""
        while (end := self._buffer.find("\n", self._at)) < 0:
            self._at = len(self._buffer)
            if not self._fill():
                return False
        self._step(end + 1)
        return True

    def _step(self, end: int) -> None:
        self.breaks += self._buffer.find("\n", self._at, end) >= 0
        self._at = end

    def _fill(self) -> bool:
        more = self._text.read(max(_CHUNK, len(self._buffer) - self._at))
        if more:
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)


def _row(item: Any, source: str) -> dict[str, Any] | BadRow:
    """A decoded value as a row; ``source`` is its text, in which half characters are looked for."""
    if not isinstance(item, dict):
        return BadRow(f"the record is {type(item).__name__}, expected an object")
    if half := half_character(item, source):
        return BadRow(f"the record holds half of a character ({half}); write its text anew")
    return item


def half_character(value: Any, source: str) -> str | None:
    """Half of a surrogate pair in a decoded value, which no file can hold; ``source`` is the text it comes from."""
    if _HALF_CHARACTER.search(source):
        try:
            json.dumps(value, ensure_ascii=False, skipkeys=True, default=str).encode()
        except UnicodeEncodeError as error:
            return repr(error.object[error.start])
    return None
