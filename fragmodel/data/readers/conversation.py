"""Conversation records (the documented format) in JSON, JSON Lines, CSV or Parquet.

``position_ref`` and ``position_grd`` are 0-based and half-open within ``sequence``, which begins at residue
``start`` of the protein. ``position_grd`` is a list of spans or, for each class, such a list.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fragmodel.data.readers import fields
from fragmodel.data.readers.fields import BadField
from fragmodel.data.records import Conversation, Fault
from fragmodel.data.text_files import BadRow, Row
from fragmodel.data.validate import capitals
from fragmodel.files import text_digest
from fragmodel.vocabulary import Span

REQUIRED = ("sequence", "conversation")


def read(rows: Iterator[Row], path: Path) -> Iterator[Conversation]:
    """A conversation a row. Without a ``uid`` it is named by a digest of the sequence: ``seq-…``."""
    for number, row in rows:
        if isinstance(row, BadRow):
            faults = (Fault("bad_record", row.detail),)
            yield Conversation(uid="", sequence="", record=number, faults=faults)
            continue
        values: dict[str, Any] = {"uid": "", "sequence": ""}
        faults = []
        for name, read in _FIELDS.items():
            try:
                values[name] = read(row)
            except BadField as error:
                faults.append(Fault("bad_field", str(error)))
        if not values["uid"]:
            values["uid"] = f"seq-{text_digest(capitals(values['sequence'].strip()), size=6)}"
        yield Conversation(record=number, faults=tuple(faults), **values)


def _turns(row: dict[str, Any]) -> list[dict[str, str]]:
    turns = fields.nested(row, "conversation")
    if not isinstance(turns, list) or not turns:
        raise BadField("field 'conversation' is empty, expected a list of turns")
    for turn in turns:
        if not isinstance(turn, dict) or not all(
            isinstance(turn.get(key), str) for key in ("role", "content")
        ):
            raise BadField("a turn of 'conversation' lacks 'role' or 'content'")
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def _reference(row: dict[str, Any]) -> Span | None:
    value = fields.nested(row, "position_ref")
    return fields.span(value, "field 'position_ref'") if value else None


def _groups(row: dict[str, Any]) -> list[list[Span]] | None:
    value = fields.nested(row, "position_grd")
    if not value:
        return None
    what = "field 'position_grd'"
    if not isinstance(value, list | tuple) or not all(isinstance(item, list | tuple) for item in value):
        raise BadField(f"{what} is no list of spans")
    value = [item for item in value if item]
    flat = all(not isinstance(part, list | tuple) for item in value for part in item)
    groups = [[fields.span(item, what) for item in group] for group in ([value] if flat else value)]
    return groups if value else None


_FIELDS = {
    "uid": lambda row: fields.text(row, "uid", "accession").strip(),
    "sequence": lambda row: fields.text(row, "sequence"),
    "start": lambda row: fields.optional_integer(row, "start") or 0,
    "full_length": lambda row: fields.optional_integer(row, "full_length"),
    "turns": _turns,
    "answer": lambda row: fields.text(row, "answer") or None,
    "position_ref": _reference,
    "position_grd": _groups,
}
