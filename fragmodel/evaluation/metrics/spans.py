"""The counts behind all metrics of two lists of labelled spans."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from fragmodel.pairing import Labelled, best_pairs, mean_overlap, overlaps

THRESHOLDS = (0.5, 0.75, 0.95)


def hits(iou: np.ndarray, threshold: float) -> int:
    """Largest number of one-to-one pairs with an IoU of at least ``threshold``."""
    return int(hit_rows(iou, threshold).sum())


def hit_rows(iou: np.ndarray, threshold: float, confidences: Sequence[float] = ()) -> np.ndarray:
    """Which rows are in the largest set of such pairs, the surest where several sets are; bool [rows].

    ``confidences`` of the rows lie between 0 and 1.
    """
    enough = iou >= threshold
    # All that confidences add stays below one pair.
    bonus = np.asarray(confidences)[:, None] / (1 + len(iou)) if len(confidences) else 0.0
    rows, columns = linear_sum_assignment(enough * (1 + bonus), maximize=True)
    found = np.zeros(len(iou), dtype=bool)
    found[rows] = enough[rows, columns]
    return found


def without_ignored(
    predicted: Sequence[Labelled], true: Sequence[Labelled], ignored: Sequence[Labelled]
) -> list[Labelled]:
    """The predicted spans that count, see :func:`counted_rows`."""
    return [predicted[row] for row in counted_rows(predicted, true, ignored)]


def counted_rows(
    predicted: Sequence[Labelled], true: Sequence[Labelled], ignored: Sequence[Labelled]
) -> list[int]:
    """Numbers of the predicted spans that do not lie, by half or more, in ignored regions of their label.

    One that is paired with a true span (see :func:`fragmodel.pairing.best_pairs`) counts wherever it lies.
    """
    if not ignored:
        return list(range(len(predicted)))
    paired = set(best_pairs(overlaps(predicted, true))[0])
    regions: dict[str, set[int]] = {}
    for label, span in ignored:
        regions.setdefault(label, set()).update(range(*span))
    return [
        row
        for row, item in enumerate(predicted)
        if row in paired
        or 2 * len(regions.get(item.label, set()).intersection(range(*item.span))) < item.span.length
    ]


def residue_counts(
    predicted: Sequence[Labelled], true: Sequence[Labelled], length: int, ignored: Sequence[Labelled] = ()
) -> tuple[int, int, int, int]:
    """(TP, FP, FN, TN) over all residues of the window and all labels that occur on either side.

    Ignored residues of a label are passed over, except where they are true.
    """
    labels = sorted({item.label for item in (*predicted, *true)})
    planes = np.zeros((2, max(1, len(labels)), length), dtype=bool)
    for side, items in enumerate((predicted, true)):
        for label, span in items:
            planes[side, labels.index(label), span.start : span.end] = True
    counted = np.ones(planes.shape[1:], dtype=bool)
    for label, span in ignored:
        if label in labels:
            counted[labels.index(label), span.start : span.end] = False
    guess, truth = planes
    counted |= truth
    guess &= counted
    positive, both = int(guess.sum()), int((guess & truth).sum())
    missed = int(truth.sum()) - both
    return both, positive - both, missed, int(counted.sum()) - positive - missed


def counts(
    predicted: Sequence[Labelled], true: Sequence[Labelled], length: int, ignored: Sequence[Labelled] = ()
) -> dict[str, float]:
    """Everything that is summed over records, by name; what lies in ``ignored`` regions counts neither way."""
    given, predicted = predicted, without_ignored(predicted, true, ignored)
    iou = overlaps(predicted, true)
    rows, columns = best_pairs(iou)
    distance = sum(
        abs(predicted[row].span.start - true[column].span.start)
        + abs(predicted[row].span.end - true[column].span.end)
        for row, column in zip(rows, columns, strict=True)
    )
    matched = {threshold: hits(iou, threshold) for threshold in THRESHOLDS}
    all_hit = float(matched[0.5] == len(true))
    tp, fp, fn, tn = residue_counts(given, true, length, ignored)
    return {
        "records": 1.0,
        "iou": mean_overlap(iou),
        "iou_at_1": float(iou[0].max()) if predicted and true else 0.0,
        "all_hit_50": all_hit,
        "multi": float(len(true) > 1),
        "all_hit_50_multi": all_hit * (len(true) > 1),
        "predicted": len(predicted),
        "true": len(true),
        **{f"hits_{round(100 * threshold)}": number for threshold, number in matched.items()},
        "boundary": distance / 2,
        "pairs": len(rows),
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
    }
