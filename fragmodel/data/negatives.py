"""Questions about what a protein does not have, whose answer is the word of :data:`fragmodel.data.grammar.NONE`.

`grounding_single` asks about classes that the protein lacks, in the windows of its other records; `grounding_group`
asks proteins and windows without any fragment. Which, and of which proteins: docs/formats.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from heapq import nsmallest

from fragmodel.data.catalogue import Catalogue, Negatives, is_complete, unit
from fragmodel.data.grammar import NONE
from fragmodel.data.readers import Source
from fragmodel.data.records import Fault, Protein
from fragmodel.data.tasks import Labels, Made, Settings, record_of
from fragmodel.data.validate import check
from fragmodel.data.windows import empty_window
from fragmodel.tables import Record
from fragmodel.vocabulary import GROUNDING_TASKS, Span


class NegativeMaker:
    """Makes the negative records of a data set's split, when all its checked proteins have been seen."""

    def __init__(self, options: Negatives, *, seed: int, max_length: int) -> None:
        self._options, self._seed, self._max_length = options, seed, max_length
        self._catalogue = Catalogue(seed)
        self._with_fragments: set[str] = set()  # uids
        self._with_room: dict[str, bool] = {}  # uids with an empty window → whether they have fragments

    def see(self, protein: Protein, faults: Iterable[Fault], scope: str) -> None:
        """Note a checked protein, the faults that the check told, and the scope of its file."""
        self._catalogue.add(protein, scope)
        if protein.fragments:
            self._with_fragments.add(protein.uid)
        if protein.sequence and self._is_complete(protein, faults) and self._empty_window(protein):
            self._with_room[protein.uid] = bool(protein.fragments)

    def beside(
        self,
        protein: Protein,
        faults: Iterable[Fault],
        scope: str,
        records: Sequence[Record],
        settings: Settings,
    ) -> Iterator[Made]:
        """`grounding_single` about classes that the protein lacks: for each of its ``records``, in their windows."""
        present = self._catalogue.present(protein.uid)
        if not present or not self._is_complete(protein, faults):
            return
        lacking = self._catalogue.lacking(present, scope)
        share = self._options.share
        for record in records:
            more = unit("negatives", str(self._seed), record.record_id) < share % 1
            count = int(share) + more
            window = Span(record.start, record.start + len(record.sequence))
            for drawn, kind in self._catalogue.draw(
                record.record_id, present, lacking, count, self._options.hard
            ):
                labels = Labels([drawn.name], [drawn.class_id], [drawn.key])
                yield Made([_record(protein, window, labels, f"absent_{kind}", settings)], [])

    def without_any(self, protein: Protein, faults: Iterable[Fault], settings: Settings) -> Made | None:
        """`grounding_group` about a window without a fragment; None for a protein that is not asked so."""
        if protein.uid not in self._asked or not self._is_complete(protein, faults):
            return None
        window = self._empty_window(protein)
        if window is None:
            return None
        record = _record(protein, window, Labels([], [], []), "absent_family", settings)
        return Made([record], [] if protein.fragments else [Fault("", "", None)])

    @cached_property
    def _asked(self) -> frozenset[str]:
        """Proteins asked by :meth:`without_any`: as many as the share says, with the lowest hashes of seed and uid."""
        candidates = [
            uid
            for uid, has_fragments in self._with_room.items()
            if (present := self._catalogue.present(uid)) is not None
            and (self._catalogue.is_alone(uid) if has_fragments else not present)
        ]
        count = round(self._options.share * len(self._with_fragments))
        seed = str(self._seed)
        return frozenset(nsmallest(count, candidates, key=lambda uid: unit("without any", seed, uid)))

    def _is_complete(self, protein: Protein, faults: Iterable[Fault]) -> bool:
        return is_complete(protein, faults, self._options.complete)

    def _empty_window(self, protein: Protein) -> Span | None:
        spans = [fragment.span for fragment in protein.fragments]
        return empty_window(spans, len(protein.sequence), self._max_length, uid=protein.uid, seed=self._seed)


def negative_maker(
    sources: Sequence[Source],
    settings: Sequence[Settings],
    options: Negatives,
    is_member: Callable[[str], bool] | None = None,
) -> NegativeMaker | None:
    """What makes the negative records of tasks with these ``settings``, for which all proteins are read once.

    None where none are asked for. ``is_member`` tells whether a uid belongs to the split.
    """
    if (
        not options.share
        or options.complete == "none"
        or not any(each.task in GROUNDING_TASKS for each in settings)
    ):
        return None
    maker = NegativeMaker(options, seed=settings[0].seed, max_length=settings[0].max_length)
    for source in sources:
        for raw in source.read():
            if isinstance(raw, Protein) and (is_member is None or is_member(raw.uid)):
                maker.see(*check(raw), source.scope)
    return maker


def _record(protein: Protein, window: Span, labels: Labels, flag: str, settings: Settings) -> Record:
    return record_of(
        protein.uid,
        protein.sequence,
        window,
        labels,
        [],
        settings,
        position_grd=[[] for _ in labels.names],
        answer=NONE,
        flags={*protein.flags, flag},
    )
