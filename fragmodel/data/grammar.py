"""The grammar of grounding answers: how they are written, and how any text is read by it.

    grounding_single = spans | NONE
    grounding_group  = class ": " spans { "\\n" class ": " spans } | NONE
    spans            = span { ", " span }
    span             = SPAN_OPEN "(" start "," end ")" SPAN_CLOSE

Positions are 0-based and half-open within the window. Accepted besides: missing markers, other separators, prose
around the spans (``X is located at (3,9).``, ``The domain annotations are: X at …``), and ``None.`` for the word that
says that there is nothing to find. Reading gives what the text says, takes linear time and never raises; whether a
span is one of the window is for the caller to judge.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from fragmodel.data.prompts import MARKER, SPAN_CLOSE, SPAN_OPEN, plain
from fragmodel.vocabulary import Span, TaskType

NONE = "none"
"""The whole answer to a question about what the window does not have."""

# A number is at most 18 digits long: longer runs of digits are no position in any protein. White space is matched
# possessively, so that no text takes more than linear time.
_INTEGER = r"(-?[0-9]{1,18})"
_SPAN = re.compile(
    # After an opening marker the brackets may be missing; elsewhere they tell a span from other numbers.
    rf"({re.escape(SPAN_OPEN)})\s*+[(\[]?\s*+{_INTEGER}\s*+(?:,|-|–|\.\.)\s*+{_INTEGER}\s*+[)\]]?"
    rf"(?:\s*+({re.escape(SPAN_CLOSE)}))?"
    rf"|[(\[]\s*+{_INTEGER}\s*+,\s*+{_INTEGER}\s*+[)\]](?:\s*+({re.escape(SPAN_CLOSE)}))?"
)
_CONTINUES = re.compile(r"[\s,;.&]*+(?:and\b[\s,;.&]*+)?", re.IGNORECASE)  # between two spans of one class
_LIST_END = re.compile(
    r"[\s,;.&]++(?:and\b)?\s*+", re.IGNORECASE
)  # what belongs to the list before: "…), B: ("
_INTRODUCTION = re.compile(r"(?:the|here|these|this|all|i)\s[^:]*+:\s+", re.IGNORECASE)
_CONNECTIVES = (  # at most one of each stands between a class and its spans, in reverse order
    {"at", "in", "from"},
    {"located", "found", "placed", "present"},
    {"is", "are", "was", "were"},
)


class Place(NamedTuple):
    """A span that a text states; it may be reversed or leave the window."""

    span: Span
    start: int  # the text's slice that states it
    end: int
    markers: int  # how many of the two markers stand around it


def format_spans(spans: Sequence[Span]) -> str:
    """Spans as the model writes them, without a class."""
    return ", ".join(f"{SPAN_OPEN}({start},{end}){SPAN_CLOSE}" for start, end in spans)


def grounding_answer(task: TaskType, groups: Sequence[tuple[str, Sequence[Span]]]) -> str:
    """Answer of a grounding record: the spans alone, or a line ``class: spans`` for each class of a group.

    Without any span it is :data:`NONE`.
    """
    if not any(spans for _, spans in groups):
        return NONE
    if task == "grounding_single":
        return format_spans([span for _, spans in groups for span in spans])
    return "\n".join(f"{plain(name)}: {format_spans(spans)}" for name, spans in groups if spans)


def says_none(text: str) -> bool:
    """Whether a text is the word :data:`NONE`, whatever its case, with or without a full stop or markers."""
    return plain(MARKER.sub(" ", text)).strip(" .").casefold() == NONE


def read_groups(text: str) -> list[tuple[str, list[Place]]]:
    """Places under the class that stands before them ("" where none does), in the order of the text.

    A span counts when a marker stands beside it or when it continues the list of one on the same line; in a text
    without any marker every ``(start,end)`` counts. A class is what stands before its spans on their line: all of
    it before a colon, else without verb and introduction.
    """
    matches = list(_SPAN.finditer(text))
    any_marked = any(match[1] or match[4] or match[7] for match in matches)
    groups: list[tuple[str, list[Place]]] = []
    position = 0  # where the last place ends
    passed_over = False  # a span since then that does not count: numbers inside a class name
    for match in matches:
        markers = sum(marker is not None for marker in match.group(1, 4, 7))
        continues = same_line = False
        if groups and not passed_over:
            between = text[position : match.start()]
            continues = _CONTINUES.fullmatch(MARKER.sub("", between)) is not None
            same_line = "\n" not in between
        if any_marked and not markers and not (continues and same_line):
            passed_over = True
            continue
        if not continues:
            groups.append((_class_name(text[position : match.start()], first=not groups), []))
        start, end = (int(number) for number in match.group(2, 3, 5, 6) if number is not None)
        groups[-1][1].append(Place(Span(start, end), match.start(), match.end(), markers))
        position, passed_over = match.end(), False
    return groups


def read_places(text: str) -> list[Place]:
    """All places of a text, whatever their class."""
    return [place for _, places in read_groups(text) for place in places]


def _class_name(between: str, first: bool) -> str:
    """The class in the text before a list of spans, which begins where the list before it ends."""
    lines = MARKER.sub("", between).rstrip().split("\n")
    line = lines[-1]
    if len(lines) == 1 and not first and (end := _LIST_END.match(line)):
        line = line[end.end() :]
    if line.endswith(":"):
        return plain(line[:-1])  # our own answers, whose names may hold anything
    words = line.split()
    for connective in _CONNECTIVES:
        if words and words[-1].lower() in connective:
            words.pop()
    line = " ".join(words).strip(" ,;:.")
    if first and (introduction := _INTRODUCTION.match(line)):
        line = line[introduction.end() :]
    return plain(line)
