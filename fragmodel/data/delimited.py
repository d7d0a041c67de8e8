"""Tables as text: CSV with commas, semicolons or tabs, one row in memory at a time."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fragmodel.data.text_files import BadRow, Row, head_of, opened
from fragmodel.errors import UserError

_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons"}


def header(path: Path) -> tuple[list[str], str]:
    """Column names, and the delimiter that gives most of them.

    Raises :class:`UserError` for a name that stands there twice and for an empty file.
    """
    line = head_of(path).lstrip("\r\n").splitlines()[0]
    delimiter = max(_DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    if double := sorted(name for name, count in Counter(names).items() if name and count > 1):
        raise UserError(f"{path}: column '{double[0]}' stands in the header twice; remove one of them")
    return names, delimiter


def rows(path: Path) -> Iterator[Row]:
    """Rows by column name; empty lines have no number.

    A row whose fields are not those of the header, or which repeats the header, is a :class:`BadRow`. Raises
    :class:`UserError` where quotes do not match, for then nothing after them can be read.
    """
    names, delimiter = header(path)
    csv.field_size_limit(1 << 30)  # residue labels of a long protein are longer than the default limit
    with opened(path) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            filled = (values for values in reader if values)
            next(filled, None)  # the header
            for number, values in enumerate(filled, start=1):
                if len(values) > len(names):
                    quote = f"put a field that holds {_DELIMITERS[delimiter]} in double quotes"
                    yield number, BadRow(f"{_counts(values, names)}; {quote}")
                elif len(values) < len(names):
                    yield number, BadRow(_counts(values, names))
                elif [value.strip() for value in values] == names:
                    yield number, BadRow("the row repeats the header; remove it")
                else:
                    yield number, dict(zip(names, values, strict=True))
        except csv.Error as error:
            raise UserError(
                f"{path}: line {reader.line_num}: not valid CSV ({error}); is the file cut short?"
            ) from None


def _counts(values: list[str], names: list[str]) -> str:
    return f"the row has {len(values)} fields, the header {len(names)}"
