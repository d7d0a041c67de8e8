"""Transfer by sequence alignment: classes, descriptions and places of the most similar training proteins."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.homology.mapping import map_span
from fragmodel.homology.search import Hit, search, tool
from fragmodel.vocabulary import GROUNDING_TASKS, Span

_HITS = 50  # that are tried for a window


class Alignment:
    """Hits are tried from the best on; the first that has something to say is the answer.

    Referring: the training fragment whose mapped place overlaps the fragment in question most. Grounding:
    all places (of the class in question for `grounding_single`) mapped through the alignment, or none where no hit
    has any. Function: the text of the best hit. Another record for which no hit has anything gets an empty answer.
    """

    def __init__(self, threads: int = 1) -> None:
        self.tool = tool()
        self._threads = threads
        self._hits: dict[tuple[tuple[str, ...], tuple[str, ...]], list[list[Hit]]] = {}

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        by_window: dict[str, list[Reference]] = defaultdict(list)
        for record in known:
            by_window[record.sequence].append(record)
        queries = tuple(sorted({record.sequence for record in asked}))
        targets = tuple(sorted(by_window))
        hits = dict(zip(queries, self._search(queries, targets), strict=True))
        task = asked[0].key.task_type
        answer, otherwise = _answerer(task), NONE if task in GROUNDING_TASKS else ""
        texts = {}
        for record in asked:
            said = (answer(record, hit, by_window[targets[hit.target]]) for hit in hits[record.sequence])
            texts[record.key] = next((text for text in said if text), otherwise)
        return texts

    def _search(self, queries: tuple[str, ...], targets: tuple[str, ...]) -> list[list[Hit]]:
        # Tasks of one data set mostly show the same windows.
        if (queries, targets) not in self._hits:
            found: list[list[Hit]] = [[] for _ in queries]
            for hit in search(queries, targets, best=_HITS, blocks=True, threads=self._threads):
                found[hit.query].append(hit)
            self._hits[queries, targets] = found
        return self._hits[queries, targets]


Answerer = Callable[[Reference, Hit, Sequence[Reference]], str]


def _answerer(task: str) -> Answerer:
    if task in GROUNDING_TASKS:
        return _places
    return _neighbour if task.startswith("referring") else lambda record, hit, known: known[0].answer


def _neighbour(record: Reference, hit: Hit, known: Sequence[Reference]) -> str:
    """Class or description of the fragment whose mapped place overlaps most; empty when none does."""
    best, text = 0.0, ""
    for other in known:
        place = map_span(other.position_ref, hit.blocks) if other.position_ref else None
        if place is None or record.position_ref is None:
            continue
        shared = min(place.end, record.position_ref.end) - max(place.start, record.position_ref.start)
        overlap = shared / (place.length + record.position_ref.length - shared)
        if overlap > best:
            best = overlap
            text = plain(other.class_name) if record.key.task_type == "referring_class" else other.answer
    return text


def _places(record: Reference, hit: Hit, known: Sequence[Reference]) -> str:
    """Mapped places of the hit's fragments; empty when none could be mapped."""
    wanted = normalise(record.class_name) if record.key.task_type == "grounding_single" else None
    groups: dict[str, list[Span]] = defaultdict(list)
    for other in known:
        for name, spans in other.groups:
            if wanted in (None, normalise(name)):
                mapped = [place for span in spans if (place := map_span(span, hit.blocks))]
                groups[name].extend(place for place in mapped if place not in groups[name])
    found = [(name, sorted(places)) for name, places in groups.items() if places]
    return grounding_answer(record.key.task_type, found) if found else ""
