"""The answer about places that agrees best with all that a model holds possible.

Where many places are possible, the most probable one is seldom a good guess: written digit by digit, it may be one
residue long. Scored by overlap, the best guess is the answer whose expected overlap is the highest (minimum Bayes risk:
Kumar & Byrne 2004, HLT-NAACL; Eikema & Aziz 2022, EMNLP, on drawn answers).
"""

from collections.abc import Sequence

import numpy as np

from fragmodel.data.grammar import read_groups
from fragmodel.vocabulary import Span


def most_overlapping(texts: Sequence[str], copies: Sequence[int]) -> tuple[str, list[float]]:
    """The text whose places overlap most with those of all, and how much each of its places does so.

    Args:
        texts: grounding answers that name places.
        copies: how many there are of each; 0 for one that only may be chosen.

    Overlap of two answers is the IoU of their residues, class by class. That of a place is, as a mean over all answers,
    its highest IoU with a place of the same class: how much overlap may be expected, 0 to 1. Of equal answers the first
    is taken.
    """
    weights = np.asarray(copies, dtype=np.float64)
    weights /= weights.sum()
    places = [_places(text) for text in texts]
    residues = [{(name, residue) for name, span in found for residue in range(*span)} for found in places]
    expected = [
        sum(weight * _iou(one, other) for other, weight in zip(residues, weights, strict=True) if weight)
        for one in residues
    ]
    best = int(np.argmax(np.round(expected, 9)))
    sure = [
        sum(
            weight * max((_overlap(span, each) for other, each in found if other == name), default=0.0)
            for found, weight in zip(places, weights, strict=True)
        )
        for name, span in places[best]
    ]
    return texts[best], [min(float(each), 1.0) for each in sure]


def _places(text: str) -> list[tuple[str, Span]]:
    return [(name.casefold(), place.span) for name, places in read_groups(text) for place in places]


def _iou(one: set[tuple[str, int]], other: set[tuple[str, int]]) -> float:
    return len(one & other) / (len(one | other) or 1)


def _overlap(one: Span, other: Span) -> float:
    shared = max(0, min(one.end, other.end) - max(one.start, other.start))
    return shared / (one.length + other.length - shared)
