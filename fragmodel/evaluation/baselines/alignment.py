"""Transfer by sequence alignment: classes, descriptions and places of the most similar training proteins."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby, islice

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

    One search serves all tasks, since they mostly show the same windows, and no more than the hits of one window are
    held at a time.
    """

    def __init__(
        self,
        known: Mapping[str, Sequence[Reference]],
        asked: Mapping[str, Sequence[Reference]],
        threads: int = 1,
    ) -> None:
        """``known`` and ``asked`` are the training and the test records by task."""
        self.tool = tool()
        self._known, self._asked, self._threads = known, asked, threads
        self._texts: dict[str, Texts] | None = None

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``, which is a task's among those given before."""
        del known
        if self._texts is None:
            self._texts = self._answer_all()
        return self._texts[asked[0].key.task_type]

    def _answer_all(self) -> dict[str, Texts]:
        tasks = [task for task in self._asked if self._known.get(task)]
        nothing = {task: NONE if task in GROUNDING_TASKS else "" for task in tasks}
        texts = {task: {record.key: nothing[task] for record in self._asked[task]} for task in tasks}
        known, asked = (
            {task: _by_window(each[task]) for task in tasks} for each in (self._known, self._asked)
        )
        queries, targets = (sorted({*chain.from_iterable(each.values())}) for each in (asked, known))
        hits = search(queries, targets, blocks=True, threads=self._threads)
        for query, found in groupby(hits, key=lambda hit: queries[hit.query]):
            ranked = list(found)
            for task in tasks:
                tried = islice((hit for hit in ranked if targets[hit.target] in known[task]), _HITS)
                of_task = [(hit, known[task][targets[hit.target]]) for hit in tried]
                answer = _answerer(task)
                for record in asked[task].get(query, ()):
                    said = (answer(record, hit, others) for hit, others in of_task)
                    texts[task][record.key] = next((text for text in said if text), nothing[task])
        return texts


def _by_window(records: Sequence[Reference]) -> dict[str, list[Reference]]:
    windows: dict[str, list[Reference]] = defaultdict(list)
    for record in records:
        windows[record.sequence].append(record)
    return dict(windows)


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
