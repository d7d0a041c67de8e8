"""Fields of a raw row as typed values; a bad one raises :class:`BadField` with a sentence."""

from collections.abc import Mapping
from typing import Any

from fragmodel.data.readers.containers import parsed
from fragmodel.data.readers.json_values import half_character
from fragmodel.vocabulary import Span


class BadField(ValueError):
    """A field that is missing or of another type; the message names it."""


def text(row: Mapping[str, Any], *names: str) -> str:
    """The first of the fields that is there, as text; "" when none is. A number is its digits."""
    for name in names:
        value = row.get(name)
        if value is None or value == "" or value != value:  # NaN, as tables write an empty cell
            continue
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise BadField(f"field '{name}' is {type(value).__name__}, expected text")
    return ""


def integer(row: Mapping[str, Any], name: str) -> int:
    """An integer field; "12" and 12.0 are integers too."""
    return as_integer(row.get(name), f"field '{name}'")


def optional_integer(row: Mapping[str, Any], name: str) -> int | None:
    """An integer field that may be empty: missing, null, "" or NaN, as tables write an empty cell."""
    value = row.get(name)
    return None if value is None or value == "" or value != value else integer(row, name)


def as_integer(value: Any, what: str) -> int:
    """``value`` as an integer; ``what`` names it in the message."""
    if isinstance(value, bool) or value is None:
        raise BadField(f"{what} is {value!r}, expected an integer")
    try:
        number = float(value)
        if not number.is_integer():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadField(f"{what} is {_short(value)}, expected an integer") from None
    return int(number)


def nested(row: Mapping[str, Any], name: str) -> Any:
    """A nested field: a value, or JSON or a Python literal as text; None when it is empty."""
    value = row.get(name)
    if value is None or value != value:
        return None
    try:
        found = parsed(value)
    except ValueError:
        raise BadField(f"field '{name}' is neither JSON nor a Python literal: {_short(value)}") from None
    if isinstance(value, str) and (half := half_character(found, value)):
        raise BadField(f"field '{name}' holds half of a character ({half}); write its text anew")
    return found


def mapping(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A field that must be an object."""
    value = row.get(name)
    if not isinstance(value, dict):
        raise BadField(f"field '{name}' is {type(value).__name__}, expected an object")
    return value


def mappings(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that must be a list of objects; empty where it is missing."""
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadField(f"field '{name}' is no list of objects")
    return value


def span(value: Any, what: str) -> Span:
    """A pair of integers as a span; the order is checked later."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadField(f"{what} is {_short(value)}, expected [start, end]")
    return Span(as_integer(value[0], what), as_integer(value[1], what))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
