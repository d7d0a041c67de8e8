"""Where what is right stands among ranked candidates. Definitions are in docs/metrics.md."""

from collections.abc import Sequence

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.places import RIGHT, GroundingItem, label
from fragmodel.evaluation.metrics.ratios import divide
from fragmodel.pairing import overlaps

RANKS = (1, 5, 10)


class RankScores:
    """Of each record how many of the things that are right stand among the first candidates, and how many there are.

    Args:
        names: the metric of each rank of :data:`RANKS`.
        ranks: for each record the rank, from 1, of each thing that is right; infinity where it is no candidate.
        most: the largest number of candidates of a record; a rank is left out where the one before it has all of them.
    """

    def __init__(self, names: Sequence[str], ranks: Sequence[Sequence[float]], most: int) -> None:
        limits = zip(names, RANKS, (0, *RANKS[:-1]), strict=True)
        shown = [(name, rank) for name, rank, before in limits if most > before]
        self._names = [name for name, _ in shown]
        self._found = np.array(
            [[sum(rank <= limit for rank in own) for _, limit in shown] for own in ranks], dtype=np.float64
        )
        self._wanted = np.array([len(own) for own in ranks], dtype=np.float64)

    def values(self, weights: Weights) -> Values:
        """The share found, of each resample; nan without anything to find."""
        shares = divide((weights @ self._found).T, weights @ self._wanted, empty=np.nan)
        return dict(zip(self._names, shares, strict=True))


def class_ranks(true: Sequence[str], ranked: Sequence[Sequence[str | None]]) -> RankScores | None:
    """Ranks of the right classes; ``None`` where no record has candidates."""
    ranks = [
        [1.0 + own.index(name) if name in own else np.inf] for name, own in zip(true, ranked, strict=True)
    ]
    return _scores("top_{}", ranks, [len(own) for own in ranked])


def place_ranks(items: Sequence[GroundingItem], *, aware: bool) -> RankScores | None:
    """Ranks of the first places that hit each true span, ``aware`` of classes or not; ``None`` likewise."""
    ranks = []
    for item in items:
        hit = overlaps(label(item.ranked, aware), label(item.true, aware)) >= RIGHT
        hit = np.vstack([hit, np.ones((1, hit.shape[1]), dtype=bool)])  # behind all candidates
        first = hit.argmax(axis=0)
        ranks.append(np.where(first < len(hit) - 1, first + 1.0, np.inf))
    return _scores("recall_50_at_{}", ranks, [len(item.ranked) for item in items])


def _scores(form: str, ranks: Sequence[Sequence[float]], counts: Sequence[int]) -> RankScores | None:
    most = max(counts, default=0)
    return RankScores([form.format(rank) for rank in RANKS], ranks, most) if most else None
