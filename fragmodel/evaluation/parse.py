"""From a generated text to spans inside the window, or to a class, with a status; never an exception."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fragmodel.data.grammar import read_groups, says_none
from fragmodel.data.prompts import MARKER
from fragmodel.vocabulary import Span

OK = "ok"
EMPTY = "empty"  # no text at all
NO_SPAN = "no_span"  # no span could be read, and the text does not say that there is none
REVERSED = "reversed"  # a span ends before or where it starts; it was dropped
OUT_OF_RANGE = "out_of_range"  # a span leaves the window; it was clipped, or dropped when nothing was left
UNKNOWN = "unknown"  # no known class is named
MISSING = "missing"  # the predictions have no row for the record


@dataclass(frozen=True, slots=True)
class ParsedSpans:
    """Spans of an answer by class, in the order of the text; 0-based and half-open, all inside the window."""

    status: str
    groups: list[tuple[str, list[Span]]] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        """All spans, whatever their class."""
        return [span for _, spans in self.groups for span in spans]


def parse_spans(text: str, length: int) -> ParsedSpans:
    """Read a grounding answer about a window of ``length`` residues (:func:`fragmodel.data.grammar.read_groups`).

    Reversed and empty spans are dropped; spans that leave the window are clipped to it, or dropped when nothing is
    left. ``status`` names the worst fault: ``empty``, ``no_span``, ``reversed``, ``out_of_range``, else ``ok``: also
    that of an answer which says that there is nothing, which has no groups.
    """
    stated = read_groups(text)
    if not stated:
        if says_none(text):
            return ParsedSpans(OK)
        return ParsedSpans(NO_SPAN if text.strip() else EMPTY)
    groups: list[tuple[str, list[Span]]] = []
    faults: set[str] = set()
    for name, places in stated:
        kept = []
        for (start, end), *_ in places:
            span = Span(max(start, 0), min(end, length))
            if start >= end:
                faults.add(REVERSED)
                continue
            if span != (start, end):
                faults.add(OUT_OF_RANGE)
            if span.length > 0:
                kept.append(span)
        if kept:
            groups.append((name, kept))
    status = next((fault for fault in (REVERSED, OUT_OF_RANGE) if fault in faults), OK)
    return ParsedSpans(status, groups)


def normalise(text: str) -> str:
    """Text as it is compared: NFKC, case folded, without markers, outer punctuation and double spaces."""
    text = unicodedata.normalize("NFKC", MARKER.sub(" ", text)).casefold()
    return " ".join(text.split()).strip(" .,;:!?\"'`*")


class ClassNames:
    """The classes that an answer may name."""

    def __init__(self, names: Iterable[str]) -> None:
        # Longest first: "sh3 domain binding" is not an answer "sh3 domain".
        known = {normalise(name) for name in names} - {""}
        self._names: Sequence[str] = sorted(known, key=lambda name: (-len(name), name))
        self._known = known

    def find(self, text: str) -> str | None:
        """Normalised class that ``text`` names: all of the text, else the longest class in it as words."""
        text = normalise(text)
        if text in self._known:
            return text
        return next((name for name in self._names if _occurs(name, text)), None)


def _occurs(name: str, text: str) -> bool:
    position = text.find(name)
    while position >= 0:
        before, after = text[position - 1 : position], text[position + len(name) : position + len(name) + 1]
        # `position - 1` is -1 at the start of the text, where the slice is empty.
        if not (before.isalnum() or after.isalnum()):
            return True
        position = text.find(name, position + 1)
    return False
