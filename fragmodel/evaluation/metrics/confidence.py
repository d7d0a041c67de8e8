"""How well confidences tell what is right from what is wrong. Definitions are in docs/metrics.md."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.ratios import divide

BINS = 10  # of equal width, of the calibration error and of the reliability diagram
COVERAGES = (50, 80)  # percent of the answers, the surest first

_MOST_LEVELS = 1000  # different scores that are told apart; more are joined by rank
_CELLS = 2_000_000  # weights of places held at once


class Ranked:
    """What is right and what is wrong at each level of a score, so that any resample is a product of matrices.

    Args:
        owners: the record that each outcome belongs to, int [n].
        scores: float [n], the higher the surer.
        right: bool [n].
        records: the number of records.
    """

    def __init__(self, owners: np.ndarray, scores: np.ndarray, right: np.ndarray, records: int) -> None:
        levels, codes = np.unique(scores, return_inverse=True)
        if len(levels) > _MOST_LEVELS:
            edges = np.quantile(scores, np.linspace(0, 1, _MOST_LEVELS + 1)[1:-1])
            codes = np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]
            levels = np.bincount(codes, weights=scores) / np.bincount(codes)
        self.scores = levels
        shape = (records, len(levels))
        self._right, self._wrong = (
            sparse.csr_array((part.astype(np.float64), (owners, codes)), shape=shape)
            for part in (right, ~right)
        )

    def counts(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Right and wrong outcomes at each level, from the lowest to the highest; [resamples, levels]."""
        return weights @ self._right, weights @ self._wrong


def confidence_values(ranked: Ranked, weights: Weights) -> Values:
    """Calibration error, AUROC and the risk–coverage curve of confidences between 0 and 1; nan without an outcome."""
    right, wrong = ranked.counts(weights)
    every = right + wrong
    total = every.sum(axis=1)
    bins = np.minimum((ranked.scores * BINS).astype(np.int64), BINS - 1)
    of_bin = sparse.csr_array((np.ones(len(bins)), (np.arange(len(bins)), bins)), shape=(len(bins), BINS))
    gaps = np.abs((every * ranked.scores - right) @ of_bin).sum(axis=1)
    covered, found = np.cumsum(every[:, ::-1], axis=1), np.cumsum(right[:, ::-1], axis=1)
    risk = 1 - divide(found, covered)
    result = {
        "ece": divide(gaps, total, empty=np.nan),
        "confidence_auroc": auroc(right, wrong),
        "aurc": divide((every[:, ::-1] * risk).sum(axis=1), total, empty=np.nan),
    }
    for percent in COVERAGES:
        result[f"right_at_{percent}"] = _share_right(covered, found, percent / 100)
    return result


def auroc(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Share of pairs of a positive and a negative in which the positive is higher, ties counting half.

    Both count outcomes by level [resamples, levels], from the lowest; nan without either.
    """
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return divide((positive * (below + negative / 2)).sum(axis=1), pairs, empty=np.nan)


def average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Sum over the levels, from the highest, of precision times the step in recall; nan without a positive."""
    found = np.cumsum(positive[:, ::-1], axis=1)
    precision = divide(found, found + np.cumsum(negative[:, ::-1], axis=1))
    return divide((positive[:, ::-1] * precision).sum(axis=1), positive.sum(axis=1), empty=np.nan)


class ClassPrecision:
    """Average precision of each class's places, by their confidence; those without one come last.

    Args:
        owners, classes: record and number of the class of each place, int [n].
        confidences: float [n], nan where there is none.
        right: bool [n].
    """

    def __init__(
        self, owners: np.ndarray, classes: np.ndarray, confidences: np.ndarray, right: np.ndarray
    ) -> None:
        sure = np.where(np.isnan(confidences), -np.inf, confidences)
        order = np.lexsort((-sure, classes))
        self._owners, self._right = owners[order], right[order]
        classes, sure = classes[order], sure[order]
        new_class = np.r_[True, classes[1:] != classes[:-1]][: len(classes)]
        self._levels = np.flatnonzero(new_class | np.r_[True, sure[1:] != sure[:-1]][: len(sure)])
        self._firsts = np.searchsorted(self._levels, np.flatnonzero(new_class))
        self._classes = classes[self._levels][self._firsts]

    def mean(self, weights: Weights, true: np.ndarray) -> np.ndarray:
        """Mean over the classes with a true span; ``true`` counts these, [resamples, classes]."""
        if not len(self._levels):
            return np.where((true > 0).any(axis=1), 0.0, np.nan)
        size = max(1, _CELLS // len(self._owners))
        blocks = [slice(first, first + size) for first in range(0, len(weights), size)]
        return np.concatenate([self._mean(weights[block], true[block]) for block in blocks])

    def _mean(self, weights: Weights, true: np.ndarray) -> np.ndarray:
        places = weights[:, self._owners]
        every, right = (
            np.add.reduceat(part, self._levels, axis=1) for part in (places, places * self._right)
        )
        precision = divide(self._within_class(right), self._within_class(every))
        areas = np.add.reduceat(precision * right, self._firsts, axis=1)
        recalled = divide(areas, true[:, self._classes])
        return divide(recalled.sum(axis=1), (true > 0).sum(axis=1), empty=np.nan)

    def _within_class(self, counts: np.ndarray) -> np.ndarray:
        """Running sums that begin anew with each class."""
        running = np.cumsum(counts, axis=1)
        before = running[:, self._firsts] - counts[:, self._firsts]
        return running - np.repeat(before, np.diff(np.r_[self._firsts, counts.shape[1]]), axis=1)


def joined(owners: Sequence[int], parts: Sequence[np.ndarray]) -> np.ndarray:
    """The owner of each entry of ``parts``, one after the other."""
    return np.repeat(np.asarray(owners, dtype=np.int64), [len(part) for part in parts])


def _share_right(covered: np.ndarray, found: np.ndarray, share: float) -> np.ndarray:
    """Share right among the surest ``share``; of equally sure ones the right are spread evenly."""
    total = covered[:, -1]
    wanted = share * total
    level = np.minimum((covered < wanted[:, None]).sum(axis=1), covered.shape[1] - 1)
    rows = np.arange(len(covered))
    start, right = (np.where(level > 0, sums[rows, level - 1], 0.0) for sums in (covered, found))
    part = divide(wanted - start, covered[rows, level] - start)
    return divide(right + part * (found[rows, level] - right), wanted, empty=np.nan)
