"""What the answer of a conversation record says: its marked spans and its class names.

Conversation files have no field for the class. The rules below, and what stands in where they find nothing,
are in docs/formats.md.
"""

import re
from collections.abc import Sequence

from fragmodel.data import prompts
from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.vocabulary import Span, TaskType

_SPAN = re.compile(rf"{re.escape(SPAN_OPEN)}\s*\(?\s*(\d+)\s*,\s*(\d+)\s*\)?\s*{re.escape(SPAN_CLOSE)}")
_BETWEEN_SPANS = " \t\r\n,;.:"  # may stand around a class name
_INTRODUCTION = re.compile(r"^\s*(?:the|these|all)\b[^:<]*\b(?:are|is):\s*", re.IGNORECASE)
_CONNECTIVE = re.compile(
    r"[\s:,]*(?:\b(?:is|are|was|were)\b)?\s*(?:\b(?:located|found|placed|present)\b)?\s*(?:\b(?:at|in|from)\b)?\s*:?\s*$",
    re.IGNORECASE,
)
_BELONGS = re.compile(
    r"^(?:(?:it|this(?: fragment)?|the fragment)\s+)?(?:belongs to|is classified as|is)\s+(?:the class\s+)?",
    re.IGNORECASE,
)
_QUESTIONS = (
    re.compile(r"\bwhere (?:is|are)\s+(.+?)(?:\s+(?:located|found))?\s*\?", re.IGNORECASE | re.DOTALL),
    re.compile(r"\b(?:find|locate)\s+(.+?)\s+in the protein\b", re.IGNORECASE | re.DOTALL),
    re.compile(r"\bplaces? of\s+(.+?)\s*[.?]\s*$", re.IGNORECASE | re.DOTALL),
)


def broken(text: str) -> str:
    """Text without control markers; line breaks stay."""
    return text.replace("\r\n", "\n").replace("<|", "< |")


def stated_spans(answer: str) -> set[Span]:
    """The intervals that the answer marks."""
    return {Span(int(match[1]), int(match[2])) for match in _SPAN.finditer(answer)}


def mark_spans(answer: str, spans: Sequence[Span]) -> str:
    """The answer with span markers kept around intervals of ``spans`` and every other ``<|`` broken up."""
    allowed = set(spans)
    pieces, position = [], 0
    for match in _SPAN.finditer(answer):
        span = Span(int(match[1]), int(match[2]))
        pieces.append(broken(answer[position : match.start()]))
        pieces.append(prompts.format_spans([span]) if span in allowed else broken(match.group()))
        position = match.end()
    pieces.append(broken(answer[position:]))
    return "".join(pieces).strip()


def class_of(answer: str) -> str:
    """Class name in the answer of a `referring_class` record: "It belongs to X." gives "X"."""
    return prompts.plain(_BELONGS.sub("", answer.strip()).rstrip(".")) or prompts.plain(answer)


def name_groups(
    answer: str, question: str, groups: Sequence[Sequence[Span]], task: TaskType, family: str
) -> list[tuple[str, list[Span]]]:
    """Class names for the groups of ``position_grd``.

    `grounding_single`: all spans are one group; its name stands before the first span of the answer, else in
    the question ("Where is X located?"). `grounding_group`: the answer names the class before its spans; it
    is believed when its intervals are those of the groups, and then also divides a flat list. Where no name
    is found the family's noun stands in ("domain", or "domain 1", "domain 2" for several groups).
    """
    stated = _named_spans(answer)
    spans = [span for group in groups for span in group]
    if task == "grounding_single":
        name = stated[0][0] if stated else ""
        return [(name or _asked_class(question) or family, spans)]
    if all(name for name, _ in stated):
        same = [set(group) for _, group in stated] == [set(group) for group in groups]
        if same or (len(groups) == 1 and {span for _, group in stated for span in group} == set(spans)):
            return stated
    if len(groups) == 1:
        return [(family, list(groups[0]))]
    return [(f"{family} {number}", list(group)) for number, group in enumerate(groups, start=1)]


def _named_spans(answer: str) -> list[tuple[str, list[Span]]]:
    """Intervals of the answer under the name that stands before them; "" where none does."""
    named: list[tuple[str, list[Span]]] = []
    position = 0
    for match in _SPAN.finditer(answer):
        before = answer[position : match.start()]
        if not named:
            before = _INTRODUCTION.sub("", before)
        before = before.strip(_BETWEEN_SPANS)
        # Between two spans of one class stands nothing but a comma or "and".
        if not named or before.lower() not in ("", "and"):
            named.append((prompts.plain(_CONNECTIVE.sub("", before).strip(_BETWEEN_SPANS)), []))
        named[-1][1].append(Span(int(match[1]), int(match[2])))
        position = match.end()
    return named


def _asked_class(question: str) -> str:
    for pattern in _QUESTIONS:
        if match := pattern.search(question):
            return prompts.plain(match[1])
    return ""
