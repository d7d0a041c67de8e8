"""From scores of single residues to segments."""

from collections.abc import Sequence

from fragmodel.vocabulary import Span


def maximal_segments(scores: Sequence[float]) -> list[tuple[Span, float]]:
    """All maximal scoring segments and their sums, in order of place, in linear time (Ruzzo & Tompa 1999).

    The first is the contiguous segment with the greatest positive sum, the others are found likewise in what is left on
    either side of it. Spans are 0-based and half-open.
    """
    # Of each candidate: its span, and the sums of all scores before it and up to its end.
    found: list[tuple[int, int, float, float]] = []
    total = 0.0
    for place, score in enumerate(scores):
        before, total = total, total + float(score)
        if score <= 0:
            continue
        start, left = place, before
        while True:
            last = len(found) - 1
            while last >= 0 and found[last][2] >= left:
                last -= 1
            if last < 0 or found[last][3] >= total:
                break
            start, left = found[last][0], found[last][2]
            del found[last:]
        found.append((start, place + 1, left, total))
    return [(Span(start, end), right - left) for start, end, left, right in found]
