"""The answer about places that agrees best with all that a model holds possible.

Where many places are possible, the most probable one is seldom a good guess: written digit by digit, it may be one
residue long. Scored by overlap, the best guess is the answer whose expected overlap is the highest (minimum Bayes risk:
Kumar & Byrne 2004, HLT-NAACL; Eikema & Aziz 2022, EMNLP, on drawn answers).
"""

from collections.abc import Sequence

import numpy as np

from fragmodel.data.grammar import read_groups
from fragmodel.pairing import Labelled, mean_overlap, overlaps


def most_overlapping(texts: Sequence[str], copies: Sequence[int]) -> tuple[str, list[float]]:
    """The text whose places overlap most with those of all, and how much each of its places does so.

    Args:
        texts: grounding answers that name places.
        copies: how many there are of each; 0 for one that only may be chosen.

    Overlap of two answers is that of the metric `iou_mean`: places of one class are paired one to one for the highest
    sum of IoUs, which is divided by the number of places of the answer that has more. That of a place is, as a mean
    over all answers, its highest IoU with a place of the same class: how much overlap may be expected, 0 to 1. Of equal
    answers the first is taken.
    """
    weights = np.asarray(copies, dtype=np.float64)
    weights /= weights.sum()
    answers = [_places(text) for text in texts]
    drawn = [(other, weight) for other, weight in zip(answers, weights, strict=True) if weight]
    expected = [
        sum(weight * mean_overlap(overlaps(one, other)) for other, weight in drawn) for one in answers
    ]
    best = int(np.argmax(np.round(expected, 9)))
    sure = sum(weight * overlaps(answers[best], other).max(axis=1, initial=0.0) for other, weight in drawn)
    return texts[best], [min(float(each), 1.0) for each in sure]


def _places(text: str) -> list[Labelled]:
    return [Labelled(name.casefold(), place.span) for name, places in read_groups(text) for place in places]
