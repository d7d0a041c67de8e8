"""What the answer of a conversation record says: its spans and its class names.

Conversation files have no field for the class. The rules below, and what stands in where they find nothing,
are in docs/formats.md.
"""

import re
from collections.abc import Sequence

from fragmodel.data import prompts
from fragmodel.data.grammar import format_spans, read_groups, read_places
from fragmodel.vocabulary import Span, TaskType

_INTRODUCTION = re.compile(r"\A(?:the|these|all)\b[^:]*\b(?:are|is)(?::\s*|\Z)", re.IGNORECASE)
_BELONGS = re.compile(
    r"^(?:(?:it|this(?: fragment)?|the fragment)\s+)?(?:belongs to|is classified as|is)\s+(?:the class\s+)?",
    re.IGNORECASE,
)
_NAME = "(.{1,300}?)"  # bounded: what follows is looked for from every place where a question may begin
_QUESTIONS = (
    re.compile(rf"\bwhere (?:is|are) {_NAME}(?: (?:located|found))? ?\?", re.IGNORECASE),
    re.compile(rf"\b(?:find|locate) {_NAME} in the protein\b", re.IGNORECASE),
    re.compile(rf"\bplaces? of {_NAME} ?[.?]$", re.IGNORECASE),
)


def broken(text: str) -> str:
    """Text without control markers; line breaks stay."""
    return text.replace("\r\n", "\n").replace("<|", "< |")


def stated_spans(answer: str) -> set[Span]:
    """The intervals that the answer states, marked or not."""
    return {place.span for place in read_places(answer)}


def mark_spans(answer: str, spans: Sequence[Span]) -> str:
    """The answer with span markers kept around intervals of ``spans`` and every other ``<|`` broken up.

    A marked interval is written anew, so that half a pair of markers becomes a pair.
    """
    allowed = set(spans)
    pieces, position = [], 0
    for place in read_places(answer):
        if place.markers and place.span in allowed:
            pieces += [broken(answer[position : place.start]), format_spans([place.span])]
            position = place.end
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
    stated = _stated_groups(answer)
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


def _stated_groups(answer: str) -> list[tuple[str, list[Span]]]:
    """The answer's intervals by class; "The domain annotations are:" before the first one is no name."""
    stated = [(name, [place.span for place in places]) for name, places in read_groups(answer)]
    return [(_INTRODUCTION.sub("", name), spans) for name, spans in stated[:1]] + stated[1:]


def _asked_class(question: str) -> str:
    question = prompts.plain(question)
    return next((match[1] for pattern in _QUESTIONS if (match := pattern.search(question))), "")
