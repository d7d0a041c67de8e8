"""How much the labelled spans of two lists overlap, and which of them are pairs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from fragmodel.vocabulary import Span


class Labelled(NamedTuple):
    """A span of a class; the label is any string."""

    label: str
    span: Span


def overlaps(first: Sequence[Labelled], second: Sequence[Labelled]) -> np.ndarray:
    """Intersection over union of each pair, 0 for different labels; float64 [first, second]."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    a, b = (np.array([item.span for item in items]) for items in (first, second))
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None] - shared
    same = np.array([[x.label == y.label for y in second] for x in first])
    return np.where(same, shared / union, 0.0)


def best_pairs(iou: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one pairs of the largest total IoU, as (rows, columns), without pairs that do not overlap."""
    rows, columns = linear_sum_assignment(iou, maximize=True)
    kept = iou[rows, columns] > 0
    return rows[kept], columns[kept]


def mean_overlap(iou: np.ndarray) -> float:
    """Total IoU of the best pairs, divided by the number of spans of the longer list; 0 for two empty ones."""
    return float(iou[best_pairs(iou)].sum()) / max(*iou.shape, 1)
