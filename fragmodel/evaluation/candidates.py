"""From ranked answers to ranked places."""

from collections.abc import Sequence

from fragmodel.evaluation.parse import normalise, parse_spans
from fragmodel.vocabulary import Span


def ranked_places(candidates: Sequence[tuple[str, float]], length: int) -> list[tuple[str, Span, float]]:
    """Class, span and probability of each place that any of the ``candidates`` (text, probability) names.

    The probability of a place is that of all candidates that name it, together; the most probable places come first,
    of equal ones those of the more probable answer. ``length`` is that of the window.
    """
    sums: dict[tuple[str, Span], float] = {}
    names: dict[str, str] = {}  # a class as it is written first
    for text, probability in candidates:
        groups = parse_spans(text, length).groups
        places = {(normalise(name), span): name for name, spans in groups for span in spans}
        for place, name in places.items():
            names.setdefault(place[0], name)
            sums[place] = sums.get(place, 0.0) + probability
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    return [(names[name], span, min(total, 1.0)) for (name, span), total in ranked]
