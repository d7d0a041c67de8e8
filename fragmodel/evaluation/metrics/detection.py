"""Present or absent: whether a system finds something exactly where there is something to find.

A record is *absent* when it has no true span: the right answer is that there is nothing. Definitions are in
docs/metrics.md.
"""

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.confidence import auroc
from fragmodel.evaluation.metrics.ratios import divide, matthews

_LOWEST = -np.inf  # confidence of a record to which a system that states confidences says nothing


class DetectionScores:
    """Of each record: whether it is absent, whether a place was named, and how its residues were called.

    ``absent`` and ``answered`` are bool [records], ``residues`` TP, FP, FN and TN, float64 [records, 4].
    ``confidence`` [records] orders records by how sure a system is that something is there; nan where it does not say.
    """

    def __init__(
        self, absent: np.ndarray, answered: np.ndarray, residues: np.ndarray, confidence: np.ndarray
    ) -> None:
        self._absent, self._answered, self._residues = absent, answered, residues
        self._order: np.ndarray | None = None
        if not np.isnan(confidence).all():
            confidence = np.where(np.isnan(confidence), _LOWEST, confidence)
            self._order = np.argsort(confidence, kind="stable")
            ranked = confidence[self._order]
            self._ties = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # where each value begins

    def values(self, weights: Weights) -> Values:
        """Metrics of each resample; nan in one without an absent record."""
        absent, present = weights * self._absent, weights * ~self._absent
        placed, found = absent @ self._answered, present @ self._answered
        wrong = divide(placed, absent.sum(axis=1), empty=np.nan)
        result = {
            "false_positive_rate": wrong,
            "specificity": 1 - wrong,
            "detection_precision": divide(found, found + placed),
            "detection_recall": divide(found, present.sum(axis=1)),
            "residue_mcc_all": matthews(*(weights @ self._residues).T),
        }
        if self._order is not None:
            result["detection_auroc"] = self._auroc(present, absent)
        return {name: np.where(np.isnan(wrong), np.nan, value) for name, value in result.items()}

    def per_record(self) -> Values:
        """`specificity` of absent and `detection_recall` of present records: 1 or 0; nothing where none is absent."""
        if not self._absent.any():
            return {}
        answered = self._answered.astype(np.float64)
        return {
            "specificity": np.where(self._absent, 1 - answered, np.nan),
            "detection_recall": np.where(self._absent, np.nan, answered),
        }

    def _auroc(self, present: Weights, absent: Weights) -> np.ndarray:
        """Share of pairs of a present and an absent record in which the present one is surer; ties count half."""
        positive, negative = (
            np.add.reduceat(part[:, self._order], self._ties, axis=1) for part in (present, absent)
        )
        return auroc(positive, negative)
