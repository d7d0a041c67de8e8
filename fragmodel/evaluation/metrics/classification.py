"""Metrics of `referring_class`; definitions and sources are in docs/metrics.md."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.confidence import Ranked, confidence_values
from fragmodel.evaluation.metrics.ranks import class_ranks
from fragmodel.evaluation.metrics.ratios import divide, f1
from fragmodel.evaluation.parse import normalise

NO_CLASS = ""  # label of an answer that names no known class


class ClassScores:
    """True and predicted class of each record.

    ``predicted`` holds classes as :meth:`fragmodel.evaluation.parse.ClassNames.find` gives them, or ``None``
    for answers that name no known class: these count as a class of their own that is never right. ``confidences`` are
    those of the answers, 0 to 1, where a system states any, ``ranked`` the classes of their candidates.
    """

    def __init__(
        self,
        true: Sequence[str],
        predicted: Sequence[str | None],
        exact: Sequence[bool],
        confidences: Sequence[float | None] = (),
        ranked: Sequence[Sequence[str | None]] = (),
    ) -> None:
        self.true = [normalise(name) for name in true]
        self.predicted = [name or NO_CLASS for name in predicted]
        self._display = dict(zip(reversed(self.true), reversed(true), strict=True))  # as first written
        labels = sorted({*self.true, *self.predicted})
        codes = {label: code for code, label in enumerate(labels)}
        correct = np.array([t == p for t, p in zip(self.true, self.predicted, strict=True)], dtype=np.float64)
        unknown = np.array([p == NO_CLASS for p in self.predicted], dtype=np.float64)
        self._marks = np.column_stack(
            [np.ones(len(true)), correct, unknown, np.asarray(exact, dtype=np.float64)]
        )
        self._true, self._predicted = (
            _one_hot([codes[label] for label in side], len(labels)) for side in (self.true, self.predicted)
        )
        self._correct = self._true * correct[:, None]
        self._ranks = class_ranks(self.true, ranked) if ranked else None
        stated = [record for record, sure in enumerate(confidences) if sure is not None]
        self._ranked: Ranked | None = None
        if stated:
            sure = np.array([confidences[record] for record in stated], dtype=np.float64)
            self._ranked = Ranked(np.array(stated), sure, correct[stated] == 1, len(true))

    def values(self, weights: Weights) -> Values:
        """Metrics of each resample; macro averages run over the classes that have a true record in it."""
        records, correct, unknown, exact = (weights @ self._marks).T
        true, predicted, hits = (weights @ part for part in (self._true, self._predicted, self._correct))
        classes = (true > 0).sum(axis=1)

        def macro(scores: np.ndarray) -> np.ndarray:
            return divide((scores * (true > 0)).sum(axis=1), classes)

        result = {
            "exact_match": divide(exact, records),
            "accuracy": divide(correct, records),
            "macro_precision": macro(divide(hits, predicted)),
            "macro_recall": macro(divide(hits, true)),
            "macro_f1": macro(f1(hits, predicted, true)),
            "mcc": _correlation(records, correct, true, predicted),
            "unknown_rate": divide(unknown, records),
        }
        if self._ranks is not None:
            result |= self._ranks.values(weights)
        return result | confidence_values(self._ranked, weights) if self._ranked is not None else result

    def per_record(self) -> Values:
        """Whether each record's answer is an exact match, correct, or names no known class."""
        _, correct, unknown, exact = self._marks.T
        return {"exact_match": exact, "accuracy": correct, "unknown": unknown}

    def per_class(self) -> list[dict[str, str | float]]:
        """A row for each true class, the most frequent first: support, precision, recall and F1."""
        from sklearn.metrics import precision_recall_fscore_support

        if not self.true:
            return []
        labels = sorted(set(self.true))
        columns = precision_recall_fscore_support(self.true, self.predicted, labels=labels, zero_division=0)
        rows = [
            {
                "class": self._display[label],
                "support": int(support),
                "precision": round(float(precision), 6),
                "recall": round(float(recall), 6),
                "f1": round(float(score), 6),
            }
            for label, precision, recall, score, support in zip(labels, *columns, strict=True)
        ]
        return sorted(rows, key=lambda row: (-row["support"], row["class"]))


def _one_hot(codes: Sequence[int], classes: int) -> sparse.csr_array:
    ones = np.ones(len(codes))
    return sparse.csr_array((ones, (np.arange(len(codes)), codes)), shape=(len(codes), classes))


def _correlation(
    records: np.ndarray, correct: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Matthews correlation of many classes (Gorodkin 2004, eq. 8), from the margins [resamples, classes]."""
    covariance = correct * records - (true * predicted).sum(axis=1)
    spread = (records**2 - (true**2).sum(axis=1)) * (records**2 - (predicted**2).sum(axis=1))
    return divide(covariance, np.sqrt(np.maximum(spread, 0)))
