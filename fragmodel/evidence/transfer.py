"""The answer that known fragments suggest: a relative's, carried through the alignment to the window in question."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evidence.library import Known, Relative
from fragmodel.homology.mapping import map_span
from fragmodel.homology.search import Block
from fragmodel.vocabulary import Span, TaskType


class Asked(NamedTuple):
    """What a question is about. Spans count along its window, 0-based and half-open."""

    task: TaskType
    kind: str
    class_name: str = ""  # that is looked for; `grounding_single`
    place: Span | None = None  # the fragment that is referred to


class Suggested(NamedTuple):
    """An answer, and the fragments that it comes from at their places in the window."""

    text: str
    fragments: list[Known]
    overlap: float | None = None  # of the fragment that is referred to with the relative's, as IoU


def suggest(asked: Asked, relative: Relative, blocks: Sequence[Block]) -> Suggested | None:
    """What the relative has to say to the question, by its fragments that can be mapped; None where that is nothing."""
    if asked.task == "function":
        return Suggested(relative.function, []) if relative.function else None
    mapped = [
        known._replace(span=place)
        for known in relative.fragments
        if (place := map_span(known.span, blocks)) is not None
    ]
    return answer_from(asked, mapped)


def answer_from(asked: Asked, found: Sequence[Known]) -> Suggested | None:
    """The answer to a question about fragments, by what is found in its window; None where that says nothing.

    Referring: of the fragment that overlaps the one in question most. Grounding: the places (of the class that is
    looked for), or that there is none of it among the fragments that were found.
    """
    if asked.place is not None:
        return _neighbour(asked, asked.place, found)
    named = [known for known in found if known.class_name]
    return _places(asked, named) if named else None


def _neighbour(asked: Asked, place: Span, mapped: Sequence[Known]) -> Suggested | None:
    said = "description" if asked.task == "referring_desc" else "class_name"
    mapped = [known for known in mapped if getattr(known, said)]
    best = max(mapped, key=lambda known: (iou(known.span, place), -known.span.start), default=None)
    if best is None or not iou(best.span, place):
        return None
    return Suggested(getattr(best, said), [best], iou(best.span, place))


def _places(asked: Asked, mapped: Sequence[Known]) -> Suggested:
    groups: dict[str, set[Span]] = defaultdict(set)
    found = []
    wanted = plain(asked.class_name).casefold() if asked.task == "grounding_single" else None
    for known in mapped:
        if wanted in (None, known.class_name.casefold()):
            groups[known.class_name].add(known.span)
            found.append(known)
    if not groups:
        return Suggested(NONE, [])
    return Suggested(grounding_answer(asked.task, [(name, sorted(g)) for name, g in groups.items()]), found)


def iou(one: Span, other: Span) -> float:
    """Shared residues as a part of those of either."""
    shared = max(0, min(one.end, other.end) - max(one.start, other.start))
    return shared / (one.length + other.length - shared)
