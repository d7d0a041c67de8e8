"""From a generated text to spans or a class: tolerant, and never an exception.

The expected format is that of :func:`fragmodel.data.prompts.grounding_answer`. Accepted besides: missing
markers, other separators between spans, prose around them (``X is located at (3,9).``, ``The domain
annotations are: X at …``).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fragmodel.data.prompts import MARKERS, SPAN_CLOSE, SPAN_OPEN
from fragmodel.vocabulary import Span

OK = "ok"
EMPTY = "empty"  # no text at all
NO_SPAN = "no_span"  # no span could be read
REVERSED = "reversed"  # a span ends before or where it starts; it was dropped
OUT_OF_RANGE = "out_of_range"  # a span leaves the window; it was clipped, or dropped when nothing was left
UNKNOWN = "unknown"  # no known class is named
MISSING = "missing"  # the predictions have no row for the record

# A number is at most 18 digits long: longer runs of digits are no position in any protein. Whitespace is matched
# possessively, so that no text takes more than linear time.
_INTEGER = r"(-?[0-9]{1,18})"
_SPAN = re.compile(
    # After an opening marker the brackets may be missing; elsewhere they tell a span from other numbers.
    rf"(?P<open>{re.escape(SPAN_OPEN)})\s*+[(\[]?\s*+{_INTEGER}\s*+(?:,|-|–|\.\.)\s*+{_INTEGER}\s*+[)\]]?"
    rf"(?:\s*+{re.escape(SPAN_CLOSE)})?"
    rf"|[(\[]\s*+{_INTEGER}\s*+,\s*+{_INTEGER}\s*+[)\]](?P<close>\s*+{re.escape(SPAN_CLOSE)})?"
)
_CONTINUES = re.compile(r"[\s,;&]*+(?:and\b[\s,;&]*+)?")  # between two spans of one class
_LIST_END = re.compile(r"[\s,;.&]++(?:and\b)?\s*+")  # what still belongs to the list before: "…), B: ("
_INTRO = re.compile(r"(?:the|here|these|this|all|i)\b[^:]*+:\s*+", re.IGNORECASE)
_VERBS = {"is", "are", "located", "found", "at", "in", "from"}
_MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))


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
    """Read a grounding answer about a window of ``length`` residues.

    A span counts when it stands between markers or continues its list on the same line; in a text without any
    marker every ``(start,end)`` counts. Reversed and empty spans are dropped; spans that leave the window
    are clipped to it, or dropped when nothing is left. ``status`` names the worst fault: ``empty``,
    ``no_span``, ``reversed``, ``out_of_range``, else ``ok``.
    """
    groups: list[tuple[str, list[Span]]] = []
    faults: set[str] = set()
    position = 0
    matches = list(_SPAN.finditer(text))
    marked = any(_is_marked(match) for match in matches)
    for match in matches:
        between = text[position : match.start()]
        continues = bool(groups) and _CONTINUES.fullmatch(_MARKER.sub("", between)) is not None
        if marked and not _is_marked(match) and not (continues and "\n" not in between):
            continue  # numbers inside a class name
        if not continues:
            groups.append((_class_name(between, first=not groups), []))
        start, end = (int(number) for number in match.group(2, 3, 4, 5) if number is not None)
        span = Span(max(start, 0), min(end, length))
        if start >= end:
            faults.add(REVERSED)
        else:
            if (start, end) != span:
                faults.add(OUT_OF_RANGE)
            if span.length > 0:
                groups[-1][1].append(span)
        position = match.end()
    return ParsedSpans(_status(text, bool(matches), faults), [group for group in groups if group[1]])


def _is_marked(match: re.Match[str]) -> bool:
    return match["open"] is not None or match["close"] is not None


def _status(text: str, found: bool, faults: set[str]) -> str:
    if not found:
        return NO_SPAN if text.strip() else EMPTY
    return next((fault for fault in (REVERSED, OUT_OF_RANGE) if fault in faults), OK)


def _class_name(between: str, first: bool) -> str:
    """Class in front of a list of spans: the last line of ``between``, without verb and introduction."""
    lines = _MARKER.sub("", between).rstrip().split("\n")
    line = lines[-1]
    if len(lines) == 1 and not first and (end := _LIST_END.match(line)):
        line = line[end.end() :]
    if line.endswith(":"):
        return line[:-1].strip()  # the format of our own answers, whose names may hold colons
    words = line.split()
    while words and words[-1].lower() in _VERBS:
        words.pop()
    line = " ".join(words)
    if first and (intro := _INTRO.match(line)):
        line = line[intro.end() :]
    return line


def normalise(text: str) -> str:
    """Text as it is compared: NFKC, case folded, without markers, outer punctuation and double spaces."""
    text = unicodedata.normalize("NFKC", _MARKER.sub(" ", text)).casefold()
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
