"""Evidence as text at the end of a question.

    block = "\\nRelatives:" { "\\n" percent " %: " answer } | "\\nRelatives: none known"

A line has the identity of the alignment and an answer in the very form that the model's own has, the best line first.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN, split_markers
from fragmodel.evidence.find import Line

HEAD = "\nRelatives:"
NOTHING = "\nRelatives: none known"


def block(lines: Sequence[Line]) -> str:
    """The text of the lines, or that no relative is known."""
    if not lines:
        return NOTHING
    return HEAD + "".join(f"\n{100 * line.identity:.0f} %: {_safe(line.text)}" for line in lines)


def with_evidence(turns: Sequence[dict[str, str]], lines: Sequence[Line]) -> list[dict[str, Any]]:
    """A conversation whose user turn ends with the evidence."""
    return [
        turn | {"content": turn["content"] + block(lines)} if turn["role"] == "user" else dict(turn)
        for turn in turns
    ]


def as_without_relatives(records: pa.Table) -> pa.Table:
    """Records without evidence as those of proteins of which no relative is known."""
    turns = [with_evidence(turns, []) for turns in records.column("conversation").to_pylist()]
    place = records.schema.get_field_index("conversation")
    field = records.schema.field(place)
    return records.set_column(place, field, pa.array(turns, type=field.type))


def _safe(text: str) -> str:
    """No control marker but those around a span, whatever the text's origin."""
    return "".join(
        piece if marker and piece in (SPAN_OPEN, SPAN_CLOSE) else piece.replace("<|", "< |")
        for piece, marker in split_markers(text)
    )
