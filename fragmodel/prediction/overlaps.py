"""Long proteins: the windows that cover them, and one list of annotations from the answers about each window."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fragmodel.evaluation.parse import normalise
from fragmodel.prediction.results import Annotation
from fragmodel.vocabulary import Span


def tile(length: int, max_length: int) -> list[Span]:
    """Windows of ``max_length`` residues that overlap by half and cover a protein; the last ends with it.

    They lie on the grid of the training windows (:mod:`fragmodel.data.windows`). A protein that fits is one window.
    """
    if length <= max_length:
        return [Span(0, length)]
    last = length - max_length
    stride = max(1, max_length // 2)
    return [Span(start, start + max_length) for start in [*range(0, last, stride), last]]


def merge(windows: Iterable[Sequence[Annotation]]) -> list[Annotation]:
    """One list, in order of place, from the annotations of overlapping windows (in protein coordinates).

    Two annotations of one class (names compared as in scoring) and family from *different* windows are one place when
    they share at least half of the shorter one; the place then spans both, and is as sure as the surer. Exact repeats
    are one place. The residues that a class covers are the same before and after.
    """
    places: list[tuple[Annotation, set[int]]] = []
    given = [(annotation, number) for number, window in enumerate(windows) for annotation in window]
    for annotation, window in sorted(given, key=lambda item: (item[0].span, item[0].class_name, item[1])):
        alike = [index for index, (place, _) in enumerate(places) if _same_class(place, annotation)]
        # The same place in another window first: a neighbour that overlaps it is not to grow over it.
        found = next((i for i in alike if places[i][0].span == annotation.span), None)
        if found is None:
            others = (i for i in alike if window not in places[i][1])
            found = next((i for i in others if _same_place(places[i][0].span, annotation.span)), None)
        if found is None:
            places.append((annotation, {window}))
            continue
        place, seen = places[found]
        span = Span(place.span.start, max(place.span.end, annotation.span.end))
        sure = max((c for c in (place.confidence, annotation.confidence) if c is not None), default=None)
        places[found] = (replace(place, span=span, confidence=sure), seen | {window})
    # Places that have grown may have become the same.
    single = {(place.span, place.family, normalise(place.class_name)): place for place, _ in reversed(places)}
    return sorted(single.values(), key=lambda place: (place.span, place.class_name, place.family))


def _same_class(one: Annotation, other: Annotation) -> bool:
    return one.family == other.family and normalise(one.class_name) == normalise(other.class_name)


def _same_place(one: Span, other: Span) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return 2 * shared >= min(one.length, other.length)
