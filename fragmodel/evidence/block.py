"""Evidence as text at the end of a question, and answers that point to a line of it.

    block   = "\\nRelatives:" { "\\n" number ". " percent " %: " answer } | "\\nRelatives: none known"
    pointer = "=" number

A line has the identity of the alignment and an answer in the very form that the model's own has, the best line first.
Where the answer has several lines itself, and one that looks like part of the block, a space stands before that.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fragmodel.data.grammar import NONE
from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN, split_markers
from fragmodel.evidence.find import Line

HEAD = "\nRelatives:"
NOTHING = "\nRelatives: none known"
_LINE = re.compile(r"\n\d+\. \d+ %: ")
_LIKE_OURS = re.compile(r"\n(?= |Relatives:|\d+\. \d+ %: )")  # what a line of an answer may begin with, too
_POINTER = re.compile(r"=(\d{1,3})")


def block(lines: Sequence[Line]) -> str:
    """The text of the lines, or that no relative is known."""
    if not lines:
        return NOTHING
    return HEAD + "".join(
        f"\n{number}. {100 * line.identity:.0f} %: {_safe(line.text)}" for number, line in enumerate(lines, 1)
    )


def suggestions(question: str) -> list[str]:
    """The answers in the lines of a question, in their order."""
    _, head, lines = question.rpartition(HEAD)
    return [text.replace("\n ", "\n") for text in _LINE.split(lines)[1:]] if head else []


def pointers(question: str) -> int:
    """How many lines of a question an answer may point to: the first so many, which say more than :data:`NONE`."""
    return sum(text != NONE for text in suggestions(question))


def pointer(number: int) -> str:
    """The answer that line ``number``, from 1, is right."""
    return f"={number}"


def is_pointer(answer: str) -> bool:
    """Whether an answer points to a line."""
    return _POINTER.fullmatch(answer.strip()) is not None


def resolved(answer: str, question: str) -> str:
    """The answer itself, or the line's to which it points."""
    match = _POINTER.fullmatch(answer.strip())
    number = int(match[1]) if match else 0
    return suggestions(question)[number - 1] if 0 < number <= pointers(question) else answer


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
    """No control marker but those around a span, and no line that begins as those of the block do."""
    broken = "".join(
        piece if marker and piece in (SPAN_OPEN, SPAN_CLOSE) else piece.replace("<|", "< |")
        for piece, marker in split_markers(text)
    )
    return _LIKE_OURS.sub("\n ", broken)
